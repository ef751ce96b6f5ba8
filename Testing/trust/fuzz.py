"""Every reader against damaged files, for a fixed time: it refuses them in words or reads them; it
never raises anything else, aborts, hangs or takes more memory than a small computer has.

    python Testing/trust/fuzz.py [SECONDS] [SEED]      60 seconds, seed 0

Each reader works in a process of its own. What it cannot take is printed with the number of the
damage, so that ``SECONDS = 0`` with a seed and that number makes the same file again.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import bad_inputs

ONE_FILE_SECONDS = 60.0


def _xray(path: Path) -> object:
    from axon_backend.imaging.radiograph import read_radiograph

    return read_radiograph(path)


def _ct(path: Path) -> object:
    from axon_backend.imaging.ct import read_ct

    return read_ct(path)


def _manifest(path: Path) -> object:
    from axon_backend.evaluation.manifest import read_manifest

    return read_manifest(path)


def _rows(path: Path) -> object:
    from axon_backend.dataset.manifest import read_rows

    return read_rows(path)


def _dataset(path: Path) -> object:
    from axon_backend.dataset.dataset import Dataset

    return Dataset.read(path)


def _settings(path: Path) -> object:
    from axon_backend.training.plan import resolve

    return resolve("coarse", file=path)


def _archive(path: Path) -> object:
    from axon_backend.bundle.unpack import unpack_bundle

    with tempfile.TemporaryDirectory() as folder:
        return unpack_bundle(path, Path(folder))


def _checkpoint(path: Path) -> object:
    from axon_backend.training.checkpoint import load_checkpoint

    return load_checkpoint(path)


def _source(path: Path) -> object:
    from axon_backend.imaging.dicom_source import image_reference, patient_and_study

    return image_reference(path), patient_and_study(path)


def readers() -> dict[str, tuple[Callable[[Path], object], str, bytes]]:
    """Reader, extension and a sound file by name."""
    files = bad_inputs.sound()
    one = {"id": "a", "patient": "p", "ct": "a.nii", "frontal": None, "split": "test"}
    prepared = {"format": "axon-dataset", "version": 1, "cases": [one]}
    found: dict[str, tuple[Callable[[Path], object], str, bytes]] = {
        f"X-ray as {kind}": (_xray, kind, data) for kind, data in files.items()
    }
    volumes = ("nii", "nii.gz", "nrrd", "mha")
    found |= {f"CT as {kind}": (_ct, kind, files[kind]) for kind in volumes}
    settings = "batch: 2\noptimiser: {lr: 1e-4}\nmodel: {sr: {blocks: 1}}"
    texts = {
        "manifest": (_manifest, "json", json.dumps([one])),
        "rows in JSON": (_rows, "json", json.dumps([one])),
        "rows in CSV": (_rows, "csv", "id,patient,ct,split\na,p,a.nii,test\n"),
        "data set": (_dataset, "json", json.dumps(prepared)),
        "list of CTs": (_dataset, "json", json.dumps({"train": ["a.nii"], "validation": []})),
        "settings": (_settings, "yaml", settings),
    }
    found |= {name: (read, kind, text.encode()) for name, (read, kind, text) in texts.items()}
    found["DICOM source"] = (_source, "dcm", files["dcm"])
    found["archive"] = (_archive, "zip", _zip())
    found["checkpoint"] = (_checkpoint, "pt", _pt())
    return found


def _zip() -> bytes:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("configs/axon.json", "{}" * 50)
        archive.writestr("configs/metadata.json", "{}" * 50)
    return out.getvalue()


def _pt() -> bytes:
    import io

    import torch

    out = io.BytesIO()
    torch.save({"format": "axon-checkpoint", "version": 1, "parts": {"a": torch.ones(9)}}, out)
    return out.getvalue()


def damage(data: bytes, seed: str) -> bytes:
    """A file with a few of its bytes changed, most of them near its start, where headers are."""
    draw = random.Random(seed)
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        if not out:
            break
        at = draw.randrange(min(len(out), draw.choice((64, 400, 2000, len(out)))))
        kind = draw.randrange(6)
        if kind == 0:
            out[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            out[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, ord("9"), ord("-")))
        elif kind == 2:
            out[at : at + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"9999"))
        elif kind == 3:
            del out[at : at + draw.choice((1, 2, 8, 100))]
        elif kind == 4:
            out[at:at] = out[at : at + draw.choice((1, 4, 50))]
        else:
            del out[at:]
    return bytes(out)


def work(name: str, seconds: float, seed: int, least: int, pipe: Any) -> None:
    """Damage and read for that long, and ``least`` files; runs in a process of its own. The pipe
    carries the number of each damage before it is read, and what went wrong."""
    if sys.platform != "win32":
        bad_inputs.limit_memory()
    from axon_backend.errors import AxonInputError

    warnings.simplefilter("ignore")
    logging.disable()
    read, kind, data = readers()[name]
    end, number = time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end or number < least:
            path = Path(folder) / f"x.{kind}"
            path.write_bytes(damage(data, f"{seed} {name} {number}"))
            pipe.send((number, ""))
            try:
                read(path)
            except AxonInputError as error:
                if "\n" in str(error) or len(str(error)) > 1500:
                    pipe.send((number, f"not a sentence: {str(error)[:300]!r}"))
            except BaseException:
                pipe.send((number, traceback.format_exc()[-1500:]))
            number += 1


def try_reader(name: str, seconds: float, seed: int, least: int = 1) -> tuple[int, list[str]]:
    """How many files were tried, and what went wrong."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(name, seconds, seed, least, there))
    child.start()
    there.close()
    number, wrong = -1, []
    try:
        while True:
            if not here.poll(seconds + ONE_FILE_SECONDS):
                wrong.append(f"{name}, damage {number}: no answer for {ONE_FILE_SECONDS:.0f} s")
                child.kill()
                break
            number, said = here.recv()
            if said:
                wrong.append(f"{name}, damage {number}: {said}")
    except EOFError:
        pass
    child.join()
    if child.exitcode != 0 and not (wrong and "no answer" in wrong[-1]):
        wrong.append(f"{name}, damage {number}: the process ended with {child.exitcode}")
    return number + 1, wrong


def main(arguments: list[str]) -> int:
    """Give every reader its share of the time."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this tree's AXON
    seconds = float(arguments[0]) if arguments else 60.0
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    names = list(readers())
    total, wrong = 0, []
    for name in names:
        tried, found = try_reader(name, seconds / len(names), seed)
        total += tried
        wrong += found
        print(f"{name}: {tried} files, {len(found)} wrong", flush=True)
        for one in found[:3]:
            print(f"  {one}", flush=True)
    print(json.dumps({"tried": total, "wrong": len(wrong)}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
