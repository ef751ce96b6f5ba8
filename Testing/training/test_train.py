"""Whole runs of tiny networks: resume, kill, two processes, stop, and what can go wrong."""

import csv
import json
import os
import signal
import socket
import sys
import time

import pytest
import torch
from training_tiny import tiny

from axon_backend.bundle import load_bundle
from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.train_encoder import EncoderObjective
from axon_backend.training.data.samples import Samples
from axon_backend.training.launch import train as run_train
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.trainer import Trainer

STAGES = ("encoder", "coarse", "prior", "controlnet", "sr", "harmoniser")


def curve(folder: RunFolder) -> list[tuple]:
    """(step, loss, gradient, lr) of the training rows."""
    with open(folder.metrics_file) as stream:
        rows = list(csv.DictReader(stream))
    return [tuple(r[k] for k in ("step", "loss", "gradient", "lr")) for r in rows if r["loss"]]


def events(folder: RunFolder, kind: str) -> list[dict]:
    return [e for e in folder.events()[0] if e["event"] == kind]


def weights(file) -> dict[str, torch.Tensor]:
    parts = torch.load(file, weights_only=True)["parts"]
    return {f"{part}.{k}": v for part, state in parts.items() for k, v in state.items()}


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_all_stages_train_one_after_the_other_and_write_what_they_say(train, tmp_path):
    for stage in STAGES:
        shown = "1" if stage in ("prior", "sr") else "0"
        config = tiny(stage, steps=2, pairs=(f"validation.samples={shown}", "cache_folder="))
        folder = train(config, stage)
        state = folder.state()
        assert state["status"] == "finished" and state["stage"] == stage
        assert folder.status() == "finished"
        kinds = [e["event"] for e in folder.events()[0]]
        assert kinds[0] == "start" and kinds[-1] == "end"
        assert {"step", "validation", "checkpoint"} <= set(kinds)
        last = torch.load(folder.last, weights_only=True)
        assert last["step"] == 2 and set(last["parts"]) == set(config.trains)
        samples = events(folder, "sample")
        assert len(samples) == int(shown)
        for event in samples:
            assert event["files"].keys() == {"prediction", "truth", "image"}
            assert all(os.path.getsize(file) > 500 for file in event["files"].values())
        metrics = events(folder, "validation")[0]["metrics"]
        assert all(isinstance(v, float) for v in metrics.values())
    names = sorted(p.name.split("-")[0] for p in tmp_path.iterdir())
    # Encoder and bridge come from the joint run, which is the later one; pairs are drawn once.
    assert names == sorted([*STAGES, "mean", "pairs"])
    networks = RunFolder(tmp_path / "sr").state()["networks"]
    assert {p: n["from"] for p, n in networks.items()} == {
        "encoder": "coarse", "coarse": "coarse", "prior": "prior", "controlnet": "controlnet",
        "sr": "random initialisation",
    }  # fmt: skip


def test_a_stage_changes_its_own_networks_only_and_lowers_its_loss(train):
    config = tiny("encoder", steps=30, pairs=("batch=1", "lr=0.01", "single_view=0", "cache=1"))
    folder = train(config)
    losses = [float(row[1]) for row in curve(folder)]
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_same_run_twice_is_the_same_bit_by_bit(train):
    a, b = (train(tiny(steps=3), name) for name in ("a", "b"))
    assert curve(a) == curve(b)
    assert same(weights(a.last), weights(b.last)) and same(weights(a.best), weights(b.best))
    other = train(tiny(steps=3, pairs=("seed=1",)), "other")
    assert curve(other) != curve(a)


def test_a_resumed_run_draws_the_random_numbers_of_the_whole_one(train, monkeypatch):
    """Methods may draw from torch's own generator, for example for dropout."""
    update, drawn = Trainer._update, []

    def drawing(self, *arguments):
        drawn.append(torch.rand(1).item())
        update(self, *arguments)

    monkeypatch.setattr(Trainer, "_update", drawing)
    train(tiny("encoder", steps=8), "whole")
    whole, drawn[:] = list(drawn), []
    train(tiny("encoder", steps=6), "broken")
    torch.manual_seed(1234)
    train(tiny("encoder", steps=8), "broken", resume=True)
    assert len(whole) == 8 and drawn == whole


