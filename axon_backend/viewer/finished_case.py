"""A case that ``axon reconstruct`` has written: its volumes and its record in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.case_folder import SAMPLES_FOLDER, XRAY_FILES
from axon_backend.evaluation.html import number
from axon_backend.evaluation.report import describe_input, describe_registration, stage_text
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame, resample_to_frame
from axon_backend.imaging.write import write_volume
from axon_backend.metrics import registered_metrics
from axon_backend.physics.pose import Pose
from axon_backend.util.input_file import read_json

RECONSTRUCTION, DEVIATION = "Reconstruction", "Standard deviation over the samples"
# Side of the grid on which the CT is shown beside the volume.
CT_VOXELS = 128


@dataclass(frozen=True)
class FinishedCase:
    """The folder of one reconstruction.

    Attributes:
        folder: the folder with ``result.json``.
        record: the content of that file.
        volumes: NIfTI files in HU by title, the reconstruction first.
        report: content of ``report.html``; empty if it was not written.
        xrays: the X-rays as registered, with their overlays, as JPEG files by role.
    """

    folder: Path
    record: Mapping[str, Any]
    volumes: Mapping[str, Path]
    report: str = ""
    xrays: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> FinishedCase:
        """Read a folder that ``axon reconstruct`` wrote.

        Raises:
            AxonInputError: the folder is not one, or its registration was refused.
        """
        folder = Path(folder)
        record = _record(folder)
        if "refused" in record:
            raise AxonInputError(
                f"{folder} holds no volume: {record['refused']} Start from the X-rays with "
                "axon view --frontal, and register them by hand."
            )
        main = folder / "reconstruction.nii.gz"
        if not main.is_file():
            raise AxonInputError(
                f"{folder} has no reconstruction.nii.gz. Give the folder that axon reconstruct "
                "wrote (its --output)."
            )
        volumes = {RECONSTRUCTION: main}
        for stage in record.get("stages") or ():
            file = folder / f"{stage.get('name')}.nii.gz"
            if file.is_file() and file.parent == folder:
                volumes[stage_text(str(stage["name"]))] = file
        if (file := folder / "deviation.nii.gz").is_file():
            volumes[DEVIATION] = file
        samples = sorted((folder / SAMPLES_FOLDER).glob("sample_*.nii.gz"))
        for place, file in enumerate(samples, 1):
            volumes[f"Sample {place} of {len(samples)}"] = file
        xrays = {
            role: folder / name for role, name in XRAY_FILES.items() if (folder / name).is_file()
        }
        page = folder / "report.html"
        report = page.read_text("utf-8", errors="replace") if page.is_file() else ""
        return cls(folder, record, volumes, report, xrays)

    @property
    def disclaimer(self) -> str:
        """The disclaimer, without its full stop."""
        return str(self.record.get("disclaimer") or DISCLAIMER).rstrip(".")

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Each input: title, file, view, pixel size and what was assumed about it."""
        return [input_words(entry) for entry in self.record.get("inputs") or ()]

    @property
    def registration(self) -> list[str]:
        """A sentence for each view: how well it was registered."""
        found = [describe_registration(entry) for entry in self.record.get("registration") or ()]
        return [
            f"{one['view']}: {one['verdict']}" + (f" – {one['note']}" if one["note"] else "")
            for one in found
        ]

    @property
    def warnings(self) -> list[str]:
        """The warnings of the run."""
        return [str(warning) for warning in self.record.get("warnings") or ()]

    @property
    def measures(self) -> list[dict[str, str]]:
        """Rows of the table against the CT, with units: name, value of the last stage, value of
        the atlas, and the definition; empty where there was no CT."""
        by_stage = self.record.get("metrics") or {}
        if not by_stage:
            return []
        final, atlas = list(by_stage.values())[-1], self.record.get("atlas_mean") or {}
        low, high = self.record.get("hu_window") or (-1000.0, 900.0)
        return [
            {
                "name": metric.heading,
                "value": metric.text(final.get(name), (low, high)),
                "atlas": metric.text(atlas.get(name), (low, high)),
                "note": metric.note,
            }
            for name, metric in registered_metrics().items()
            if final.get(name) is not None
        ]

    @property
    def facts(self) -> list[dict[str, str]]:
        """How the volume was made: rows of name and value."""
        bundle = self.record.get("bundle") or {}
        rows = [
            ("Model", f"{bundle.get('name', '')} {bundle.get('version', '')}".strip()),
            ("Device", self.record.get("device")),
            ("Seed", self.record.get("seed")),
            ("Samples", self.record.get("samples")),
        ]
        rows += [
            (f"Agreement with the {role} X-ray (NCC)", number(value))
            for role, value in (self.record.get("reprojection") or {}).items()
        ]
        return [{"name": n, "value": str(v)} for n, v in rows if v not in (None, "")]

    @property
    def frame(self) -> ThoraxFrame:
        """The box that the volumes fill.

        Raises:
            AxonInputError: the record does not hold it.
        """
        try:
            values = self.record["frame"]
            centre, size = (tuple(map(float, values[k])) for k in ("center_mm", "size_mm"))
        except (KeyError, TypeError, ValueError) as error:
            raise AxonInputError(
                f"{self.folder / 'result.json'} does not say where the volume lies (frame). Make "
                "the case again with axon reconstruct."
            ) from error
        return ThoraxFrame(centre, size)  # type: ignore[arg-type]

    def write_ct(self, ct: CTVolume, folder: Path) -> Path:
        """The CT in the frame of the volumes, moved by the recorded pose, as NIfTI in ``folder``.

        Raises:
            AxonInputError: the record holds no frame or a wrong pose, or the file cannot be
                written.
        """
        pose = self.record.get("pose")
        frame = self.frame
        motion = None if pose is None else Pose.from_dict(pose).matrix(frame.center_mm)
        volume = resample_to_frame(ct, frame, CT_VOXELS, motion)
        return write_volume(folder / "ct.nii.gz", volume, frame)


def input_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``inputs`` in ``result.json``: title, lines (file, view, pixel size), and what
    was assumed."""
    words = describe_input(entry)
    lines = [f"File: {words['path']}"]
    lines += [f"View: {words['view']}"] if words["view"] else []
    lines += [f"Pixel size: {words['pixel_size']}"] if words["pixel_size"] else []
    assumed = [str(text) for text in words["assumptions"] or ()]
    return {
        "title": words["title"],
        "lines": lines,
        "assumed": assumed or ["Nothing had to be assumed."],
    }


def _record(folder: Path) -> dict[str, Any]:
    file = folder / "result.json"
    if not file.is_file():
        raise AxonInputError(
            f"{folder} has no result.json. Give the folder that axon reconstruct wrote (its "
            "--output)."
        )
    record = read_json(file, "The record", "Make the case again with axon reconstruct.")
    if not isinstance(record, dict):
        raise AxonInputError(
            f"{file} is not the record of a reconstruction. Give the folder that axon reconstruct "
            "wrote (its --output)."
        )
    return record
