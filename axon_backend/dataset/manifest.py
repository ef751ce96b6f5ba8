"""A list of cases in CSV or JSON: id, patient, ct, frontal, lateral, split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend.dataset.dataset import SPLITS
from axon_backend.errors import AxonInputError
from axon_backend.util.input_file import exists, read_json, read_text
from axon_backend.util.plain_text import recorded

COLUMNS = ("id", "patient", "ct", "frontal", "lateral", "split")
_SPLIT_WORDS = {"val": "validation", "valid": "validation", "training": "train", "testing": "test"}


@dataclass(frozen=True)
class Row:
    """One case, with absolute paths. ``problem`` states why it cannot be used, if it cannot."""

    id: str
    patient: str
    ct: str = ""
    frontal: str = ""
    lateral: str = ""
    split: str | None = None
    problem: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the case."""
        return tuple(file for file in (self.ct, self.frontal, self.lateral) if file)


def read_rows(path: Path, *, cts: bool = True, teacher: bool = False) -> list[Row]:
    """The cases of a manifest in order; its paths are relative to it.

    A row that cannot be used states the reason in ``problem``; the others are still processed.

    Args:
        path: a CSV file, or a JSON file with the extension .json.
        cts: require a CT in every row. If False, URLs are accepted as well, and not checked.
        teacher: accept training cases with two X-rays in place of a CT.

    Raises:
        AxonInputError: the file is missing, malformed or empty, or a patient has two splits.
    """
    if path.suffix.lower() == ".json":
        entries = _json(path)
    else:
        entries = _csv(path, ("id", "ct") if cts and not teacher else ("id", "frontal"))
    unknown = [key for entry in entries for key in entry if key not in COLUMNS]
    if unknown:
        kind = "key" if path.suffix.lower() == ".json" else "column"
        raise AxonInputError(
            f"The manifest {path} has the unknown {kind} {unknown[0]!r}. Expected "
            f"{', '.join(COLUMNS)}."
        )
    rows, ids = [], set()
    for number, entry in enumerate(entries, 1):
        row = _row(entry, number, path, cts, teacher)
        if row.id in ids:
            problem = f"the id {row.id} appears twice in the manifest; give every case its own"
            row = Row(f"{row.id}-row{number}", row.patient, split=row.split, problem=problem)
        ids.add(row.id)
        rows.append(row)
    if not rows:
        raise AxonInputError(f"The manifest {path} contains no cases.")
    _check_splits(rows, path)
    return rows


def _json(path: Path) -> list[dict[str, Any]]:
    entries = read_json(path, "The manifest")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise AxonInputError(
            f"The manifest {path} is not a list of cases; expected "
            f"[{{{', '.join(f'{chr(34)}{c}{chr(34)}: ...' for c in COLUMNS)}}}, ...]."
        )
    return entries


def _csv(path: Path, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    text = read_text(path, "The manifest")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=separator)
    try:
        return _lines(reader, path, needed)
    except csv.Error as error:  # for example a cell that is too long
        raise AxonInputError(f"The manifest {path} is not CSV ({error}).") from error


def _lines(
    reader: csv.DictReader[str], path: Path, needed: tuple[str, ...]
) -> list[dict[str, Any]]:
    names = {str(n).strip().lower(): n for n in reader.fieldnames or () if n}
    if not names.keys() >= set(needed):
        raise AxonInputError(
            f"The manifest {path} has the columns {', '.join(names) or 'none'}; expected at least "
            f"{' and '.join(needed)} of {', '.join(COLUMNS)}."
        )
    return [{k: line.get(n) for k, n in names.items()} for line in reader]


def _row(entry: dict[str, Any], number: int, path: Path, cts: bool, teacher: bool) -> Row:
    values = {c: "" if entry.get(c) is None else str(entry[c]).strip() for c in COLUMNS}
    name = values["id"] or f"row{number}"
    patient = values["patient"] or name
    split = values["split"].lower()
    split = _SPLIT_WORDS.get(split, split)
    problem = ""
    if not values["id"]:
        problem = f"row {number} has no id"
    elif cts and not values["ct"] and not teacher:
        problem = "it has no CT"
    elif cts and not values["ct"] and not (values["frontal"] and values["lateral"]):
        problem = "it has no CT, and the teacher needs a frontal and a lateral X-ray"
    elif cts and not values["ct"] and split not in ("", "train"):
        problem = f"it has no CT, so that it can be used for training only, not for {split}"
    elif split and split not in SPLITS:
        problem = f"its split is {split!r}; expected one of {', '.join(SPLITS)}"
    for column in ("ct", "frontal", "lateral"):
        if values[column] and (cts or not is_remote(values[column])):
            values[column] = str(path.parent.absolute() / values[column])
            if not problem and not _exists(values[column]):
                problem = f"its {column} {recorded(values[column])} does not exist"
    return Row(
        name, patient, values["ct"], values["frontal"], values["lateral"],
        split if split in SPLITS else None, problem,
    )  # fmt: skip


def is_remote(path: str) -> bool:
    """Whether a path is a URL such as ``s3://bucket/name``."""
    return "://" in path


def _exists(path: str) -> bool:
    try:
        return exists(path)
    except AxonInputError:  # not a valid path
        return False


def _check_splits(rows: list[Row], path: Path) -> None:
    of_patient: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row.split is None:
            continue
        split, name = of_patient.setdefault(row.patient, (row.split, row.id))
        if split != row.split:
            raise AxonInputError(
                f"The manifest {path} assigns the patient {row.patient} to {split} (case {name}) "
                f"and to {row.split} (case {row.id}). A patient belongs to one split: correct the "
                "column split."
            )
