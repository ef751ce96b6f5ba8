"""The training loop: rates, averages, checkpoints, resuming."""

import csv
import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from axon_backend.training import loop
from axon_backend.training.loop import Ema, learning_rate, save_atomically, train


def test_learning_rate_warms_up_peaks_and_falls_to_its_floor():
    rates = [learning_rate(p / 1000, 2.0) for p in range(1001)]
    assert rates[0] < 0.02
    assert rates[10] == pytest.approx(1.0)  # half of the warm-up
    assert max(rates) == rates[20] == pytest.approx(2.0)
    assert learning_rate(0.51, 2.0) == pytest.approx(2.0 * (0.03 + 0.97 / 2))
    assert rates[-1] == pytest.approx(0.06)
    assert learning_rate(1.3, 2.0) == pytest.approx(0.06)  # a late step is not a rising one
    assert all(b >= a for a, b in itertools.pairwise(rates[:21]))
    assert all(b <= a for a, b in itertools.pairwise(rates[20:]))


def test_the_average_warms_up():
    """decay_k = (1 + k) / (10 + k): 0.1, 2/11, 3/12, ..., then 0.998."""
    net = nn.BatchNorm1d(1)  # it also has an integer in its state
    ema = Ema(net, decay=0.2)
    with torch.no_grad():
        net.weight.fill_(0.0)
    net.num_batches_tracked.fill_(7)
    expected = 1.0
    for decay in (0.1, 2 / 11, 0.2, 0.2):
        ema.update(net)
        expected *= decay
        assert float(ema.network.weight) == pytest.approx(expected, rel=1e-5)
    assert int(ema.network.num_batches_tracked) == 7
    assert not ema.network.weight.requires_grad and not ema.network.training


def test_saving_leaves_the_file_and_nothing_else(tmp_path):
    save_atomically({"a": torch.ones(3)}, tmp_path / "last.pt")
    save_atomically({"a": torch.zeros(3)}, tmp_path / "last.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
    assert not torch.load(tmp_path / "last.pt", weights_only=True)["a"].any()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    save_atomically({"a": 1}, tmp_path / "last.pt")
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_atomically({"a": lambda: 0}, tmp_path / "last.pt")  # cannot be pickled
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
    assert torch.load(tmp_path / "last.pt", weights_only=True) == {"a": 1}


class Clock:
    """Time that passes only in training steps: one second each."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


class Regression:
    """y = 3 x1 - 2 x2 + 1 from its own batch of every step."""

    def __init__(self, clock: Clock, stop_at: int | None = None, start: int = 0) -> None:
        self.clock, self.step, self.stop_at = clock, start, stop_at
        torch.manual_seed(0)
        self.net = nn.Linear(2, 1)

    def data(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(16, 2, generator=torch.Generator().manual_seed(seed))
        return x, x @ torch.tensor([[3.0], [-2.0]]) + 1

    def loss_of(self, net: nn.Module) -> torch.Tensor:
        if self.step == self.stop_at:
            raise KeyboardInterrupt
        self.clock.now += 1.0
        x, y = self.data(self.step)
        self.step += 1
        return (net(x) - y).square().mean()

    def validate(self, net: nn.Module) -> dict[str, float]:
        x, y = self.data(10**6)
        with torch.no_grad():
            return {"loss": float((net(x) - y).square().mean())}

    def train(self, folder, minutes=5.0, **options) -> None:
        train(
            self.net, self.loss_of, self.validate, folder, minutes=minutes, peak_rate=0.1,
            **({"validate_minutes": 1.0} | options),
        )  # fmt: skip


def rows(folder) -> list[dict[str, str]]:
    with open(folder / "log.csv") as stream:
        return list(csv.DictReader(stream))


def test_training_lowers_the_loss_and_writes_what_it_says(tmp_path, clock, capsys):
    task = Regression(clock)
    before = task.validate(task.net)["loss"]
    task.train(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt", "last.pt", "log.csv"]
    log = rows(tmp_path)
    assert [int(r["step"]) for r in log] == [60, 120, 180, 240, 300]
    assert [float(r["minutes"]) for r in log] == [1, 2, 3, 4, 5]
    assert float(log[-1]["loss"]) < 0.02 * before
    assert float(log[-1]["train_loss"]) < float(log[0]["train_loss"])
    best = nn.Linear(2, 1)
    best.load_state_dict(torch.load(tmp_path / "best.pt", weights_only=True))
    assert task.validate(best)["loss"] == pytest.approx(
        min(float(r["loss"]) for r in log), abs=2e-5
    )
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["step"] == 300 and state["spent"] == 300.0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_an_interrupted_run_resumes_to_the_state_of_an_uninterrupted_one(tmp_path, clock):
    whole = Regression(clock)
    whole.train(tmp_path / "whole", minutes=3.0)
    broken = Regression(clock, stop_at=97)
    with pytest.raises(KeyboardInterrupt):
        broken.train(tmp_path / "broken", minutes=3.0)
    clock.now += 12345.0  # the next morning, with a network of its own
    resumed = Regression(clock, start=60)
    with torch.no_grad():
        resumed.net.weight.fill_(9.0)
    resumed.train(tmp_path / "broken", minutes=3.0)
    for name in ("last.pt", "best.pt"):
        a, b = (torch.load(tmp_path / run / name, weights_only=True) for run in ("whole", "broken"))
        a, b = (s.get("network", s) | s.get("ema", {}) for s in (a, b))
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert rows(tmp_path / "whole") == rows(tmp_path / "broken")


def test_best_is_kept_when_it_gets_worse(tmp_path, clock):
    task = Regression(clock)
    figures = iter([3.0, 1.0, 2.0, 4.0, 5.0])
    kept = []

    def validate(net):
        kept.append({k: v.clone() for k, v in net.state_dict().items()})
        return {"loss": next(figures)}

    task.validate = validate
    task.train(tmp_path)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert all(torch.equal(best[k], kept[1][k]) for k in best)


def test_frozen_parameters_stay_and_the_budget_of_a_finished_run_is_spent(tmp_path, clock):
    task = Regression(clock)
    task.net.bias.requires_grad_(False)
    before = task.net.bias.clone()
    task.train(tmp_path, minutes=1.0)
    assert torch.equal(task.net.bias, before)
    steps = task.step
    task.train(tmp_path, minutes=1.0)
    assert task.step == steps  # nothing left to do


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, clock):
    task = Regression(clock)
    task.loss_of = lambda net: net(torch.zeros(1, 2)).sum() * float("nan")
    with pytest.raises(FloatingPointError, match=r"nan at step 0.*last\.pt"):
        task.train(tmp_path)
