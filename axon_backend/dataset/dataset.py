"""A data set for training: written by ``axon prepare``, or a plain list of CTs.

    DATA/dataset.json   {"format": "axon-dataset", "version": 1, "research_use", "settings",
                         "cases": [{"id", "patient", "split", "group", "ct", "frame", "sha256",
                                    "views": [{"role", "view", "kind", "file", "matrix", "quality",
                                               "accepted", "source"}]}]}

Paths in the file are relative to its folder. This module reads data sets; ``axon prepare`` writes
them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.util.input_file import check_input, read_json

FORMAT, VERSION = "axon-dataset", 1
FILE = "dataset.json"
SPLITS = ("train", "validation", "test")
GROUPS = ("biplanar", "paired", "drr")


@dataclass(frozen=True)
class DatasetView:
    """An image on the canonical view of its case's frame, (S, S) float32 log-linear.

    Attributes:
        role: "frontal" or "lateral".
        view: direction of the beam.
        kind: "drr" or "real".
        file: NIfTI; row 0 at the top, column 0 the patient's right or the front of a lateral.
        matrix: (3, 3) placement of the X-ray, or None.
        quality: scores of its registration.
        accepted: whether it may be used for training.
        source: origin of the image.
    """

    role: str
    view: View
    kind: str
    file: Path
    matrix: list[list[float]] | None = None
    quality: dict[str, Any] = field(default_factory=dict)
    accepted: bool = True
    source: str = ""


@dataclass(frozen=True)
class DatasetCase:
    """One CT with its views.

    Attributes:
        frame: None if it still has to be found (plain CTs).
        reconstructed: the patient has no CT; ``ct`` is a reconstruction from both X-rays by another
            model. It is never a ground truth, and no DRR is rendered from it.
    """

    id: str
    patient: str
    split: str
    group: str
    ct: Path
    frame: ThoraxFrame | None = None
    sha256: str = ""
    views: tuple[DatasetView, ...] = ()
    reconstructed: bool = False

    def real(self, role: str) -> DatasetView | None:
        """The accepted real X-ray of a role, if there is one."""
        for view in self.views:
            if view.role == role and view.kind == "real" and view.accepted:
                return view
        return None


@dataclass(frozen=True)
class Dataset:
    """All cases, and the folder that their files are in."""

    root: Path
    cases: list[DatasetCase]

    def split(self, name: str) -> list[DatasetCase]:
        """The cases of "train", "validation" or "test", in the order of the file."""
        if name not in SPLITS:
            raise AxonInputError(f"The split {name!r} is not known; it is one of {SPLITS}.")
        return [case for case in self.cases if case.split == name]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Dataset:
        """Read a data set: the folder of a prepared one, its dataset.json, or a JSON file with
        lists of CTs by split, ``{"train": [...], "validation": [...]}``, with paths relative to it.

        Raises:
            AxonInputError: the file is missing, not a data set, of another version, or has an
                invalid entry; the message names it.
        """
        file = Path(path)
        check_input(file)
        if file.is_dir():
            file = file / FILE
        if not file.is_file():
            raise AxonInputError(
                f"{file} does not exist. Give the folder that `axon prepare` wrote."
            )
        values = read_json(file, "The data set", "Give the folder that `axon prepare` wrote.")
        if isinstance(values, dict) and "format" not in values and "train" in values:
            listed = {k: v for k, v in values.items() if k in SPLITS or isinstance(v, list)}
            for name, value in listed.items():
                if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                    raise AxonInputError(
                        f"{file}: '{name}' is {json.dumps(value)[:60]}; expected a list of CT "
                        'files: {"train": ["a.nii.gz", ...], "validation": [...]}.'
                    )
            return cls.of_cts(listed, file.parent)
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise AxonInputError(f'{file} is not an AXON data set: it lacks "format": "{FORMAT}".')
        if values.get("version") != VERSION:
            raise AxonInputError(
                f"{file} has version {values.get('version')!r}; this AXON reads version "
                f"{VERSION}. Update AXON or prepare the data again."
            )
        cases, ids = [], set()
        for number, entry in enumerate(values.get("cases") or []):
            try:
                case = _case(entry, file.parent)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                name = entry.get("id", number) if isinstance(entry, dict) else number
                raise AxonInputError(
                    f"{file}: case {name} is invalid ({error!r}). Prepare it again."
                ) from error
            if case.id in ids:
                raise AxonInputError(f"{file} contains the case {case.id!r} twice.")
            ids.add(case.id)
            cases.append(case)
        return cls(file.parent, cases)

    @classmethod
    def of_cts(
        cls, files: Mapping[str, Sequence[str | os.PathLike[str]]], root: Path | None = None
    ) -> Dataset:
        """A data set of plain CTs by split, such as {"train": [...], "validation": [...]}, whose
        views are rendered. Relative paths are relative to ``root``, by default the current folder.
        """
        root = Path.cwd() if root is None else Path(root)
        cases: list[DatasetCase] = []
        ids: set[str] = set()
        split_of: dict[str, str] = {}
        for split, paths in files.items():
            if split not in SPLITS:
                raise AxonInputError(
                    f"The split {split!r} is not known; it is one of {', '.join(SPLITS)}."
                )
            for path in paths:
                ct = root / path
                other = split_of.setdefault(os.path.abspath(ct), split)
                if other != split:
                    raise AxonInputError(
                        f"{ct} is both in {other} and in {split}; metrics would be meaningless. "
                        "Split the CTs by patient."
                    )
                name = base = ct.name.split(".")[0]
                copy = 2
                while name in ids:
                    name, copy = f"{base}_{copy}", copy + 1
                ids.add(name)
                cases.append(DatasetCase(name, name, split, "drr", ct))
        return cls(root, cases)


def _case(entry: dict[str, Any], root: Path) -> DatasetCase:
    split, group = entry["split"], entry.get("group", "drr")
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {SPLITS}")
    if group not in GROUPS:
        raise ValueError(f"group is {group!r}, expected one of {GROUPS}")
    frame = entry.get("frame")
    return DatasetCase(
        id=str(entry["id"]),
        patient=str(entry.get("patient", entry["id"])),
        split=split,
        group=group,
        ct=root / entry["ct"],
        frame=None
        if frame is None
        else ThoraxFrame(_three(frame["center_mm"]), _three(frame["size_mm"])),
        sha256=str(entry.get("sha256", "")),
        views=tuple(_view(view, root) for view in entry.get("views") or ()),
        reconstructed=bool(entry.get("reconstructed", False)),
    )


def _view(entry: dict[str, Any], root: Path) -> DatasetView:
    role, kind = entry["role"], entry["kind"]
    if role not in ("frontal", "lateral"):
        raise ValueError(f"role is {role!r}, expected frontal or lateral")
    if kind not in ("drr", "real"):
        raise ValueError(f"kind is {kind!r}, expected drr or real")
    view = View(str(entry["view"]).lower())
    if view.is_frontal != (role == "frontal"):
        raise ValueError(f"a {role} view cannot be {entry['view']!r}")
    return DatasetView(
        role=role,
        view=view,
        kind=kind,
        file=root / entry["file"],
        matrix=entry.get("matrix"),
        quality=dict(entry.get("quality") or {}),
        accepted=bool(entry.get("accepted", kind == "drr")),
        source=str(entry.get("source", "")),
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
