"""Choosing the chest CT series out of a DICOM folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_chest, is_elsewhere
from axon_backend.imaging.dicom_file import open_dicom

XRAY_MODALITIES = ("CR", "DX", "DR", "RG", "XA", "RF", "MG")
MIN_SLICES = 16
_CHEST_EXTENT_MM = 180.0  # a series that covers this much shows most of both lungs
HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "StudyDescription", "ProtocolName", "BodyPartExamined", "Modality", "ImageType",
    "AcquisitionNumber", "TemporalPositionIdentifier", "InstanceNumber", "NumberOfFrames",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
]  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """One DICOM file and its header without pixels, or a mapping of its values that has them as
    attributes too."""

    path: Path
    header: Any


def choose_series(path: Path) -> tuple[list[Slice], str, tuple[str, ...]]:
    """The slices of the chest CT in a folder (with subfolders), or of one slice's series.

    Returns the slices sorted along their normal, a short label for messages, and notes. Raises
    `AxonInputError` when there is no usable CT of the chest.
    """
    label = path.name
    if path.is_dir():
        slices = _scan(sorted(p for p in path.rglob("*") if p.is_file()))
    else:
        one = _scan([path])
        if not one:
            raise AxonInputError(
                f"{label} is not a readable DICOM file (damaged or cut short). Copy it again."
            )
        _refuse_unless_ct(one, label)
        uid = one[0].header.get("SeriesInstanceUID")
        beside = _scan(sorted(p for p in path.parent.iterdir() if p.is_file()))
        slices = [item for item in beside if item.header.get("SeriesInstanceUID") == uid]
    chosen, notes = choose_stack(stacks_of(slices, label), label)
    return chosen, label, notes


def _scan(paths: Iterable[Path]) -> list[Slice]:
    slices, seen = [], set()
    for path in paths:
        try:
            header = open_dicom(path, stop_before_pixels=True, specific_tags=HEADER_TAGS)
            # Values are decoded when first used: do it here, where a damaged file can be left out.
            for keyword in HEADER_TAGS:
                header.get(keyword)
        except Exception:  # no DICOM, or damaged: pydicom raises many kinds
            continue
        uid = header.get("SOPInstanceUID")
        # DICOMDIR has no SOP instance of its own; a file copied twice counts once.
        if uid is None or "Modality" not in header or uid in seen:
            continue
        seen.add(uid)
        slices.append(Slice(path, header))
    return slices


def _refuse_unless_ct(slices: list[Slice], label: str) -> None:
    """Raise when there is no CT among the images, saying what there is instead."""
    modalities = Counter(str(s.header.Modality) for s in slices)
    if modalities.get("CT"):
        return
    found = ", ".join(f"{n} {m or 'unnamed'}" for m, n in modalities.most_common())
    if not slices:
        raise AxonInputError(
            f"{label} holds no DICOM image. Give the folder that holds the CT slices, or one file "
            "that holds the whole CT."
        )
    if any(m in XRAY_MODALITIES for m in modalities):
        raise AxonInputError(
            f"{label} is an X-ray ({found}), not a CT. Give it as the X-ray and a CT as the CT."
        )
    raise AxonInputError(f"{label} holds {found}, not CT. Give a chest CT.")


def stacks_of(slices: list[Slice], label: str) -> list[list[Slice]]:
    """Usable CT stacks: same series, orientation and size; no localisers; one time point each.

    Raises `AxonInputError` when there is none, saying what there is instead.
    """
    _refuse_unless_ct(slices, label)
    groups: dict[Any, list[Slice]] = defaultdict(list)
    localisers = enhanced = 0
    for item in slices:
        header = item.header
        if header.Modality != "CT":
            continue
        if "LOCALIZER" in [str(t).upper() for t in header.get("ImageType") or []]:
            localisers += 1
        elif int(header.get("NumberOfFrames") or 1) > 1:
            enhanced += 1
        elif header.get("ImagePositionPatient") and header.get("ImageOrientationPatient"):
            turn = tuple(np.round(np.array(header.ImageOrientationPatient, float), 3))
            key = (header.get("SeriesInstanceUID"), turn, header.get("Rows"), header.get("Columns"))
            groups[key].append(item)
    stacks = [stack for group in groups.values() for stack in _split_repeats(group)]
    usable = [stack for stack in stacks if len(stack) >= MIN_SLICES]
    if usable:
        return usable
    if enhanced:
        raise AxonInputError(
            f"{label} is an enhanced multi-frame CT, which is not read directly. "
            "Convert it to NIfTI (for example with dcm2niix) and give that file."
        )
    longest = max((len(stack) for stack in stacks), default=0)
    if longest == 0:
        raise AxonInputError(
            f"{label} holds no CT slice with a position ({localisers} localiser images only). "
            "Give the folder of the axial series."
        )
    raise AxonInputError(
        f"{label} holds at most {longest} CT slice{'s' if longest > 1 else ''} of one series, a "
        f"chest CT has at least {MIN_SLICES}. Give the folder with all slices."
    )


def _split_repeats(group: list[Slice]) -> list[list[Slice]]:
    """Split a series that visits the same positions several times (phases, reconstructions)."""
    if len({_place(s) for s in group}) == len(group):
        return [group]
    for tag in ("AcquisitionNumber", "TemporalPositionIdentifier"):
        parts: dict[Any, list[Slice]] = defaultdict(list)
        for item in group:
            parts[item.header.get(tag)].append(item)
        if all(len({_place(s) for s in part}) == len(part) for part in parts.values()):
            return list(parts.values())
    name = describe_stack(group)
    raise AxonInputError(
        f"{name} has several different slices at the same position, one is expected. "
        "Export a single phase of the scan."
    )


def choose_stack(groups: list[list[Slice]], label: str) -> tuple[list[Slice], tuple[str, ...]]:
    """The chest among stacks, its slices sorted along their normal, and a note on the others.

    Raises `AxonInputError` when all show another body part.
    """
    elsewhere = [g for g in groups if is_elsewhere(_words(g)[0]) and not is_chest(*_words(g))]
    usable = [g for g in groups if g not in elsewhere]
    if not usable:
        part = _words(elsewhere[0])[0]
        raise AxonInputError(
            f"{label} is a CT of another body part ({part}), a chest CT is expected. "
            "Give the chest series."
        )

    def merit(group: list[Slice]) -> tuple[Any, ...]:
        # The last two only break ties reproducibly.
        number, uid = (group[0].header.get(tag) for tag in ("SeriesNumber", "SeriesInstanceUID"))
        return *stack_merit(group), -int(number or 0), str(uid)

    usable.sort(key=merit, reverse=True)
    chosen = sorted(usable[0], key=_place)
    if len(groups) == 1:
        return chosen, ()
    others = "; ".join(describe_stack(g) for g in usable[1:] + elsewhere)
    return chosen, (f"of {len(groups)} CT series {describe_stack(chosen)} was read, not {others}",)


def stack_merit(group: list[Slice]) -> tuple[bool, bool, bool, bool, int]:
    """Sort key of stacks as chest CTs, most important criterion first: not derived,
    axial, named a chest, long enough for both lungs, number of slices."""
    derived = any(str(t).upper() in ("MIP", "MINIP", "PROJECTION IMAGE", "SECONDARY")
                  for t in group[0].header.get("ImageType") or [])  # fmt: skip
    places = [_place(s) for s in group]
    long = max(places) - min(places) >= _CHEST_EXTENT_MM
    return not derived, _is_axial(group), is_chest(*_words(group)), long, len(group)


def _place(item: Slice) -> float:
    """Position along the slice normal, mm, rounded to a micrometre."""
    turn = np.array(item.header.ImageOrientationPatient, float)
    normal = np.cross(turn[:3], turn[3:])
    return round(float(normal @ np.array(item.header.ImagePositionPatient, float)), 3)


def _is_axial(group: list[Slice]) -> bool:
    turn = np.array(group[0].header.ImageOrientationPatient, float)
    return bool(abs(np.cross(turn[:3], turn[3:])[2]) > 0.8)


def _words(group: list[Slice]) -> tuple[str, str]:
    """Body part, and the free-text descriptions of the series."""
    header = group[0].header
    tags = ("SeriesDescription", "ProtocolName", "StudyDescription")
    return str(header.get("BodyPartExamined") or ""), " ".join(
        str(header.get(t) or "") for t in tags
    )


def describe_stack(group: list[Slice]) -> str:
    """Number, name, slices and step of a stack, for messages."""
    header = group[0].header
    places = sorted(_place(s) for s in group)
    step = f" of {np.median(np.diff(places)):.2f} mm" if len(places) > 1 else ""
    name = str(header.get("SeriesDescription") or "without a name")
    return f"series {header.get('SeriesNumber', '?')} '{name}' ({len(group)} slices{step})"
