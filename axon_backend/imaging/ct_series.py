"""Choice of the chest CT series in a DICOM folder."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.tag import BaseTag

from axon_backend.errors import AxonInputError
from axon_backend.imaging.body_parts import is_chest, is_elsewhere
from axon_backend.imaging.dicom_file import (
    image_type,
    is_directory,
    number_of,
    numbers_of,
    open_dicom,
    value_of,
)
from axon_backend.imaging.packed import EXTENSIONS

_XRAY_MODALITIES = ("CR", "DX", "DR", "RG", "XA", "RF", "MG")
MIN_SLICES = 16
_CHEST_EXTENT_MM = 180.0  # a series that covers this much shows most of both lungs
_LEAST_EXTENT_MM = 80.0  # less is not a chest, whatever its name
# Slices whose axes differ by less than this (radians, 0.5 degrees) belong to one stack: writers
# round direction cosines, and some compute them for every slice.
_SAME_TURN = np.radians(0.5)
_SAME_SPACING = 1e-3  # relative difference of pixel sizes that counts as rounding
_RIGHT_ANGLE = 0.02  # cosine between the axes of an image that is still a right angle
# Tags that may distinguish slices of one series at one position: scans, phases, reconstructions.
_SPLIT_BY = (
    "AcquisitionNumber", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase",
    "TriggerTime", "ConvolutionKernel", "ImageType",
)  # fmt: skip
HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription",
    "StudyDescription", "ProtocolName", "BodyPartExamined", "Modality", "ImageType",
    "AcquisitionNumber", "TemporalPositionIdentifier", "InstanceNumber", "NumberOfFrames",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "NominalPercentageOfCardiacPhase", "TriggerTime", "ConvolutionKernel", "FrameOfReferenceUID",
]  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """One DICOM file and its header without pixels; the header may also be a mapping of its values
    that provides them as attributes."""

    path: Path
    header: Any

    @cached_property
    def geometry(self) -> np.ndarray | None:
        """(3, 3): position (mm), direction along a row, direction along a column; None if they are
        not usable."""
        position = numbers_of(self.header, "ImagePositionPatient")
        cosines = numbers_of(self.header, "ImageOrientationPatient")
        if position is None or cosines is None or len(position) != 3 or len(cosines) != 6:
            return None
        turn = np.array(cosines).reshape(2, 3)
        size = np.linalg.norm(turn, axis=1, keepdims=True)
        if size.min() < 0.5 or abs(float((turn / size)[0] @ (turn / size)[1])) > _RIGHT_ANGLE:
            return None
        return np.vstack([position, turn / size])


@dataclass(frozen=True)
class Stacks:
    """The usable CT stacks of a folder, and the reasons why the rest was left out."""

    usable: list[list[Slice]]
    skipped: tuple[str, ...]


def find_stacks(path: Path) -> Stacks:
    """The CT stacks in a folder (with subfolders), or of one slice's series.

    Raises:
        AxonInputError: there is no usable stack; the message states what was found instead.
    """
    label = path.name
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        slices = _scan(files)
        if not slices:
            _refuse_empty(files, label)
    else:
        one = _scan([path])
        if not one:
            if is_directory(path):
                raise AxonInputError(
                    f"{label} is the index of a DICOM disc, not an image. Give the folder that it "
                    "is in, or the folder of the CT series."
                )
            raise AxonInputError(
                f"{label} is not a readable DICOM file (damaged or cut short) or holds no image. "
                "Copy it again, or give the folder of the CT."
            )
        _refuse_unless_ct(one, label)
        uid = one[0].header.get("SeriesInstanceUID")
        beside = _scan(sorted(p for p in path.parent.iterdir() if p.is_file()))
        slices = [item for item in beside if item.header.get("SeriesInstanceUID") == uid]
    return usable_stacks(slices, label)


def usable_stacks(slices: list[Slice], label: str) -> Stacks:
    """The usable stacks among slices. Each series is checked separately, so that a broken one does
    not affect the others.

    Raises:
        AxonInputError: there is none; the message states the problem of each series.
    """
    _refuse_unless_ct(slices, label)
    series: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        if item.header.Modality == "CT":
            series[str(value_of(item.header, "SeriesInstanceUID"))].append(item)
    merged = _scattered(series)
    series = merged or series
    usable: list[list[Slice]] = []
    skipped, problems = [], []
    for group in series.values():
        name = label if len(series) == 1 else f"series {_name(group)}"
        try:
            stacks, left_out = _stacks_of(group, name)
            usable += stacks
            skipped += left_out
        except AxonInputError as error:
            problems.append(str(error))
            skipped.append(_reason(str(error)))
    if not usable:
        if len(problems) == 1:
            raise AxonInputError(problems[0])
        shown = "; ".join(sorted(_reason(p) for p in problems)[:4])
        more = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise AxonInputError(
            f"{label}: no CT series can be used: {shown}{more}. Give the folder of the axial chest "
            "series, complete."
        )
    if merged:
        skipped.append("every slice has its own series identifier: the slices were combined")
    return Stacks(usable, tuple(skipped))


def _reason(sentence: str) -> str:
    """The problem stated in a message, without the advice that follows."""
    return sentence.partition(". ")[0].rstrip(".")


def _scan(paths: Iterable[Path]) -> list[Slice]:
    slices, seen = [], set()
    for path in paths:
        try:
            header = open_dicom(path, stop_before_pixels=True, specific_tags=HEADER_TAGS)
        except Exception:  # not DICOM, or damaged: pydicom raises many types
            continue
        # Values are decoded on first use: decode them here, where broken ones can be left out.
        for tag in list(header.keys()):
            if _is_broken(header, tag):
                del header[tag]
        uid = header.get("SOPInstanceUID")
        # DICOMDIR has no SOP instance UID; a file that was copied counts once.
        if uid is None or "Modality" not in header or uid in seen:
            continue
        seen.add(uid)
        slices.append(Slice(path, header))
    return slices


def _is_broken(header: pydicom.Dataset, tag: BaseTag) -> bool:
    """Whether an element has no value, or one that cannot be decoded."""
    try:
        return header[tag].value is None
    except Exception:  # pydicom raises many types
        return True


def _refuse_empty(files: list[Path], label: str) -> None:
    """Raise for a folder without any DICOM image."""
    packed = [p.name for p in files if p.suffix.lower() in EXTENSIONS]
    if packed:
        named = ", ".join(packed[:3]) + (", ..." if len(packed) > 3 else "")
        raise AxonInputError(
            f"{label} holds no DICOM image but compressed files ({named}). Unpack them and give "
            "the folder with the CT slices."
        )
    raise AxonInputError(
        f"{label} holds no DICOM image. Give the folder that holds the CT slices, or one file "
        "that holds the whole CT."
    )


def _refuse_unless_ct(slices: list[Slice], label: str) -> None:
    """Raise AxonInputError if there is no CT among the images, stating what was found instead."""
    modalities = Counter(str(s.header.Modality) for s in slices)
    if modalities.get("CT"):
        return
    found = ", ".join(f"{n} {m or 'unnamed'}" for m, n in modalities.most_common())
    if any(m in _XRAY_MODALITIES for m in modalities):
        raise AxonInputError(
            f"{label} is an X-ray ({found}), not a CT. Give it as the X-ray and a CT as the CT."
        )
    raise AxonInputError(f"{label} holds {found}, not CT. Give a chest CT.")


def _scattered(series: dict[str, list[Slice]]) -> dict[str, list[Slice]]:
    """Merge the slices if each has its own series identifier (as some anonymisers assign), but they
    share number, name and frame of reference and have equal steps; else return {}."""
    if len(series) < MIN_SLICES or max(map(len, series.values())) > 1:
        return {}
    groups: dict[str, list[Slice]] = defaultdict(list)
    for (item,) in series.values():
        tags = ("SeriesNumber", "SeriesDescription", "FrameOfReferenceUID")
        groups[str([str(value_of(item.header, tag)) for tag in tags])].append(item)
    best = max(groups.values(), key=len)
    if len(best) < MIN_SLICES or any(item.geometry is None for item in best):
        return {}
    steps = np.diff(np.sort(places(best)))
    regular = steps.min() > 0 and np.ptp(steps) < 0.02 * steps.mean()
    return groups if regular else {}


def _stacks_of(slices: list[Slice], label: str) -> tuple[list[list[Slice]], list[str]]:
    """The usable CT stacks of one series (same orientation, size and pixel size; no localisers;
    one time point each), and notes on what was left out of it.

    Raises:
        AxonInputError: there is no usable stack.
    """
    flat, left_out = [], []
    localisers = enhanced = unplaced = 0
    for item in slices:
        header = item.header
        frames = value_of(header, "NumberOfFrames")
        if "LOCALIZER" in image_type(header):
            localisers += 1
        elif frames and (number_of(header, "NumberOfFrames") or 2) > 1:
            enhanced += 1
        elif not header.get("ImagePositionPatient") or not header.get("ImageOrientationPatient"):
            unplaced += 1
        elif item.geometry is None:
            raise AxonInputError(
                f"{label}: {item.path.name} has the position "
                f"{_shown(header.get('ImagePositionPatient'))} and the orientation "
                f"{_shown(header.get('ImageOrientationPatient'))}; three and six finite numbers, "
                "of axes at right angles, are needed. Export the series again."
            )
        else:
            flat.append(item)
    stacks = []
    for group in _alike(flat):
        found, duplicates = _split_repeats(group, label)
        stacks += found
        if duplicates:
            left_out.append(f"{_copies(duplicates)} in series {_name(group)}: dropped")
    usable = [stack for stack in stacks if len(stack) >= MIN_SLICES]
    kept = sum(map(len, usable))
    if usable:
        # Localisers and reports within a series are usual; slices that fit no stack are not.
        odd = sum(map(len, stacks)) - kept
        if odd:
            left_out.append(
                f"{odd} slice{'s' if odd > 1 else ''} of series {_name(slices)} of another size, "
                "pixel size or orientation"
            )
        return usable, left_out
    if enhanced:
        raise AxonInputError(
            f"{label} is an enhanced multi-frame CT, which is not read directly. "
            "Convert it to NIfTI (for example with dcm2niix) and give that file."
        )
    longest = max((len(stack) for stack in stacks), default=0)
    if longest == 0:
        if unplaced:
            raise AxonInputError(
                f"{label} holds no CT slice with a position ({unplaced} state none, as after some "
                "anonymisers). Export the series again with its positions, or give another series."
            )
        raise AxonInputError(
            f"{label} holds no CT slice with a position ({localisers} localiser images only). "
            "Give the folder of the axial series."
        )
    raise AxonInputError(
        f"{label} holds at most {longest} CT slice{'s' if longest > 1 else ''} of one series; a "
        f"chest CT has at least {MIN_SLICES}. Give the folder with all slices."
    )


def _shown(value: Any) -> str:
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
    return "\\".join(map(str, values))


def _alike(slices: list[Slice]) -> list[list[Slice]]:
    """Groups of slices with the same size, pixel size and orientation, except for rounding."""
    groups: list[tuple[Any, np.ndarray, np.ndarray, list[Slice]]] = []
    for item in slices:
        size = tuple(number_of(item.header, tag) for tag in ("Rows", "Columns"))
        spacing = np.array(numbers_of(item.header, "PixelSpacing") or (0.0, 0.0))
        geometry = item.geometry
        assert geometry is not None
        for other, step, turn, group in groups:
            if (
                size == other
                and spacing.shape == step.shape
                and np.allclose(spacing, step, rtol=_SAME_SPACING, atol=0)
                and np.abs(geometry[1:] - turn).max() < _SAME_TURN
            ):
                group.append(item)
                break
        else:
            groups.append((size, spacing, geometry[1:], [item]))
    return [group for *_, group in groups]


def _split_repeats(group: list[Slice], label: str) -> tuple[list[list[Slice]], int]:
    """Split slices with repeated positions (phases, reconstructions); return the stacks and the
    number of duplicate images that were dropped.

    Raises:
        AxonInputError: different images of one position cannot be distinguished.
    """
    at = places(group)
    if len(set(at)) == len(group):
        return [group], 0
    if len(set(at)) == 1 and len(group) > 1:
        many = f"all {len(group)} slices" if len(group) >= MIN_SLICES else f"{len(group)} slices"
        raise AxonInputError(
            f"{label} has {many} at the same position, so their order and distance are not known "
            "(bolus tracking, screenshots, or positions that were removed). Export the series "
            "again with its positions, or give another series."
        )
    for tag in _SPLIT_BY:
        parts: dict[str, list[Slice]] = defaultdict(list)
        for item in group:
            parts[_shown(value_of(item.header, tag))].append(item)
        single = all(len(set(places(part))) == len(part) for part in parts.values())
        if len(parts) > 1 and single and max(map(len, parts.values())) >= MIN_SLICES:
            return list(parts.values()), 0
    kept: dict[float, list[Slice]] = defaultdict(list)
    contents: dict[float, set[bytes]] = defaultdict(set)
    for place, item in zip(at, group, strict=True):
        content = _content(item.path)
        if content not in contents[place]:
            contents[place].add(content)
            kept[place].append(item)
    if max(map(len, kept.values())) == 1:
        return [[item for (item,) in kept.values()]], len(group) - len(kept)
    raise AxonInputError(
        f"{describe_stack(group)} has several different slices at the same position; one is "
        "expected. Export a single phase of the scan."
    )


def _content(path: Path) -> bytes:
    """A hash of an image's stored pixels."""
    try:
        data = open_dicom(path, specific_tags=["PixelData"]).get("PixelData")
    except Exception:  # damaged: it has no duplicates
        data = None
    return hashlib.sha256(str(path).encode() if data is None else bytes(data)).digest()


