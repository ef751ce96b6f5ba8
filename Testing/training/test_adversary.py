"""Adversarial trainings: two networks, two optimisers, one run that can be resumed."""

import copy
import csv

import pytest
import torch
from training_tiny import shared

from axon_backend.training.launch import train as run_train
from axon_backend.training.plan import resolve
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.settings import apply, apply_pairs
from axon_backend.training.trainer import Trainer

TINY = {
    "x2ct": {
        "model": {
            "stem": 8, "layers": [1, 1, 1], "growth": 4, "decoder": [8, 8, 4, 4],
            "blocks": [1, 1, 1], "fused_blocks": [1, 1, 1, 0],
        },
        "loss": {"discriminator_channels": 4},
    },
    "repeat_concatenate": {
        "model": {"channels": [8, 8]},
        "loss": {"critic": "transport", "critic_channels": 4},
    },
}  # fmt: skip
COMMON = {
    "batch": 2,
    "micro_batch": 1,
    "log_steps": 1,
    "precision": "32",
    "threads": 1,
    "data": {"cache": 4, "workers": 0},
    "validation": {"every_steps": 3, "cases": 1, "samples": 0},
    "model": {"grid": 24, "view_size": 24},
}


def tiny(method: str, training: str, steps: int, *pairs: str):
    """Adversarial settings for made-up chests of 24^3."""
    config = apply(resolve(training, method=method, steps=steps), COMMON)
    config = apply(config, {"data": {"cache_folder": shared["cache"]}, **TINY[method]})
    return apply_pairs(config, pairs).check()


def curve(folder: RunFolder) -> list[tuple]:
    with open(folder.metrics_file) as stream:
        rows = list(csv.DictReader(stream))
    keys = ("step", "loss", "gradient", "lr", "adversary_loss")
    return [tuple(r[k] for k in keys) for r in rows if r["loss"]]


def flat(state, name="") -> dict:
    """Tensors and numbers of nested dictionaries and lists, by place."""
    if isinstance(state, dict):
        parts = [flat(v, f"{name}.{k}") for k, v in state.items()]
    elif isinstance(state, (list, tuple)):
        parts = [flat(v, f"{name}.{i}") for i, v in enumerate(state)]
    else:
        return {name: state}
    return {k: v for part in parts for k, v in part.items()}


def same(a, b) -> bool:
    a, b = flat(a), flat(b)
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if torch.is_tensor(a[k]) else a[k] == b[k] for k in a
    )


def test_a_run_that_was_stopped_goes_on_bit_by_bit(train, tmp_path, monkeypatch):
    config = tiny("x2ct", "gan", 5)
    whole = train(config, "whole")
    folder = RunFolder(tmp_path / "broken")
    original = Trainer._update

    def update(self, *arguments):
        original(self, *arguments)
        if self.step == 2:
            folder.request_stop()

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", update)
        assert train(config, "broken").status() == "stopped"
    train(config, "broken", resume=True)
    assert [row[0] for row in curve(folder)] == list("12345")
    assert curve(folder) == curve(whole)
    one, other = (torch.load(f.last, weights_only=True) for f in (folder, whole))
    for key in ("parts", "ema", "optimiser", "adversary", "meter"):
        assert same(one[key], other[key]), key
    best = torch.load(folder.best, weights_only=True)
    assert "adversary" not in best and set(best["parts"]) == {"generator"}


@pytest.fixture
def trainer(train, monkeypatch):
    """The trainer of a run, after it."""

    def call(config, **options) -> Trainer:
        seen = []
        with monkeypatch.context() as patch:
            original = Trainer.run
            patch.setattr(Trainer, "run", lambda self, *a: seen.append(self) or original(self, *a))
            train(config, **options)
        return seen[0]

    return call


def test_both_are_trained_each_by_its_own_loss(trainer, monkeypatch):
    """The networks' loss leaves the adversary as it is, and the adversary's the networks."""
    changed = []
    original = Trainer._update

    def update(self, *arguments):
        networks = copy.deepcopy(self.objective.networks()["generator"].state_dict())
        adversary = copy.deepcopy(self.adversary.adversary.state_dict())
        moved = []

        def step(*micro):
            assert all(p.grad is None for p in self.adversary.parameters)
            after = copy.deepcopy(self.objective.networks()["generator"].state_dict())
            moved.append(
                (same(networks, after), same(adversary, self.adversary.adversary.state_dict()))
            )
            inner(*micro)
            moved.append((same(after, self.objective.networks()["generator"].state_dict()),
                          same(adversary, self.adversary.adversary.state_dict())))  # fmt: skip

        inner = self.adversary.update
        with monkeypatch.context() as patch:
            patch.setattr(self.adversary, "update", step)
            original(self, *arguments)
        changed.append(moved)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", update)
        trainer(tiny("x2ct", "gan", 2))
    assert changed == [[(False, True), (True, False)]] * 2


def test_the_adversary_takes_its_share_of_the_steps_and_follows_the_schedule(trainer):
    steps = 5
    pairs = ("critic_every=2", "schedule=constant", "warm_up=0", "lr=1e-3", "critic_lr=5e-4")
    found = trainer(tiny("repeat_concatenate", "critic", steps, *pairs)).adversary
    taken = {int(s["step"]) for s in found.optimiser.state.values()}
    assert taken == {3}  # of steps 0, 2 and 4
    assert found.optimiser.param_groups[0]["lr"] == pytest.approx(5e-4)
    assert not any(p.requires_grad for p in found.parameters)


def test_a_loss_that_is_no_number_stops_the_run_whoever_has_it(data, tmp_path, monkeypatch):
    from axon_backend.methods.adversaries import LeastSquaresAdversary

    original = LeastSquaresAdversary.forward
    monkeypatch.setattr(
        LeastSquaresAdversary, "forward", lambda *inputs: original(*inputs) * float("nan")
    )
    with pytest.raises(FloatingPointError, match="The adversary's loss is not a number"):
        run_train(tiny("x2ct", "gan", 3), data, tmp_path / "run", device="cpu")
