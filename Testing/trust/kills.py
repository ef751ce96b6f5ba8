"""Commands killed at random moments: no finished result is lost, the next run is not blocked, and
nothing is left after it.

    python Testing/trust/kills.py [KILLS] [PART OF A COMMAND'S NAME]      300 of all commands

Each command first runs to its end. Then it is started again and again in the same place and killed
with SIGKILL, most often near its end, where results are put in their places; what is there must be
the old or a new result, whole. After every few kills it runs to its end again. At last it runs as
on a full disk.

Needs fork: not on Windows.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTING.parent), str(TESTING), str(TESTING / "training")]
BETWEEN = 5  # kills before the command may end
FULL_BYTES = 3000
HIDDEN = (".axon-", ".import-")


@dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes:
        name: of the command.
        run: does it with a seed, in a folder of its own; ends with the exit code.
        whole: raises where the folder holds anything but one whole result.
        share: of the kills; less for what takes long.
        done: exit codes of a run that came to its end.
    """

    name: str
    run: Callable[[Path, int], int]
    whole: Callable[[Path], object]
    share: float = 1.0
    done: tuple[int, ...] = (0,)


class Inputs:
    """Small inputs of every command."""

    def __init__(self, folder: Path) -> None:
        import conftest
        from training_tiny import make_chest

        from axon_backend.imaging.ct import CTVolume
        from axon_backend.imaging.write import write_volume

        self.bundle = conftest.write_tiny_bundle(folder / "tiny").path
        ct = CTVolume(
            conftest.phantom_hu(), conftest.PHANTOM_SPACING_MM, conftest.PHANTOM_ORIGIN_MM
        )
        self.ct = write_volume(folder / "ct.nii.gz", ct.hu, ct)
        self.xray = TESTING.parent / "axon_backend" / "demo_data" / "xray_pa.jpg"
        self.manifest = folder / "cases.json"
        self.manifest.write_text(json.dumps([{"id": "a", "ct": "ct.nii.gz"}]))
        chests = []
        for number in range(3):
            chest = make_chest((-90.0, 20.0, 50.0 + 20 * number))
            write_volume(folder / f"chest{number}.nii.gz", chest.hu, chest)
            chests.append(f"chest{number}.nii.gz")
        self.data = folder / "data.json"
        self.data.write_text(json.dumps({"train": chests[:2], "validation": chests[2:]}))
        self.rows = folder / "rows.csv"
        self.rows.write_text("id,ct\n" + "".join(f"c{i},{c}\n" for i, c in enumerate(chests[:2])))


