"""Saves a result to a new folder: volumes, metrics and the run record."""

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

from AXONReconstructionLib.scene.results import metricsByStage, resultOf
from AXONReconstructionLib.scene.volumes import LPS_TO_RAS, ijkToWorld
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.setup.methods import ofRecord

FORMATS = ("nii.gz", "nrrd", "dicom")
RECORD_FILE, METRICS_FILE, NOTICE_FILE = "result.json", "metrics.csv", "READ ME FIRST.txt"


@dataclass(frozen=True)
class SavedVolume:
    """A volume copied from the scene.

    Attributes:
        name: file name without extension.
        hu: [z, y, x].
        ijkToLps: (4, 4), voxel (i, j, k) to LPS millimetres.
        description: for the file header, in English.
    """

    name: str
    hu: np.ndarray
    ijkToLps: np.ndarray
    description: str


@dataclass(frozen=True)
class ResultCopy:
    """Copy of everything to save, without MRML, so that any thread can write it."""

    volumes: tuple[SavedVolume, ...]
    record: dict


def save(result, path, format: str = "nii.gz") -> list[Path]:
    """Save a result to a new folder.

    Args:
        result: `ReconstructionResult` or parameter node.
        path: the folder; it must not exist or must be empty.
        format: ``nii.gz``, ``nrrd`` or ``dicom`` (one CT series per volume).

    Returns:
        The files written.

    Raises:
        AxonInputError: there is nothing to save, or the folder is not empty or not writable.
    """
    return write(copyOf(result), path, format)


def copyOf(result) -> ResultCopy:
    """ResultCopy a result's voxels and geometry. Main thread only."""
    result = resultOf(result)
    if not result.volumes:
        raise _error(_("There is no reconstruction to save. Run step 3 first."))
    found = [(_fileName(result, stage), node) for stage, node in result.volumes.items()]
    found += [
        ("ground-truth", result.truth),
        ("difference", result.difference),
        ("standard-deviation", result.deviation),
    ]
    seed = result.record.get("seed", "?")
    bundle = (result.record.get("bundle") or {}).get("sha256", "")[:12]
    descriptions = {
        "ground-truth": "CT in the thorax frame, the ground truth",
        "difference": "reconstruction minus CT, HU",
        "standard-deviation": "standard deviation over the samples, HU",
    }
    volumes = tuple(
        SavedVolume(
            name,
            np.array(slicer.util.arrayFromVolume(node), np.float32),
            LPS_TO_RAS @ ijkToWorld(node),
            f"{descriptions.get(name, name + ' reconstruction')}, seed {seed}, bundle {bundle}",
        )
        for name, node in found
        if node is not None
    )
    return ResultCopy(volumes, dict(result.record))


def write(
    copy: ResultCopy,
    path,
    format: str = "nii.gz",
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Path]:
    """Write a copy to a new folder, atomically. Runs on any thread.

    Args:
        progress: called with the number of volumes written and their total.
        cancelled: checked before every volume; True cancels and leaves no files.
    """
    if format not in FORMATS:
        raise _error(
            _("Unknown format {format!r}; choose one of {known}.").format(
                format=format, known=", ".join(FORMATS)
            )
        )
    target = Path(os.path.abspath(os.path.expanduser(path)))
    _checkFree(target)
    study = _Study(copy.record)
    with backend.load("util.output_folder").output_folder(target, ()) as folder:
        for number, volume in enumerate(copy.volumes):
            if cancelled is not None and cancelled():
                raise backend.load("errors").Cancelled("cancelled while saving")
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
    """An unused folder name in `parent`: `name`, with a number appended if necessary."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "AXON"
    folder = Path(parent) / plain
    number = 2
    while os.path.lexists(folder):
        folder = Path(parent) / f"{plain}-{number}"
        number += 1
    return folder


def metricsCsv(record: dict) -> str:
    """Metrics against the CT as CSV (see `metricsByStage`); empty without a CT."""
    metrics = metricsByStage(record)
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
    """One DICOM study for all volumes of a result, with a common frame of reference."""

    def __init__(self, record: dict) -> None:
        # No file names: they often contain the patient's name.
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


def _fileName(result, stage: str) -> str:
    """Number of the stage in its method, and its name."""
    method = ofRecord(result.record)
    names = list(result.volumes) if method is None else [*method.stage_names, stage]
    return f"{names.index(stage) + 1}-{stage}"


def _writeRecord(folder: Path, record: dict) -> None:
    files = backend.load("imaging.write")
    disclaimer = backend.load().DISCLAIMER
    files.write_json(folder / RECORD_FILE, {"disclaimer": disclaimer, **record})
    metrics = metricsCsv(record)
    if metrics:
        files.write_text(folder / METRICS_FILE, metrics)
    notice = _(
        "AXON reconstructed these volumes from X-rays. They are model predictions: they may show "
        "anatomy that does not exist and miss findings that do."
    )
    files.write_text(folder / NOTICE_FILE, f"{disclaimer}.\n\n{notice}\n")


def _checkFree(target: Path) -> None:
    if not target.parent.is_dir():
        raise _error(
            _("The folder {folder} does not exist. Choose an existing folder.").format(
                folder=target.parent
            )
        )
    if not os.access(target.parent, os.W_OK):
        raise _error(
            _("The folder {folder} is not writable. Choose another one.").format(
                folder=target.parent
            )
        )
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise _error(
            _(
                "The folder {folder} is not empty, and files are never overwritten. Choose "
                "another name."
            ).format(folder=target)
        )


def _error(sentence: str) -> Exception:
    return backend.load("errors").AxonInputError(sentence)
