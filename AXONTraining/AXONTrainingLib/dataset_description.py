"""Summary and validation of a data set."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from slicer.i18n import tr as _


@dataclass
class DatasetDescription:
    """Summary of a data set.

    Attributes:
        cases: number of cases by split (train, validation, test).
        real: number of cases with an accepted real X-ray, by split.
        biplanar: number of cases with real frontal and lateral X-rays, by split.
        reconstructed: number of cases with a reconstruction in place of a CT.
        missing: listed files that do not exist.
        problems: messages; training rejects a data set with problems.
    """

    cases: dict[str, int] = field(default_factory=dict)
    real: dict[str, int] = field(default_factory=dict)
    biplanar: dict[str, int] = field(default_factory=dict)
    reconstructed: int = 0
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def describe(data) -> DatasetDescription:
    """Count the cases and check that all files exist.

    Args:
        data: an `axon_backend.dataset.dataset.Dataset`.
    """
    description = DatasetDescription()
    splits = Counter(case.split for case in data.cases)
    description.cases = {name: splits.get(name, 0) for name in ("train", "validation", "test")}
    description.reconstructed = sum(case.reconstructed for case in data.cases)
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
                _("The split {name} is empty; both train and validation require cases.").format(
                    name=name
                )
            )
    both = {c.patient for c in data.split("train")} & {c.patient for c in data.split("validation")}
    if both:
        description.problems.append(
            _("Patient {name} is in both training and validation. Split by patient.").format(
                name=sorted(both)[0]
            )
        )
    if description.missing:
        description.problems.append(
            _("{count} files are missing, for example {first}. Prepare the data again.").format(
                count=len(description.missing), first=description.missing[0]
            )
        )
    return description
