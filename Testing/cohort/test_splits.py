"""Splits: the paper's sizes, by patient, by seed, and nobody moves."""

from __future__ import annotations

from collections import Counter

import pytest

from axon_backend.cohort.splits import Patient, assign


def cohort(two: int, one: int, none: int) -> list[Patient]:
    groups = ["biplanar"] * two + ["paired"] * one + ["drr"] * none
    return [Patient(f"LIDC-IDRI-{i:04d}", group) for i, group in enumerate(groups)]


def counts(patients, splits, *groups):
    return Counter(splits[p.id] for p in patients if p.group in groups)


def test_the_papers_cohort_gets_the_papers_sizes():
    patients = cohort(173, 59, 778)
    splits = assign(patients, 0)
    assert counts(patients, splits, "biplanar", "paired") == {
        "train": 197, "validation": 10, "test": 25,
    }  # fmt: skip
    assert counts(patients, splits, "biplanar") == {"train": 149, "validation": 8, "test": 16}
    assert counts(patients, splits, "drr") == {"train": 778}


def test_a_larger_cohort_trains_on_the_surplus():
    patients = cohort(300, 100, 0)
    found = counts(patients, assign(patients, 0), "biplanar", "paired")
    assert found == {"train": 365, "validation": 10, "test": 25}


@pytest.mark.parametrize("count", [3, 10, 58, 116])
def test_a_smaller_one_is_split_in_proportion(count):
    patients = cohort(count // 2, count - count // 2, 20)
    found = counts(patients, assign(patients, 1), "biplanar", "paired")
    assert found["test"] == max(1, round(25 * count / 232))
    assert found["validation"] == max(1, round(10 * count / 232))
    assert sum(found.values()) == count


def test_without_xrays_all_patients_are_split():
    patients = cohort(0, 0, 20)
    assert Counter(assign(patients, 0).values()) == {"train": 17, "validation": 1, "test": 2}


def test_the_seed_decides_and_the_order_does_not():
    patients = cohort(60, 40, 50)
    assert assign(patients, 3) == assign(patients[::-1], 3)
    assert assign(patients, 3) != assign(patients, 4)


def test_nobody_moves_when_patients_are_added():
    patients = cohort(60, 40, 50)
    before = assign(patients, 0)
    more = patients + [Patient(f"new{i}", "biplanar") for i in range(60)]
    after = assign(more, 0, before)
    assert all(after[name] == split for name, split in before.items())
    # The new ones bring the held-out splits up to the size of the larger cohort.
    assert counts(more, after, "biplanar", "paired")["test"] == round(25 * 160 / 232)


def test_a_manifests_wish_wins():
    patients = [*cohort(10, 0, 0), Patient("a", "drr", "test"), Patient("b", "biplanar", "train")]
    splits = assign(patients, 0, {"a": "train", "b": "test"})
    assert splits["a"] == "test" and splits["b"] == "train"


def test_few_of_one_kind():
    assert assign([Patient("a", "drr"), Patient("b", "paired")], 0) == {"a": "train", "b": "train"}
    assert assign([], 0) == {}
