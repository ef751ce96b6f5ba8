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

import contextlib
import importlib
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
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pydicom

HERE = Path(__file__).resolve().parent
TESTING = HERE.parent
sys.path[:0] = [str(TESTING.parent), str(TESTING), str(TESTING / "training"), str(HERE)]
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
        import bad_inputs
        import conftest
        from training_tiny import make_chest, write_runs

        from axon_backend.imaging.ct import CTVolume
        from axon_backend.imaging.frame import find_thorax_frame
        from axon_backend.imaging.view import View
        from axon_backend.imaging.write import write_png, write_volume
        from axon_backend.physics.drr import render_drr
        from axon_backend.physics.geometry import AcquisitionGeometry

        self.bundle = conftest.write_tiny_bundle(folder / "tiny").path
        ct = CTVolume(
            conftest.phantom_hu(), conftest.PHANTOM_SPACING_MM, conftest.PHANTOM_ORIGIN_MM
        )
        self.ct = write_volume(folder / "ct.nii.gz", ct.hu, ct)
        geometry = AcquisitionGeometry.of_frame(find_thorax_frame(ct), View.pa)
        image = render_drr(ct, geometry, 256).numpy()
        image /= image.max()
        self.xray = write_png(folder / "pa.png", image, bits=16)
        self.studies = folder / "studies"
        self.studies.mkdir()
        for name in "ab":
            shutil.copy(self.xray, self.studies / f"{name}_pa.png")
        self.dicom = bad_inputs.dicom((4095 * image).astype("<u2"), PatientOrientation=["L", "F"])
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
        self.runs = folder / "runs"
        write_runs(self.runs)


def commands(inputs: Inputs) -> Iterator[Command]:
    """All that write files."""
    from training_tiny import tiny

    from axon_backend.cli import demo as the_demo
    from axon_backend.cli.main import main
    from axon_backend.cohort.received import uid_name
    from axon_backend.cohort.settings import CohortSettings
    from axon_backend.training.launch import train

    sampling = ["--bundle", str(inputs.bundle), "--stages", "coarse", "--steps", "1", "--quiet"]
    small = CohortSettings(str(inputs.bundle), ("coarse",), (1,), register=False, report=False)

    def drr(folder: Path, seed: int) -> int:
        target = str(folder / "drr.nii.gz")
        return main(["drr", str(inputs.ct), "--size", "64", "--output", target, "--overwrite"])

    def reconstruct(folder: Path, seed: int) -> int:
        return main([
            "reconstruct", "--frontal", str(inputs.xray), "--no-register", "--dicom", "--seed",
            str(seed), *sampling, "--output", str(folder / "out"), "--overwrite",
        ])  # fmt: skip

    def view(folder: Path, seed: int) -> int:
        """*Reconstruct* and *Save* of its page, which write; it saves into new folders only."""
        from axon_backend.inference.case_files import read_case
        from axon_backend.inference.session import InferenceSession
        from axon_backend.viewer.settings import RunSettings
        from axon_backend.viewer.xray_case import XrayCase

        case = XrayCase(read_case(inputs.xray, None, None), InferenceSession(inputs.bundle, "cpu"))
        case.placed = {role: replace(one, confirmed=True) for role, one in case.placed.items()}
        shutil.rmtree(folder / "out", ignore_errors=True)
        result = case.reconstruct(RunSettings(("coarse",), (1,), seed), allow_poor=True)
        case.save(result, folder / "out")
        return 0

    def register(folder: Path, seed: int) -> int:
        return main([
            "register", "--xray", str(inputs.xray), "--bundle", str(inputs.bundle), "--seed",
            str(seed), "--output", str(folder / "out"), "--overwrite", "--quiet",
        ])  # fmt: skip

    def evaluate(folder: Path, seed: int) -> int:
        return main([
            "evaluate", "--manifest", str(inputs.manifest), "--figures", "0", "--views", "1",
            "--seed", str(seed), *sampling, "--output", str(folder / "out"), "--overwrite",
        ])  # fmt: skip

    def cohort(folder: Path, seed: int) -> int:
        from axon_backend.cohort.run import reconstruct_cohort

        settings = replace(small, seed=seed, dicom="anonymous")
        summary = reconstruct_cohort(inputs.studies, folder / "out", settings)
        return 0 if summary.counts["done"] == 2 else 1

    def dicom(folder: Path, seed: int) -> int:
        """The node gets one more image of a study, whose name is noted when it is acknowledged."""
        from axon_backend.cohort.dicom_service import DicomService, ServiceSettings

        cohort = replace(small, seed=seed, dicom="identified")
        settings = ServiceSettings(port=0, settle_seconds=0.01, cohort=cohort)
        with DicomService(folder / "node", settings) as service:
            uid = send(inputs.dicom, service.port, seed)
            with (folder / "acknowledged").open("a") as stream:
                stream.write(f"{uid}\n")
            time.sleep(0.02)
            while service.step():
                pass
        return 0

    def fetch(folder: Path, seed: int) -> int:
        from axon_backend.cohort.dicomweb import fetch as run

        shutil.rmtree(folder / "studies" / uid_name("1.2.1"), ignore_errors=True)  # to fetch again
        done = run(Archive(inputs.dicom), folder / "studies")
        return 1 if done.failed else 0

    def prepare(folder: Path, seed: int) -> int:
        from axon_backend.dataset.prepare import prepare as run
        from axon_backend.dataset.settings import PrepareSettings

        settings = PrepareSettings(seed=seed % 2, view_size=64, voxel_mm=6.0)
        summary = run(inputs.rows, folder / "out", settings, workers=0)
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

    def exported(folder: Path, seed: int) -> int:
        return main([
            "bundle", "export", str(inputs.runs), str(folder / "bundle"), "--version",
            f"1.0.{seed}", "--overwrite",
        ])  # fmt: skip

    def calibrated(folder: Path, seed: int) -> int:
        shutil.rmtree(folder / "bundle", ignore_errors=True)  # it replaces nothing
        return main([
            "bundle", "calibrate", str(inputs.bundle), "--data", str(inputs.data), "--each", "1",
            "--steps", "2", "--output", str(folder / "bundle"),
        ])  # fmt: skip

    def demo(folder: Path, seed: int) -> int:
        the_demo.XRAY, the_demo.CT = inputs.xray, inputs.ct
        return main([
            "demo", "--bundle", str(inputs.bundle), "--seed", str(seed), "--output",
            str(folder / "out"), "--overwrite", "--quiet",
        ])  # fmt: skip

    yield Command("drr", drr, whole_drr, 3)
    yield Command("reconstruct", reconstruct, whole_reconstruction)
    # it replaces nothing: between two results there is none
    yield Command("view", view, whole_or_absent, 0.4)
    yield Command("evaluate", evaluate, whole_evaluation, 0.7)
    yield Command("cohort reconstruct", cohort, whole_cohort, 0.7)
    yield Command("dicom serve", dicom, whole_node)
    yield Command("dicom fetch", fetch, whole_studies, 0.7)
    yield Command("prepare", prepare, whole_data, 2)
    yield Command("train", training, whole_run, 0.7)
    yield Command("bundle import", imported, whole_library, 3)
    yield Command("bundle export", exported, whole_bundle, 3)
    yield Command("bundle calibrate", calibrated, whole_or_no_bundle, 0.4)
    # 1: refused, and written so that it can be checked
    yield Command("register", register, whole_registration, 0.2, done=(0, 1))
    yield Command("demo", demo, whole_demo, 0.2, done=(0, 1))