def _copies(count: int) -> str:
    return f"{count} identical {'copies of slices' if count > 1 else 'copy of a slice'}"


def rank_stacks(groups: list[list[Slice]], label: str) -> list[list[Slice]]:
    """The stacks that may show the chest, best first, their slices sorted along their normal.

    Raises:
        AxonInputError: all show another body part.
    """
    usable = [g for g in groups if not _elsewhere(g)]
    if not usable:
        part = _words(groups[0])[0]
        raise AxonInputError(
            f"{label} is a CT of another body part ({part}); a chest CT is expected. "
            "Give the chest series."
        )

    def merit(group: list[Slice]) -> tuple[Any, ...]:
        # The last two only break ties reproducibly.
        number = number_of(group[0].header, "SeriesNumber") or 0
        return *stack_merit(group), -number, str(value_of(group[0].header, "SeriesInstanceUID"))

    usable.sort(key=merit, reverse=True)
    return [[g[i] for i in np.argsort(places(g), kind="stable")] for g in usable]


def choice_notes(
    chosen: list[Slice], groups: list[list[Slice]], skipped: Iterable[str] = ()
) -> tuple[str, ...]:
    """Notes on a choice among stacks, and on what was ``skipped``."""
    notes = []
    files = {s.path for s in chosen}
    others = [g for g in groups if not files & {s.path for s in g}]
    if others:
        alike = any(_name(g) == _name(chosen) for g in others)
        named = "; ".join(describe_stack(g, pixels=alike) for g in others)
        notes.append(
            f"of {len(groups)} CT series {describe_stack(chosen, pixels=alike)} was read, not "
            f"{named}"
        )
    if skipped:
        notes.append("left out: " + "; ".join(skipped))
    return tuple(notes)