def test_a_run_killed_at_any_moment_goes_on_to_the_same_curve(train, data, tmp_path, forked):
    whole = train(tiny(steps=18), "whole")
    broken = RunFolder(tmp_path / "broken")
    child = forked(lambda: run_train(tiny(steps=18), data, broken.path, device="cpu"))
    deadline = time.monotonic() + 100
    while not any(e["step"] >= 7 for e in events(broken, "checkpoint") + events(broken, "step")):
        assert time.monotonic() < deadline and child.is_alive()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert broken.state()["status"] == "running"  # it could not say more
    assert broken.status() == "died" and not broken.is_alive()
    reached = torch.load(broken.last, weights_only=True)["step"]
    assert 6 <= reached < 18
    resumed = train(tiny(steps=18), "broken", resume=True)
    assert curve(resumed) == curve(whole)
    assert same(weights(resumed.last), weights(whole.last))
    assert same(weights(resumed.best), weights(whole.best))
    assert [e["step"] for e in events(resumed, "start")] == [0, reached]


def start_two(forked, run):
    """``run()`` in two processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0",
    }  # fmt: skip
    return [forked(run, env={**common, "RANK": rank, "LOCAL_RANK": rank}) for rank in "01"]


def join(processes) -> list[int]:
    """Their exit codes."""
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def in_two(forked, config, data, folder, **options) -> list[int]:
    """Train on two processes."""
    return join(start_two(forked, lambda: run_train(config, data, folder, device="cpu", **options)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["muon", "adam"])
def test_two_processes_train_as_one_with_the_same_global_batch(train, data, tmp_path, forked, name):
    """Sample i is the same whoever draws it, and gradients are averaged; a resumed run may change
    the number of processes. (Adam divides by the gradient's size: rounding grows in it.)"""
    pairs = ("batch=4", "micro_batch=2", f"optimiser.name={name}", "lr=1e-3", "every_steps=4")
    one = train(tiny(steps=4, pairs=pairs), "one")
    assert in_two(forked, tiny(steps=4, pairs=pairs), data, tmp_path / "two") == [0, 0]
    two = RunFolder(tmp_path / "two")
    assert events(two, "start")[0]["processes"] == 2
    for a, b in zip(curve(one), curve(two), strict=True):
        assert [float(v) for v in a] == pytest.approx([float(v) for v in b], rel=1e-4)
    a, b = weights(one.last), weights(two.last)
    assert all(torch.allclose(a[k], b[k], atol=2e-5) for k in a)
    more = tiny(steps=6, pairs=pairs)
    assert in_two(forked, more, data, tmp_path / "one", resume=True) == [0, 0]
    train(more, "two", resume=True)
    assert [r[0] for r in curve(one)] == [r[0] for r in curve(two)] == list("123456")
    for a, b in zip(curve(one), curve(two), strict=True):
        assert [float(v) for v in a] == pytest.approx([float(v) for v in b], rel=1e-4)


def test_what_concerns_one_process_concerns_both(data, tmp_path, forked):
    """Nobody is left waiting: not for a stop, and not for one that failed."""
    folder = RunFolder(tmp_path / "stopped")
    config = tiny("encoder", steps=10**6)
    both = start_two(forked, lambda: run_train(config, data, folder.path, device="cpu"))
    deadline = time.monotonic() + 100
    while not events(folder, "step"):
        assert time.monotonic() < deadline and all(p.is_alive() for p in both)
        time.sleep(0.02)
    folder.request_stop()
    assert join(both) == [0, 0] and folder.status() == "stopped"

    failed = RunFolder(tmp_path / "failed")

    def broken():
        original = Samples.__getitem__

        def sample(self, index):
            if index == 5:  # the second sample of the third step: the second process's
                raise AxonInputError("Case x: no lungs.")
            return original(self, index)

        Samples.__getitem__ = sample
        run_train(tiny("encoder", steps=9), data, failed.path, device="cpu")

    assert join(start_two(forked, broken)) == [1, 1]
    state = failed.state()
    assert state["status"] == "failed"
    assert state["error"] == "Another process of this run failed: Case x: no lungs."
    assert [row[0] for row in curve(failed)] == list("12")


def test_a_stop_file_ends_the_run_after_its_step_and_it_goes_on(train, tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run")
    original = Trainer._update

    def update(self, *arguments):
        original(self, *arguments)
        if self.step == 3:
            folder.request_stop()

    monkeypatch.setattr(Trainer, "_update", update)
    train(tiny("encoder", steps=5))
    assert folder.status() == "stopped" and not folder.stop_file.exists()
    assert torch.load(folder.last, weights_only=True)["step"] == 3
    assert events(folder, "end")[-1]["status"] == "stopped"
    monkeypatch.undo()
    train(tiny("encoder", steps=5), resume=True)
    assert folder.status() == "finished"
    assert [row[0] for row in curve(folder)] == list("12345")
    assert curve(folder) == curve(train(tiny("encoder", steps=5), "whole"))


def test_a_signal_stops_as_the_stop_file_does(train, tmp_path, monkeypatch):
    original = Trainer._update

    def update(self, *arguments):
        original(self, *arguments)
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "_update", update)
    folder = train(tiny("encoder", steps=5))
    assert folder.status() == "stopped"
    assert torch.load(folder.last, weights_only=True)["step"] == 2


def test_a_loss_that_is_not_a_number_keeps_the_last_good_state(train, tmp_path, monkeypatch):
    train(tiny("encoder", steps=2))
    folder = RunFolder(tmp_path / "run")
    good = weights(folder.last)
    original = EncoderObjective.forward
    monkeypatch.setattr(
        EncoderObjective, "forward", lambda self, batch: original(self, batch) * float("nan")
    )
    with pytest.raises(FloatingPointError, match=r"The loss is not a number.*last good state"):
        train(tiny("encoder", steps=4), resume=True)
    assert folder.status() == "failed" and "--resume" in folder.state()["error"]
    assert same(weights(folder.last), good)
    assert all(torch.isfinite(v).all() for v in weights(folder.best).values())
    end = events(folder, "end")[-1]
    assert end["status"] == "failed" and "not a number" in end["error"]


def test_a_full_disk_keeps_the_last_checkpoint(train, data, tmp_path, forked):
    """Files may not grow beyond a limit, as on a full disk: the write fails half-way."""
    import resource

    train(tiny("encoder", steps=2))
    folder = RunFolder(tmp_path / "run")
    good = folder.last.read_bytes()

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = len(good) // 2
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        words = f"train encoder --data {data} --run {folder.path} --config {folder.config_file}"
        sys.exit(main([*words.split(), "--steps", "3", "--device", "cpu", "--resume"]))

    child = forked(limited)
    child.join(100)
    assert child.exitcode == 1, "failed: not 2, which blames the input"
    assert folder.last.read_bytes() == good
    assert not list(folder.last.parent.glob(".*"))
    state = folder.state()
    assert state["status"] == "failed"
    assert "could not be written" in state["error"] and "--resume" in state["error"]


def test_two_runs_do_not_share_a_folder(train, data, tmp_path, forked):
    from axon_backend.training.run.lock import RunLock

    folder = RunFolder(tmp_path / "run")
    with RunLock(folder), pytest.raises(AxonInputError, match="is being trained by"):
        train(tiny("encoder", steps=1))

    def other():
        with RunLock(folder):
            (tmp_path / "held").touch()
            time.sleep(100)

    child = forked(other)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    with pytest.raises(AxonInputError, match="choose another --run"):
        train(tiny("encoder", steps=1))
    child.kill()
    child.join()
    half = folder.last.with_name(".axon-0123456789ab.file") / "last.pt"
    half.parent.mkdir(parents=True)
    half.touch()
    train(tiny("encoder", steps=1))  # a killed run leaves no lock behind
    assert not half.parent.exists()


def test_an_old_run_is_neither_overwritten_nor_continued_by_mistake(train):
    train(tiny(steps=1))
    with pytest.raises(AxonInputError, match="already holds a run of stage coarse.*--resume"):
        train(tiny(steps=1))
    with pytest.raises(AxonInputError, match="stage coarse, not of prior"):
        train(tiny("prior", steps=2), resume=True)
    wider = tiny(steps=2, pairs=("model.coarse.channels=[8,16]",))
    with pytest.raises(AxonInputError, match=r"started with model\.coarse\.channels = \[8, 8\]"):
        train(wider, resume=True)


def test_a_wrong_command_leaves_the_run_as_it_is(train, tmp_path):
    """run.json says what the run is to whoever builds on it: it must not tell of the mistake."""
    folder = train(tiny(steps=1))
    before = folder.run_file.read_bytes(), folder.config_file.read_bytes()
    with pytest.raises(AxonInputError, match="stage coarse, not of prior"):
        train(tiny("prior", steps=2), resume=True)
    with pytest.raises(AxonInputError, match="started with model"):
        train(tiny(steps=2, pairs=("model.coarse.channels=[8,16]",)), resume=True)
    with pytest.raises(AxonInputError, match="bundle axon-preview .* has another architecture"):
        train(tiny(steps=2), resume=True, start=load_bundle())
    good = folder.last.read_bytes()
    folder.last.write_bytes(good[: len(good) // 2])
    with pytest.raises(AxonInputError, match=r"last\.pt could not be read as a checkpoint"):
        train(tiny(steps=2), resume=True)
    assert (folder.run_file.read_bytes(), folder.config_file.read_bytes()) == before
    (tmp_path / "file").touch()
    with pytest.raises(AxonInputError, match="is a file; --run must be a folder"):
        train(tiny(steps=1), "file")


def test_a_run_that_failed_before_its_first_checkpoint_is_simply_started_again(train):
    with pytest.raises(AxonInputError, match="needs a trained 'encoder'"):
        train(tiny("controlnet", steps=1), "c")
    assert train(tiny("encoder", steps=1), "c").status() == "finished"


def test_changed_data_are_told_on_resume(train, data, tmp_path):
    folder = train(tiny("encoder", steps=1))
    train(tiny("encoder", steps=2), resume=True)
    assert not events(folder, "message")
    more = data.with_name("more.json")
    listing = json.loads(data.read_text())
    listing["train"].pop()
    more.write_text(json.dumps(listing))
    train(tiny("encoder", steps=3), data=more, resume=True)
    (text,) = (e["text"] for e in events(folder, "message") if e["level"] == "warning")
    assert "1 training and 1 validation cases now, 2 and 1 before" in text


def test_a_stop_is_heard_from_the_process_start_on_and_an_old_one_is_not(train, tmp_path):
    """Importing torch takes seconds; who asks meanwhile is heard."""
    start = time.time()
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.request_stop()
    os.utime(folder.stop_file, (start - 60, start - 60))  # of a run that was killed
    train(tiny("encoder", steps=1), since=start)
    assert folder.status() == "finished" and not folder.stop_file.exists()
    folder.request_stop()
    train(tiny("encoder", steps=2), since=start, resume=True)
    assert folder.status() == "stopped" and not folder.stop_file.exists()
    assert torch.load(folder.last, weights_only=True)["step"] == 1


def test_a_changed_setting_is_told_on_resume(train):
    train(tiny(steps=1))
    folder = train(tiny(steps=2, pairs=("lr=1e-5",)), resume=True)
    texts = [e["text"] for e in events(folder, "message") if e["level"] == "warning"]
    assert any("optimiser.lr: 0.0015 -> 1e-05" in t for t in texts)


def test_wrong_data_is_named_and_said_in_the_run_folder(train, data, tmp_path):
    (tmp_path / "bad").mkdir()
    listing = {"train": ["cut.nii.gz"], "validation": ["whole.nii.gz"]}
    whole = (data.parent / "a.nii.gz").read_bytes()
    (tmp_path / "bad" / "whole.nii.gz").write_bytes(whole)
    (tmp_path / "bad" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    bad = tmp_path / "bad" / "data.json"
    bad.write_text(json.dumps(listing))
    with pytest.raises(AxonInputError, match="Case cut: .*damaged"):
        train(tiny(steps=1), data=bad)
    assert "Case cut" in RunFolder(tmp_path / "run").state()["error"]

    listing["train"] = []
    bad.write_text(json.dumps(listing))
    with pytest.raises(AxonInputError, match="no cases in its split 'train'"):
        train(tiny(steps=1), "none", data=bad)
    listing["train"] = ["gone.nii.gz"]
    bad.write_text(json.dumps(listing))
    with pytest.raises(AxonInputError, match=r"Case gone: .*gone\.nii\.gz is missing"):
        train(tiny(steps=1), "none", data=bad)
    for wrong, words in (
        ({"train": "a.nii.gz", "validation": []}, "'train' is \"a.nii.gz\"; expected a list"),
        ({"train": ["x"], "validation": [1]}, "'validation' is .1.; expected a list"),
        ({"train": ["whole.nii.gz"], "validation": ["./whole.nii.gz"]}, "in train and in valid"),
        ({"train": ["x"], "val": ["y"]}, "'val' is not known; it is one of train, val"),
    ):
        bad.write_text(json.dumps(wrong))
        with pytest.raises(AxonInputError, match=words):
            train(tiny(steps=1), "none", data=bad)
    bad.write_text(json.dumps({"train": ["x"], "validation": ["y"]}), encoding="utf-8-sig")
    with pytest.raises(AxonInputError, match="Case x: .*is missing"):
        train(tiny(steps=1), "none", data=bad)
    assert not (tmp_path / "none").exists()
    (tmp_path / "bad" / "dataset.json").touch()
    with pytest.raises(AxonInputError, match="is a data set. Choose another --run"):
        train(tiny(steps=1), "bad")


def test_a_stage_without_the_one_before_it_says_what_to_train(train):
    with pytest.raises(AxonInputError, match="needs a trained 'encoder'.*axon train encoder"):
        train(tiny("controlnet", steps=1))


def test_encoder_first_leaves_the_encoder_as_it_is(train):
    encoder = train(tiny("encoder", steps=2), "encoder")
    coarse = train(tiny("coarse", steps=2, pairs=("joint=false",)), "coarse")
    assert coarse.state()["networks"]["encoder"]["from"] == "encoder"
    assert all(k.startswith("coarse.") for k in weights(coarse.last))
    assert all(k.startswith("encoder.") for k in weights(encoder.best))


@pytest.mark.slow
def test_workers_deliver_the_samples_of_one_process(train):
    a = train(tiny("encoder", steps=2), "a")
    b = train(tiny("encoder", steps=2, pairs=("workers=1",)), "b")
    assert curve(a) == curve(b)


def test_a_closed_pipe_does_not_end_the_training(data, tmp_path, forked):
    folder = RunFolder(tmp_path / "run")
    reader, pipe = os.pipe()

    def talking():
        os.close(reader)
        os.dup2(pipe, 1)
        import sys

        sys.stdout = os.fdopen(1, "w")
        run_train(tiny("encoder", steps=3), data, folder.path, device="cpu", output="json")

    child = forked(talking)
    os.close(pipe)
    os.close(reader)  # nobody listens from the first word on
    child.join(100)
    assert folder.status() == "finished"
    assert [row[0] for row in curve(folder)] == list("123")
