"""What is in a data set, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from slicer.i18n import tr as _


@dataclass
class DatasetDescription:
    """What is in a data set.

    Attributes:
        cases: number by split (train, validation, test).
        real: cases with an accepted real X-ray, by split.
        biplanar: cases with real X-rays from both sides, by split.
        missing: files that are named but not there.
        problems: sentences; training would refuse the data set.
    """

    cases: dict[str, int] = field(default_factory=dict)
    real: dict[str, int] = field(default_factory=dict)
    biplanar: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def describe(data) -> DatasetDescription:
    """Count the cases and look for every file.

    Args:
        data: an `axon_backend.dataset.dataset.Dataset`.
    """
    description = DatasetDescription()
    splits = Counter(case.split for case in data.cases)
    description.cases = {name: splits.get(name, 0) for name in ("train", "validation", "test")}
    for case in data.cases:
        views = [case.real(role) for role in ("frontal", "lateral")]
        if any(views):
            description.real[case.split] = description.real.get(case.split, 0) + 1
        if all(views):
            description.biplanar[case.split] = description.biplanar.get(case.split, 0) + 1
        files = [case.ct, *(view.file for view in case.views)]
        description.missing += [str(file) for file in files if not Path(file).is_file()]
    for name in ("train", "validation"):
        if not description.cases[name]:
            description.problems.append(
                _("There is no case in the split {name}; both train and validation need some.")
                .format(name=name)
            )  # fmt: skip
    both = {c.patient for c in data.split("train")} & {c.patient for c in data.split("validation")}
    if both:
        description.problems.append(
            _("Patient {name} is in training and in validation. Split by patient.").format(
                name=sorted(both)[0]
            )
        )
    if description.missing:
        description.problems.append(
            _("{count} files are missing, {first} for example. Prepare the data again.").format(
                count=len(description.missing), first=description.missing[0]
            )
        )
    return description