def stack_merit(group: list[Slice]) -> tuple[bool, bool, bool, bool, bool, int]:
    """Sort key of stacks as chest CTs, most important criterion first: covers at least part of a
    chest, not derived, axial, named a chest, long enough for both lungs, number of slices."""
    derived = {"MIP", "MINIP", "PROJECTION IMAGE", "SECONDARY"} & set(image_type(group[0].header))
    extent = float(np.ptp(places(group)))
    long = extent >= _CHEST_EXTENT_MM
    named = is_chest(*_words(group))
    return extent >= _LEAST_EXTENT_MM, not derived, _is_axial(group), named, long, len(group)


def orientation(group: list[Slice]) -> np.ndarray:
    """(2, 3) directions along a row and along a column, averaged over the slices and
    orthogonalised."""
    row, column = np.mean([g[1:] for g in _geometries(group)], axis=0)
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return np.stack([row, column / np.linalg.norm(column)])


def places(group: list[Slice]) -> np.ndarray:
    """(n,) positions along the common normal of the slices, mm, rounded to a micrometre."""
    found: np.ndarray = (positions(group) @ np.cross(*orientation(group))).round(3)
    return found


def positions(group: list[Slice]) -> np.ndarray:
    """(n, 3) positions of the slices' first pixels, LPS mm."""
    return np.array([g[0] for g in _geometries(group)])


