"""Assign patients to training, validation (selecting the weights) and test."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

# LIDC-IDRI in Rath et al., arXiv:2603.26509, section 3: 232 patients with a CT and a frontal
# X-ray, of whom 173 have a lateral one too.
PAPER = {"train": 197, "validation": 10, "test": 25}
PAPER_BIPLANAR = {"train": 149, "validation": 8, "test": 16}
HELD_OUT = ("test", "validation")
FEWEST = 3  # patients needed for three splits


@dataclass(frozen=True)
class Patient:
    """`group`: "biplanar", "paired" or "drr"; `requested`: the split stated in a manifest."""

    id: str
    group: str
    requested: str | None = None


def assign(
    patients: list[Patient], seed: int, before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The split of every patient.

    The split of a manifest takes precedence, then that of an earlier run (``before``), so that
    patients who are added do not move others. The rest are drawn in the order of a hash of seed and
    id: test and validation patients from those with real X-rays (from all, if fewer than three have
    any), in the paper's numbers or, with fewer than its 232 patients, in its proportions. The
    remaining patients are for training.
    """
    before = before or {}
    splits = {}
    for p in patients:
        given = p.requested or before.get(p.id)
        if given is not None:
            splits[p.id] = given
    paired = [p for p in patients if p.group != "drr"]
    pool = paired if len(paired) >= FEWEST else patients
    two = [p for p in pool if p.group == "biplanar"]
    one = [p for p in pool if p.group != "biplanar"]
    for split in HELD_OUT:
        total = _share(PAPER, split, len(pool))
        of_two = min(_share(PAPER_BIPLANAR, split, len(two)), total)
        of_two = max(of_two, total - len(one))
        # Finally the whole pool, since all patients of one group may already have a split.
        for members, count in ((two, of_two), (one, total - of_two), (pool, total)):
            have = sum(splits.get(p.id) == split for p in members)
            free = sorted((p.id for p in members if p.id not in splits), key=_draw(seed))
            for name in free[: max(0, count - have)]:
                splits[name] = split
    for p in patients:
        splits.setdefault(p.id, "train")
    return splits


def replaced(
    patients: list[Patient], splits: Mapping[str, str], usable: Collection[str], seed: int
) -> dict[str, str]:
    """The splits after patients without a usable case are removed from test and validation.

    Each is replaced by a usable training patient, preferably of the same group, then with any
    X-rays, then without, in the order of the draw. The last training patient is not moved. Patients
    with a requested split keep it.
    """
    new = dict(splits)
    for split in reversed(HELD_OUT):  # validation first, without which there is no training
        lost = [
            p for p in patients if p.requested is None and p.id not in usable and new[p.id] == split
        ]
        for gone in sorted(lost, key=lambda p: _draw(seed)(p.id)):
            train = [p for p in patients if p.id in usable and new[p.id] == "train"]
            free = [p for p in train if p.requested is None]
            if len(train) < 2 or not free:
                return new
            _, _, _, other = min(
                (p.group != gone.group, p.group == "drr", _draw(seed)(p.id), p.id) for p in free
            )
            new[gone.id], new[other] = "train", split
    return new


def _share(sizes: dict[str, int], split: str, count: int) -> int:
    """The number of ``count`` patients for a split: at least one if there are three or more."""
    part = round(sizes[split] * min(1.0, count / sum(sizes.values())))
    return max(part, 1) if count >= FEWEST else 0


class _draw:
    """Sort key of a patient in the draw, independent of the other patients."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, name: str) -> str:
        return hashlib.sha256(f"{self.seed}|{name}".encode()).hexdigest()