def commands(inputs: Inputs) -> Iterator[Command]:
    """All that write, but for `demo`, which is `reconstruct` twice."""
    from training_tiny import tiny

    from axon_backend.cli.main import main
    from axon_backend.training.launch import train

    sampling = ["--bundle", str(inputs.bundle), "--stages", "coarse", "--steps", "1", "--quiet"]

    def drr(folder: Path, seed: int) -> int:
        target = str(folder / "drr.nii.gz")
        return main(["drr", str(inputs.ct), "--size", "64", "--output", target, "--overwrite"])

    def reconstruct(folder: Path, seed: int) -> int:
        return main([
            "reconstruct", "--frontal", str(inputs.xray), "--no-register", "--dicom", "--seed",
            str(seed), *sampling, "--output", str(folder / "out"), "--overwrite",
        ])  # fmt: skip

    def register(folder: Path, seed: int) -> int:
        return main([
            "register", "--xray", str(inputs.xray), "--bundle", str(inputs.bundle), "--seed",
            str(seed), "--output", str(folder / "out"), "--overwrite", "--quiet",
        ])  # fmt: skip

    def evaluate(folder: Path, seed: int) -> int:
        return main([
            "evaluate", "--manifest", str(inputs.manifest), "--seed", str(seed), *sampling,
            "--output", str(folder / "out"), "--overwrite",
        ])  # fmt: skip

    def prepare(folder: Path, seed: int) -> int:
        from axon_backend.dataset.prepare import prepare as run
        from axon_backend.dataset.settings import PrepareSettings

        small = PrepareSettings(seed=seed % 2, view_size=64, voxel_mm=6.0)
        summary = run(inputs.rows, folder / "out", small, workers=0)
        return 1 if summary.failed else 0

    def training(folder: Path, seed: int) -> int:
        resume = (folder / "run" / "checkpoints" / "last.pt").exists()
        steps = 3
        if resume:
            import torch

            steps += torch.load(folder / "run/checkpoints/last.pt", weights_only=True)["step"]
        train(tiny("encoder", steps=steps, pairs=("cache_folder=",)), inputs.data, folder / "run",
              device="cpu", resume=resume)  # fmt: skip
        return 0

    def imported(folder: Path, seed: int) -> int:
        os.environ["AXON_HOME"] = str(folder / "home")
        main(["bundle", "delete", "axon-tiny-0.0.1"])
        return main(["bundle", "import", str(inputs.bundle), "--quiet"])

    yield Command("drr", drr, whole_drr, 2.0)
    yield Command("reconstruct", reconstruct, whole_reconstruction, 1.5)
    yield Command("evaluate", evaluate, whole_evaluation)
    yield Command("prepare", prepare, whole_data)
    yield Command("train", training, whole_run)
    yield Command("bundle import", imported, whole_library, 2.0)
    # 1: refused, and written so that it can be checked
    yield Command("register", register, whole_registration, 0.2, done=(0, 1))


def whole_drr(folder: Path) -> None:
    from axon_backend.imaging.volume_file import load_volume

    assert sorted(visible(folder)) == ["drr.nii.gz", "drr.nii.gz.json"], visible(folder)
    load_volume(folder / "drr.nii.gz")
    json.loads((folder / "drr.nii.gz.json").read_text())


def whole_reconstruction(folder: Path) -> None:
    import nibabel
    import pydicom

    out = folder / "out"
    record = json.loads((out / "result.json").read_text())
    assert sorted(visible(out)) == sorted(record["files"])
    note = str(nibabel.load(out / "reconstruction.nii.gz").header["descrip"])
    assert f"seed {record['seed']}," in note, note
    slices = [pydicom.dcmread(file) for file in (out / "dicom").iterdir()]
    assert len(slices) == slices[0].Rows
    assert slices[0].SeriesDescription.endswith(f"seed {record['seed']}")


def whole_registration(folder: Path) -> None:
    record = json.loads((folder / "out" / "result.json").read_text())
    assert record["registration"] and "overlay.png" in visible(folder / "out")


def whole_evaluation(folder: Path) -> None:
    found, out = visible(folder / "out"), folder / "out"
    assert {"metrics.csv", "comparison.csv", "comparison.md", "comparison.tex"} <= set(found), found
    seed = next(w for w in (out / "comparison.md").read_text().splitlines() if "seed: " in w)
    page = out / "index.html"
    assert not page.exists() or seed.split()[-1] in page.read_text()


def whole_data(folder: Path) -> None:
    from axon_backend.dataset.dataset import Dataset
    from axon_backend.dataset.store import read_record

    data = Dataset.read(folder / "out")
    for case in data.cases:
        assert case.ct.is_file()
    for place in (folder / "out" / "cases").iterdir():
        if not place.name.startswith("."):
            assert read_record(folder / "out", place.name) is not None, place


def whole_run(folder: Path) -> None:
    from axon_backend.training.checkpoint import load_checkpoint

    for name in ("last.pt", "best.pt"):
        load_checkpoint(folder / "run" / "checkpoints" / name)


def whole_library(folder: Path) -> None:
    from axon_backend.bundle import verify_bundle

    for place in (folder / "home").rglob("configs"):
        if not any(part.startswith(".") for part in place.relative_to(folder).parts):
            verify_bundle(place.parent)


def visible(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if not p.name.startswith(".")]