def _geometries(group: list[Slice]) -> list[np.ndarray]:
    return [g for item in group if (g := item.geometry) is not None]


def _is_axial(group: list[Slice]) -> bool:
    return bool(abs(np.cross(*orientation(group))[2]) > 0.8)


def _elsewhere(group: list[Slice]) -> bool:
    return is_elsewhere(_words(group)[0]) and not is_chest(*_words(group))


def _words(group: list[Slice]) -> tuple[str, str]:
    """Body part, and the free-text descriptions of the series."""
    header = group[0].header
    tags = ("SeriesDescription", "ProtocolName", "StudyDescription")
    return str(value_of(header, "BodyPartExamined") or ""), " ".join(
        str(value_of(header, t) or "") for t in tags
    )


def _name(group: list[Slice]) -> str:
    """Number and description of a series, for messages."""
    header = group[0].header
    number = value_of(header, "SeriesNumber")
    description = value_of(header, "SeriesDescription") or "without a name"
    return f"{'?' if number is None else number} '{description}'"


def describe_stack(group: list[Slice], pixels: bool = False) -> str:
    """Number, name, slices, step and, with ``pixels``, pixel size of a stack, for messages."""
    steps = np.diff(np.sort(places(group)))
    step = f" of {np.median(steps):.2f} mm" if len(steps) else ""
    spacing = numbers_of(group[0].header, "PixelSpacing")
    if pixels and spacing:
        step += f", pixels of {spacing[0]:g} mm"
    return f"series {_name(group)} ({len(group)} slices{step})"
