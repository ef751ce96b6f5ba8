"""Writes a result to files: volumes, measures and the record of the run, in a new folder."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import measures
from AXONReconstructionLib.scene.volumes import LPS_TO_RAS, ijkToWorld
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views.display import resultOf

FORMATS = ("nii.gz", "nrrd", "dicom")
_FILES = {"coarse": "1-coarse", "fine": "2-fine", "sr": "3-high-resolution"}
RECORD, MEASURES, NOTE = "result.json", "measures.csv", "READ ME FIRST.txt"


@dataclass(frozen=True)
class SavedVolume:
    """A volume as copied from the scene.

    name: of its file, without ending. hu: [z, y, x]. ijkToLps: (4, 4), voxel (i, j, k) to LPS
    millimetres. description: in plain English, for the header.
    """

    name: str
    hu: np.ndarray
    ijkToLps: np.ndarray
    description: str


@dataclass(frozen=True)
class Copy:
    """Everything of a result that is saved, free of MRML, so that it can be written elsewhere."""

    volumes: tuple[SavedVolume, ...]
    record: dict


def save(result, path, format: str = "nii.gz") -> list[Path]:
    """Write a result into a new folder.

    Args:
        result: `ReconstructionResult` or parameter node.
        path: of the folder; it must not exist, or be empty.
        format: ``nii.gz``, ``nrrd`` or ``dicom`` (one CT series a volume).

    Returns:
        The files.

    Raises:
        AxonInputError: there is nothing to save, the folder holds files, or cannot be written.
    """
    return write(copyOf(result), path, format)


def copyOf(result) -> Copy:
    """Copy a result's voxels and geometry. Main thread only."""
    result = resultOf(result)
    if not result.volumes:
        raise _error(_("There is no reconstruction to save. Make one in step 3."))
    found = [(_FILES[stage], node) for stage, node in result.volumes.items()]
    found += [
        ("true-ct", result.truth),
        ("difference", result.difference),
        ("standard-deviation", result.deviation),
    ]
    seed = result.record.get("seed", "?")
    bundle = (result.record.get("bundle") or {}).get("sha256", "")[:12]
    words = {
        "true-ct": "the given CT in the thorax frame",
        "difference": "reconstruction minus CT, HU",
        "standard-deviation": "standard deviation over the samples, HU",
    }
    volumes = tuple(
        SavedVolume(
            name,
            np.array(slicer.util.arrayFromVolume(node), np.float32),
            LPS_TO_RAS @ ijkToWorld(node),
            f"{words.get(name, name + ' reconstruction')}, seed {seed}, bundle {bundle}",
        )
        for name, node in found
        if node is not None
    )
    return Copy(volumes, dict(result.record))


def write(
    copy: Copy,
    path,
    format: str = "nii.gz",
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Path]:
    """Write a copy into a new folder, which appears whole or not at all. Any thread.

    Args:
        progress: called with the number of volumes written and their total.
        cancelled: asked before every volume; True stops, and nothing is left.
    """
    if format not in FORMATS:
        raise _error(
            _("The format {format!r} is not known; it is one of {known}.").format(
                format=format, known=", ".join(FORMATS)
            )
        )
    target = Path(os.path.abspath(os.path.expanduser(path)))
    _checkFree(target)
    study = _Study(copy.record)
    with backend.load("util.output_folder").output_folder(target, ()) as folder:
        for number, volume in enumerate(copy.volumes):
            if cancelled is not None and cancelled():
                raise backend.load("errors").Cancelled("stopped while the results were written")
            if progress is not None:
                progress(number, len(copy.volumes))
            if format == "dicom":
                study.write(folder / volume.name, volume, number + 1)
            else:
                backend.load("imaging.write").write_volume(
                    folder / f"{volume.name}.{format}",
                    volume.hu,
                    volume.ijkToLps,
                    volume.description,
                )
        _writeRecord(folder, copy.record)
        if progress is not None:
            progress(len(copy.volumes), len(copy.volumes))
    return sorted(p for p in target.rglob("*") if p.is_file())


def freeFolder(parent, name: str) -> Path:
    """A folder name in `parent` that is not taken: `name`, or with a number behind."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "AXON"
    folder = Path(parent) / plain
    number = 2
    while os.path.lexists(folder):
        folder = Path(parent) / f"{plain}-{number}"
        number += 1
    return folder


def measuresCsv(record: dict) -> str:
    """The measures against the true CT as CSV (see `measures`); empty text without a CT."""
    metrics = measures(record)
    if not metrics:
        return ""
    keys = list(next(iter(metrics.values())))
    known = backend.load("metrics").registered_metrics()
    text = io.StringIO()
    text.write(f"# {backend.load().DISCLAIMER}\n")
    for key in keys:
        text.write(f"# {key}: {known[key].note if key in known else 'not a registered metric'}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["stage", *keys])
    for stage, values in metrics.items():
        rows.writerow([stage, *(values.get(key) for key in keys)])
    return text.getvalue()


class _Study:
    """One DICOM study for all volumes of a result, in one frame of reference."""

    def __init__(self, record: dict) -> None:
        # No file names: they often hold the patient's.
        roles = [item.get("role") for item in record.get("inputs", ())]
        self._sources = [f"{role} chest X-ray" for role in roles if role != "ct"]
        self._uids: list[str] = []

    def write(self, folder: Path, volume: SavedVolume, number: int) -> None:
        """Write one CT series."""
        if not self._uids:
            from pydicom.uid import generate_uid

            self._uids = [generate_uid(), generate_uid()]
        backend.load("imaging.ct_series_writer").write_ct_series(
            folder,
            volume.hu,
            volume.ijkToLps,
            description=volume.name,
            derived_from=self._sources,
            study_uid=self._uids[0],
            frame_of_reference_uid=self._uids[1],
            series_number=number,
        )


def _writeRecord(folder: Path, record: dict) -> None:
    files = backend.load("imaging.write")
    disclaimer = backend.load().DISCLAIMER
    files.write_json(folder / RECORD, {"disclaimer": disclaimer, **record})
    measures = measuresCsv(record)
    if measures:
        files.write_text(folder / MEASURES, measures)
    note = _(
        "These volumes were computed by AXON from X-rays. They are guesses: they may show anatomy "
        "that is not there and miss findings that are."
    )
    files.write_text(folder / NOTE, f"{disclaimer}.\n\n{note}\n")


def _checkFree(target: Path) -> None:
    if not target.parent.is_dir():
        raise _error(
            _("The folder {folder} does not exist. Choose one that does.").format(
                folder=target.parent
            )
        )
    if not os.access(target.parent, os.W_OK):
        raise _error(
            _("You may not write into the folder {folder}. Choose another one.").format(
                folder=target.parent
            )
        )
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise _error(
            _(
                "{folder} holds files already, and nothing is overwritten. Choose another name."
            ).format(folder=target)
        )


def _error(sentence: str) -> Exception:
    return backend.load("errors").AxonInputError(sentence)
