"""Find the frontal X-ray, the lateral X-ray and the CT of one patient among files.

Headers and file names decide, by the rules of ``axon prepare``; if neither states the view of an
X-ray, its image does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from axon_backend.dataset.choose import Xray, choose_ct, choose_xrays, xray_of_tags
from axon_backend.dataset.names import named
from axon_backend.dataset.tags import read_tags
from axon_backend.errors import AxonInputError
from axon_backend.imaging.formats import find_format
from axon_backend.imaging.radiograph import shows_lateral


@dataclass(frozen=True)
class PatientFiles:
    """The images of one patient; None for those that are missing.

    Attributes:
        frontal, lateral: X-ray files. An X-ray without a stated view is taken as lateral if its
            image clearly shows a lateral view, and otherwise as frontal.
        ct: a file, or the folder of a DICOM series.
        notes: sentences about files that were left out.
    """

    frontal: Path | None = None
    lateral: Path | None = None
    ct: Path | None = None
    notes: tuple[str, ...] = ()


def find_patient(paths: Iterable[str | os.PathLike[str]]) -> PatientFiles:
    """Assign files, and all files in folders, to the images of one patient.

    Raises:
        AxonInputError: there is neither a chest X-ray nor a CT among them.
    """
    given = [Path(path) for path in paths]
    xrays: list[Xray] = []
    slices, volumes, notes = [], [], []
    for file in (file for path in given for file in _files(path)):
        try:
            tags = read_tags(file)
        except AxonInputError as error:
            notes.append(f"{file.name} is left out: {error}.")
            continue
        if tags is None:
            if find_format(file) is None:
                continue
            meaning = named(file.parent, file.name)
            if meaning.role == "ct":
                volumes.append(file)
            else:
                xrays.append(Xray(str(file), meaning.role, meaning.view, file.name))
        elif tags["Modality"] == "CT":
            slices.append((str(file), tags))
        elif "refused" in tags:
            notes.append(f"{file.name} is left out: {tags['refused']}.")
        elif len(tags) > 1:
            xrays.append(xray_of_tags(str(file), tags))
    chosen, _ = choose_xrays(xrays, None, None)
    roles: dict[str, Path] = {}
    for xray in sorted(chosen, key=lambda x: x.role is None):
        roles.setdefault(xray.role or _shown_role(xray.file), Path(xray.file))
    used = set(roles.values())
    left_out = [x.words for x in xrays if Path(x.file) not in used]
    if left_out:
        notes.append(f"Left out, because one X-ray per view is used: {', '.join(left_out)}.")
    ct = volumes[0] if volumes else None
    if slices and ct is None:
        try:
            ct = Path(choose_ct(slices, [d for x in chosen if (d := x.taken)]).files[0]).parent
        except AxonInputError as error:
            notes.append(f"The CT is left out: {error}.")
    if not roles and ct is None:
        listed = ", ".join(path.name for path in given[:3]) or "nothing"
        raise AxonInputError(
            f"There is no chest X-ray and no CT in {listed}. Give X-rays as DICOM, PNG, JPEG or "
            "TIFF, and a CT as a DICOM folder or a volume file."
            + (f" {' '.join(notes)}" if notes else "")
        )
    return PatientFiles(roles.get("frontal"), roles.get("lateral"), ct, tuple(notes))


def _shown_role(file: str) -> str:
    try:
        return "lateral" if shows_lateral(file) else "frontal"
    except AxonInputError:  # reported when the file is loaded
        return "frontal"


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found += [Path(folder) / name for name in sorted(names) if not name.startswith(".")]
    return found
