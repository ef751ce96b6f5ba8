"""Select the chest CT among all images of a patient, and the X-rays closest to it in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from axon_backend.dataset.tags import Tags
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series import (
    Slice,
    describe_stack,
    rank_stacks,
    stack_merit,
    usable_stacks,
)
from axon_backend.imaging.view import View

_MOST_OTHERS = 3  # series to try after the best one
_NO_DATE = 10**6  # days; sorts images without a date last


@dataclass(frozen=True)
class ChosenCt:
    """The selected CT: `files` in the order of the stack; `words`: which series, and why; `others`:
    words and files of the next best series of the study, should the first one be unusable."""

    files: tuple[str, ...]
    words: str
    study: str = ""
    taken: date | None = None
    notes: tuple[str, ...] = ()
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Xray:
    """One X-ray of a patient.

    Attributes:
        file: its path.
        role: "frontal", "lateral", or None if it can only be determined from the image.
        view: view stated by the tags or the file name, or None.
        words: description for reports.
        taken, study: date and study of a DICOM file.
        days: days after the CT, or None if a date is missing.
        rank: order of X-rays with equal days.
        oriented: whether the file states its orientation.
    """

    file: str
    role: str | None
    view: str | None
    words: str
    taken: date | None = None
    study: str = ""
    days: int | None = None
    rank: tuple[Any, ...] = field(default=(), compare=False)
    oriented: bool = False


def choose_ct(files: list[tuple[str, dict[str, Any]]], xray_dates: list[date]) -> ChosenCt:
    """The chest CT among the DICOM slices of one patient.

    Each series is examined separately, so that a damaged one does no harm. Of the studies with a
    series that is likely to show a chest, the one closest to an X-ray in time is selected; within
    it, ``imaging.ct_series.rank_stacks`` decides.

    Raises:
        AxonInputError: there is no usable CT; the message states the problem of each series.
    """
    slices: list[Slice] = []
    seen: set[str] = set()
    for path, tags in files:
        uid = tags["SOPInstanceUID"]
        if uid not in seen:  # count duplicate files once
            seen.add(uid)
            slices.append(Slice(Path(path), Tags(tags)))
    if not slices:
        raise AxonInputError("there is no CT of this patient")
    found = usable_stacks(slices, "the patient's CT")
    stacks = found.usable
    near = _nearest_study(stacks, xray_dates)
    chosen, *next_best = rank_stacks(near, "the CT")
    first = chosen[0].header
    taken = read_date(first.get("StudyDate"))
    words = describe_stack(chosen)
    if len(stacks) > 1:
        words += f", the best of {len(stacks)} CT series ({_reasons(chosen, near, stacks)})"
    notes = [
        f"another CT series is equally good: {describe_stack(other)}; {describe_stack(chosen)} was "
        "selected because its series number is lower. To use the other, name it in a manifest"
        for other in near
        if {s.path for s in other} != {s.path for s in chosen}
        and stack_merit(other) == stack_merit(chosen)
    ]
    if found.skipped:
        notes.append("left out: " + "; ".join(found.skipped))
    others = tuple((describe_stack(o), _paths(o)) for o in next_best[:_MOST_OTHERS])
    study = str(first.get("StudyInstanceUID"))
    return ChosenCt(_paths(chosen), words, study, taken, tuple(notes), others)


def _paths(stack: list[Slice]) -> tuple[str, ...]:
    return tuple(str(s.path) for s in stack)


def choose_xrays(
    xrays: list[Xray], ct: ChosenCt | None, max_days: int | None
) -> tuple[list[Xray], list[str]]:
    """At most one frontal and one lateral X-ray, and notes on what was excluded.

    The X-rays closest to the CT in time are selected; on the same day, those of the CT's study
    come first, then those for presentation. If a view is missing, up to two X-rays without a stated
    view are kept, to be determined from the image.
    """
    dated = [_with_days(x, None if ct is None else ct.taken) for x in xrays]
    notes = []
    if max_days is not None:
        far = [x for x in dated if x.days is not None and abs(x.days) > max_days]
        dated = [x for x in dated if x not in far]
        notes += [
            f"{x.words} was taken {abs(x.days or 0)} days from the CT, more than the {max_days} "
            "allowed: excluded"
            for x in far
        ]

    def nearness(x: Xray) -> tuple[Any, ...]:
        days = _NO_DATE if x.days is None else abs(x.days)
        return days, ct is None or x.study != ct.study, x.rank, x.file

    dated.sort(key=nearness)
    taken = []
    for role in ("frontal", "lateral"):
        of_role = [x for x in dated if x.role == role]
        taken += of_role[:1]
        if len(of_role) > 1:
            notes.append(
                f"of {len(of_role)} {role} X-rays, the closest in time was selected: "
                f"{of_role[0].words}"
            )
    if len(taken) < 2:
        unknown = [x for x in dated if x.role is None]
        taken += unknown[:2]
    return taken, notes


def xray_of_tags(path: str, tags: dict[str, Any]) -> Xray:
    """A DICOM X-ray from its tags; see ``tags.read_tags``."""
    view = None if tags.get("view") is None else View(tags["view"])
    processing = "PROCESSING" in str(tags.get("PresentationIntentType") or "").upper()
    numbers = tuple(_number(tags.get(k)) for k in ("SeriesNumber", "InstanceNumber"))
    return Xray(
        path,
        None if view is None else "frontal" if view.is_frontal else "lateral",
        None if view is None else view.value,
        f"{tags['Modality']} of series {tags.get('SeriesNumber', '?')}",
        read_date(tags.get("StudyDate")),
        str(tags.get("StudyInstanceUID")),
        rank=(processing, *numbers),
        oriented=bool(tags.get("oriented")),
    )


def read_date(text: Any) -> date | None:
    """Parse a DICOM date; None if it is missing or invalid."""
    try:
        return datetime.strptime(str(text).replace(".", "")[:8], "%Y%m%d").date()
    except ValueError:
        return None


def _with_days(x: Xray, taken: date | None) -> Xray:
    days = None if x.taken is None or taken is None else (x.taken - taken).days
    return Xray(x.file, x.role, x.view, x.words, x.taken, x.study, days, x.rank, x.oriented)


def _nearest_study(stacks: list[list[Slice]], xray_dates: list[date]) -> list[list[Slice]]:
    """The likely chests of the study that is closest to an X-ray in time."""
    best = max(stack_merit(s)[:5] for s in stacks)
    likely = [s for s in stacks if stack_merit(s)[:5] == best]

    def distance(stack: list[Slice]) -> int:
        taken = read_date(stack[0].header.get("StudyDate"))
        if taken is None or not xray_dates:
            return _NO_DATE
        return min(abs((d - taken).days) for d in xray_dates)

    least = min(distance(s) for s in likely)
    return [s for s in likely if distance(s) == least]


def _reasons(chosen: list[Slice], near: list[list[Slice]], stacks: list[list[Slice]]) -> str:
    here = {s.path for s in chosen}
    others = [s for s in stacks if {i.path for i in s} != here]
    # These words are part of a case's key (``inputs.case_key``): changing them remakes cases.
    names = (
        "shows more than a few centimetres", "original", "axial", "named a chest",
        "long enough for both lungs", "most slices",
    )  # fmt: skip
    mine = stack_merit(chosen)
    why = [
        name
        for name, value, theirs in zip(
            names, mine, zip(*(stack_merit(o) for o in others), strict=True), strict=True
        )
        if all(value > t for t in theirs)
    ]
    if len(near) < len([s for s in stacks if stack_merit(s)[:5] == mine[:5]]):
        why.append("its study is the nearest to the X-rays")
    if not why:
        why.append("by the order: original, axial, a chest, long enough, most slices")
    return ", ".join(why)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf")