def leftovers(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in folder.rglob(".*") if p.name.startswith(HIDDEN)]


def child(work: Callable[[], int], log: Path) -> int:
    """Start it in a fork of this process; returns the process's number."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def to_the_end(command: Command, folder: Path, seed: int, log: Path) -> list[str]:
    """Run it; what is wrong afterwards."""
    _, status = os.waitpid(child(lambda: command.run(folder, seed), log), 0)
    wrong = []
    if os.waitstatus_to_exitcode(status) not in command.done:
        wrong.append(f"blocked or failed: {log.read_text(errors='replace')[-600:]}")
    wrong += [f"left {name}" for name in leftovers(folder)]
    return wrong + problems(command, folder)


def problems(command: Command, folder: Path) -> list[str]:
    try:
        command.whole(folder)
    except Exception as error:
        return [f"no whole result: {type(error).__name__}: {error}"]
    return []


def kill_often(command: Command, kills: int, folder: Path, seed: int = 0) -> list[str]:
    """Kill it that often; what went wrong."""
    draw = random.Random(f"{seed} {command.name}")
    log = folder.with_suffix(".log")
    folder.mkdir()
    wrong = to_the_end(command, folder, 0, log)
    began = time.monotonic()
    wrong += to_the_end(command, folder, 1, log)
    lasts = time.monotonic() - began
    for number in range(kills):
        pid = child(lambda number=number: command.run(folder, number + 2), log)
        early = draw.random() < 0.4
        wait = draw.uniform(0, lasts) if early else draw.uniform(0.7 * lasts, 1.05 * lasts)
        time.sleep(wait)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        wrong += [f"kill {number} after {wait:.2f} s: {p}" for p in problems(command, folder)]
        if (number + 1) % BETWEEN == 0 or number + 1 == kills:
            found = to_the_end(command, folder, number + 1000, log)
            wrong += [f"after kill {number}: {p}" for p in found]
    return wrong + [f"full disk: {p}" for p in on_a_full_disk(command, folder, log)]


def on_a_full_disk(command: Command, folder: Path, log: Path) -> list[str]:
    """Run it where no file may grow beyond a few kilobytes: it fails in a sentence, and the result
    before it stays."""
    import resource

    from axon_backend.dataset.store import OutputFailed
    from axon_backend.errors import AxonInputError

    def limited() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))
        try:
            return command.run(folder, 3)
        except (AxonInputError, OutputFailed) as error:  # of a Python call
            print(error)
            return 1

    _, status = os.waitpid(child(limited, log), 0)
    said, code = log.read_text(errors="replace"), os.waitstatus_to_exitcode(status)
    wrong = [f"left {name}" for name in leftovers(folder)] + problems(command, folder)
    if code not in (1, 2) or "Traceback" in said or "failed with" in said:
        wrong.append(f"exit code {code}: {said[-600:]}")
    return wrong


def main(arguments: list[str]) -> int:
    """Share the kills among the commands; prints a line for each, and a summary."""
    import torch

    from axon_backend.evaluation import render3d

    torch.set_num_threads(1)  # forks have no other threads
    render3d._render_in_subprocess = lambda *args: None  # seconds for each image, in a process
    kills = int(arguments[0]) if arguments else 300
    part = arguments[1] if len(arguments) > 1 else ""
    bad = total = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = [c for c in commands(Inputs(folder)) if part in c.name]
        shares = sum(command.share for command in chosen)
        for command in chosen:
            count = max(1, round(kills * command.share / shares))
            place = folder / command.name.replace(" ", "-")
            wrong = kill_often(command, count, place)
            total, bad = total + count, bad + len(wrong)
            print(f"{command.name}: {count} kills, {len(wrong)} wrong", flush=True)
            for one in wrong[:5]:
                print(f"  {one}", flush=True)
            shutil.rmtree(place, ignore_errors=True)
    print(json.dumps({"kills": total, "wrong": bad}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
