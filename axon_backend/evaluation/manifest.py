"""The manifest of ``axon evaluate``: a list of cases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.view import View
from axon_backend.util.input_file import read_json

EXPECTED = (
    'a JSON list of {"id": string, "frontal": path or null, "lateral": ..., "ct": path or null}'
)

IMAGES = ("frontal", "lateral", "ct")
KEYS = (*IMAGES, "id", "patient", "split", "view", "pixel_mm", "same_rows", "force")


@dataclass(frozen=True)
class ManifestCase:
    """One case.

    Attributes:
        id: unique in the manifest.
        ct: the ground truth; None for the projection test, which needs both X-rays.
        frontal, lateral: X-rays; None: a DRR of the CT.
        split: split in the manifest.
        patient: name of the patient, over whose cases results are averaged; None: the id.
        view: view of the frontal X-ray, if the file does not state it.
        pixel_mm: pixel size of both X-rays, if the files do not state it.
        same_rows: both X-rays show the same heights in the same rows (projections of one CT, or
            simultaneous exposures), so that the lateral one is not registered separately.
        force: those of ``IMAGES`` to use even if they are implausible, like the option ``--force``.
    """

    id: str
    ct: Path | None
    frontal: Path | None = None
    lateral: Path | None = None
    split: str | None = None
    patient: str | None = None
    view: View | None = None
    pixel_mm: float | None = None
    same_rows: bool = False
    force: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path | None, ...]:
        """CT, frontal and lateral X-ray."""
        return self.ct, self.frontal, self.lateral

    @property
    def of_patient(self) -> str:
        """Name of the patient."""
        return self.patient or self.id

    def source(self, views: int) -> str:
        """Kind of the inputs of a reconstruction from one or two views. Only cases of the same kind
        are averaged."""
        front = "X-ray" if self.frontal else "DRR"
        side = "X-ray" if self.lateral else "DRR"
        if self.ct is None:
            return "Projection test, frontal X-ray"
        if views == 1:
            return f"Frontal {front}"
        return f"Frontal and lateral {front}" if front == side else (
            f"Frontal {front} and lateral {side}"
        )  # fmt: skip


def read_manifest(path: str | Path, split: str | None = None) -> list[ManifestCase]:
    """The cases of a manifest, or of one of its splits, in the file's order.

    Paths are relative to the manifest. The images are not read or checked here.

    Raises:
        AxonInputError: the manifest is missing or malformed, lists an id twice, or has no such
            case.
    """
    source = Path(path)
    entries = read_json(source, "The manifest", f"Expected {EXPECTED}.")
    if not isinstance(entries, list):
        raise AxonInputError(f"The manifest {source} is not a list. Expected {EXPECTED}.")
    cases = [_case(entry, f"{source}, entry {i}", source.parent) for i, entry in enumerate(entries)]
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise AxonInputError(
                f"The manifest {source} lists the id {case.id!r} twice. Give every case its own."
            )
        seen.add(case.id)
    chosen = [case for case in cases if split is None or case.split == split]
    if not chosen:
        found = sorted({str(case.split) for case in cases if case.split is not None})
        raise AxonInputError(
            f"The manifest {source} has no case"
            + (f" of split {split!r} (splits in it: {', '.join(found) or 'none'})" if split else "")
            + ". Nothing to evaluate."
        )
    return chosen


def _case(entry: Any, where: str, folder: Path) -> ManifestCase:
    if not isinstance(entry, dict):
        raise AxonInputError(f"{where} is not an object {{...}}. Expected {EXPECTED}.")
    if unknown := [key for key in entry if key not in KEYS]:
        raise AxonInputError(
            f"{where} has the unknown key {unknown[0]!r}. Expected {', '.join(KEYS)}."
        )
    if not isinstance(entry.get("id"), str) or not entry["id"].strip():
        raise AxonInputError(f"{where}: 'id' is {json.dumps(entry.get('id'))}; expected a string.")
    for key in ("ct", "frontal", "lateral", "split", "patient"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise AxonInputError(
                f"{where}: {key!r} is {json.dumps(entry[key])}; expected a string or null."
            )

    def file(key: str) -> Path | None:
        return folder / entry[key] if entry.get(key) else None

    missing = [key for key in ("frontal", "lateral") if not entry.get(key)]
    if not entry.get("ct") and missing:
        raise AxonInputError(
            f"{where}: it has no 'ct' and no {missing[0]!r}. Give the CT, or both X-rays for the "
            "projection test."
        )
    view, pixel_mm, same_rows = (entry.get(key) for key in ("view", "pixel_mm", "same_rows"))
    if view not in (None, "pa", "ap"):
        raise AxonInputError(f'{where}: \'view\' is {json.dumps(view)}; expected "pa" or "ap".')
    number = isinstance(pixel_mm, (int, float)) and not isinstance(pixel_mm, bool)
    if pixel_mm is not None and not (number and 0 < pixel_mm < 100):
        raise AxonInputError(
            f"{where}: 'pixel_mm' is {json.dumps(pixel_mm)}; expected the side of a pixel in mm."
        )
    if same_rows not in (None, True, False):
        raise AxonInputError(
            f"{where}: 'same_rows' is {json.dumps(same_rows)}; expected true or false."
        )
    force = entry.get("force")
    if force is not None and not (isinstance(force, list) and all(x in IMAGES for x in force)):
        raise AxonInputError(
            f"{where}: 'force' is {json.dumps(force)}; expected a list of {', '.join(IMAGES)}."
        )
    return ManifestCase(
        entry["id"],
        file("ct"),
        file("frontal"),
        file("lateral"),
        entry.get("split") or None,
        entry.get("patient") or None,
        None if view is None else View(view),
        None if pixel_mm is None else float(pixel_mm),
        bool(same_rows),
        tuple(name for name in IMAGES if name in (force or ())),
    )