def send(file: bytes, port: int, seed: int) -> str:
    """Send an X-ray of the one study as image number ``seed``; its UID when it is acknowledged."""
    import io

    import pydicom
    import pynetdicom

    from axon_backend.errors import AxonInputError

    item = pydicom.dcmread(io.BytesIO(file))
    uid = f"1.2.3.{os.getpid()}.{seed}"
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = uid
    item.InstanceNumber = 10_000 - seed  # the first is used
    client = pynetdicom.AE("SENDER")
    client.add_requested_context(item.SOPClassUID, item.file_meta.TransferSyntaxUID)
    link = client.associate("127.0.0.1", port, ae_title="AXON")
    status = link.send_c_store(item).Status
    link.release()
    if status != 0:
        raise AxonInputError(f"The node did not store the image: {status:#06x}.")
    return uid


class Archive:
    """What a client of a DICOMweb server does, with ``studies`` of ``images`` that differ in their
    UIDs only."""

    base_url = "https://pacs.example.org/dicom-web"

    def __init__(self, file: bytes, studies: int = 2, images: int = 6) -> None:
        import io

        import pydicom

        self._image = pydicom.dcmread(io.BytesIO(file))
        self._uids = {
            f"1.2.{study}": [f"1.2.{study}.{image}" for image in range(images)]
            for study in range(studies)
        }

    def set_http_retry_params(self, retry: bool) -> None:
        pass

    def search_for_studies(self, **limits: int) -> list[dict]:
        return []

    def search_for_series(self, search_filters: dict, **limits: bool) -> list[dict]:
        if search_filters["Modality"] != self._image.Modality:
            return []
        return [self._entry(study, study + ".9") for study in self._uids]

    def search_for_instances(self, study: str, series: str, **limits: bool) -> list[dict]:
        return [self._entry(study, series, image) for image in self._uids[study]]

    def iter_series(self, study: str, series: str, **how: object) -> Iterator[pydicom.Dataset]:
        for uid in self._uids[study]:
            image = deepcopy(self._image)
            image.StudyInstanceUID, image.SeriesInstanceUID = study, series
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
            yield image

    @staticmethod
    def _entry(*uids: str) -> dict:
        tags = ("0020000D", "0020000E", "00080018")
        return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(tags, uids, strict=False)}


