"""The manifest of ``axon evaluate``: which cases it reconstructs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import read_json

EXPECTED = 'a JSON list of {"id": string, "frontal": path or null, "lateral": ..., "ct": path}'

KEYS = ("id", "patient", "ct", "frontal", "lateral", "split")  # patient is for `axon prepare`


@dataclass(frozen=True)
class ManifestCase:
    """One patient. X-rays that are None are rendered from the CT."""

    id: str
    ct: Path
    frontal: Path | None = None
    lateral: Path | None = None
    split: str | None = None

    @property
    def files(self) -> tuple[Path | None, ...]:
        """What is read."""
        return self.ct, self.frontal, self.lateral


def read_manifest(path: str | Path, split: str | None = None) -> list[ManifestCase]:
    """The cases of a manifest, of one split where ``split`` is given, in the file's order.

    Paths are relative to the manifest. Whether the images exist and can be read is checked
    later, case by case.

    Raises:
        AxonInputError: the manifest is missing, malformed, names an id twice, or has no case.
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
            f"{where} has the key {unknown[0]!r}, which is not known. Expected {', '.join(KEYS)}."
        )
    for key in ("id", "ct"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise AxonInputError(
                f"{where}: {key!r} is {json.dumps(entry.get(key))}; expected a string."
            )
    for key in ("frontal", "lateral", "split"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise AxonInputError(
                f"{where}: {key!r} is {json.dumps(entry[key])}; expected a string or null."
            )

    def file(key: str) -> Path | None:
        return folder / entry[key] if entry.get(key) else None

    return ManifestCase(
        entry["id"], folder / entry["ct"], file("frontal"), file("lateral"), entry.get("split")
    )