def whole_drr(folder: Path) -> None:
    from axon_backend.imaging.volume_file import load_volume

    assert sorted(visible(folder)) == ["drr.nii.gz", "drr.nii.gz.json"], visible(folder)
    load_volume(folder / "drr.nii.gz")
    json.loads((folder / "drr.nii.gz.json").read_text())


def whole_reconstruction(folder: Path) -> None:
    import nibabel

    out = folder / "out"
    whole_case(out)
    record = json.loads((out / "result.json").read_text())
    assert sorted(visible(out)) == sorted(record["files"])
    note = str(nibabel.load(out / "reconstruction.nii.gz").header["descrip"])
    assert f"seed {record['seed']}," in note, note


def whole_case(place: Path) -> None:
    """All files of a reconstruction, and the slices of its CT series, of one run."""
    import pydicom

    record = json.loads((place / "result.json").read_text())
    assert set(record["files"]) <= set(visible(place)), place
    if (place / "dicom").exists():
        slices = [pydicom.dcmread(file) for file in (place / "dicom").iterdir()]
        assert len(slices) == slices[0].Rows
        assert slices[0].SeriesDescription.endswith(f"seed {record['seed']}")


def whole_registration(folder: Path) -> None:
    record = json.loads((folder / "out" / "result.json").read_text())
    assert record["registration"] and "overlay.png" in visible(folder / "out")


def whole_or_absent(folder: Path) -> None:
    if (folder / "out").exists():
        whole_case(folder / "out")


def whole_demo(folder: Path) -> None:
    out = folder / "out"
    assert {"index.html", "ATTRIBUTION.md", "xray", "ct_with_drrs"} == set(visible(out))
    for name in ("xray", "ct_with_drrs"):
        whole_case(out / name)
    seeds = [json.loads(file.read_text())["seed"] for file in out.glob("*/result.json")]
    assert len(set(seeds)) == 1, seeds


def whole_cohort(folder: Path) -> None:
    whole_cases(folder / "out")


def whole_cases(root: Path) -> None:
    from axon_backend.dataset.store import read_record

    for place in (root / "cases").iterdir():
        if not place.name.startswith("."):
            record = read_record(root, place.name)
            assert record is not None and record["status"] == "done", place
            whole_case(place)


def whole_node(folder: Path) -> None:
    """Every acknowledged image is there, and so is the case that was made of some of them."""
    import hashlib

    import pydicom

    files = {p.stem: p for p in (folder / "node" / "received").glob("*/*.dcm")}
    for uid in (folder / "acknowledged").read_text().split():
        assert hashlib.sha256(uid.encode()).hexdigest()[:32] in files, uid
    for file in files.values():
        assert pydicom.dcmread(file).pixel_array.size
    whole_cases(folder / "node")


def whole_studies(folder: Path) -> None:
    import pydicom

    for file in (folder / "studies").glob("*/*.dcm"):
        assert pydicom.dcmread(file).pixel_array.size


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


def whole_bundle(folder: Path) -> None:
    from axon_backend.bundle import verify_bundle

    verify_bundle(folder / "bundle")


def whole_or_no_bundle(folder: Path) -> None:
    if (folder / "bundle").exists():
        whole_bundle(folder)


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
    """Run it; what is wrong afterwards. What it has to import is imported here too, so that the
    next runs need not."""
    names = folder.with_suffix(".modules")

    def work() -> int:
        code = command.run(folder, seed)
        names.write_text("\n".join(sorted(sys.modules)))
        return code

    _, status = os.waitpid(child(work, log), 0)
    if names.exists():
        for name in names.read_text().split():
            if name not in sys.modules:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
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


def kill_often(
    command: Command, kills: int, folder: Path, seed: int = 0
) -> tuple[list[str], float]:
    """Kill it that often; what went wrong, and how long a run lasts."""
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
    wrong += [f"full disk: {p}" for p in on_a_full_disk(command, folder, kills + 1000, log)]
    return wrong, lasts


def on_a_full_disk(command: Command, folder: Path, seed: int, log: Path) -> list[str]:
    """Run it where no file may grow beyond a few kilobytes: it fails in a sentence, and the result
    before it, of ``seed - 1``, stays."""
    import resource

    from axon_backend.dataset.store import OutputFailed
    from axon_backend.errors import AxonInputError

    def limited() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))
        try:
            return command.run(folder, seed)
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
            wrong, lasts = kill_often(command, count, place)
            total, bad = total + count, bad + len(wrong)
            about = f"{count} kills of runs of {lasts:.1f} s, {len(wrong)} wrong"
            print(f"{command.name}: {about}", flush=True)
            for one in wrong[:5]:
                print(f"  {one}", flush=True)
            shutil.rmtree(place, ignore_errors=True)
    times = os.times()
    spent = round(sum(times[:4]))
    print(json.dumps({"kills": total, "wrong": bad, "cpu_seconds": spent}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
