"""Splits: the paper's sizes, by patient, by seed, and nobody moves."""

from __future__ import annotations

from collections import Counter

import pytest

from axon_backend.dataset.splits import Patient, assign, replaced


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


def test_patients_without_a_case_leave_their_places_to_others():
    patients = cohort(173, 59, 778)
    splits = assign(patients, 0)
    lost = {p.id for p in patients[::3]}  # a third of every kind
    usable = {p.id for p in patients} - lost
    found = replaced(patients, splits, usable, 0)
    kept = [p for p in patients if p.id in usable]
    assert counts(kept, found, "biplanar") == {
        "train": 115 - 24, "validation": 8, "test": 16,
    }  # fmt: skip
    held = Counter(split for split in found.values() if split != "train")
    assert held == {"validation": 10, "test": 25}
    assert not any(found[name] != "train" for name in lost)
    assert all(found[n] == s for n, s in splits.items() if n in usable and s != "train")
    assert replaced(patients[::-1], splits, usable, 0) == found
    assert replaced(patients, found, usable, 0) == found


def test_the_last_training_patient_stays_and_wishes_are_kept():
    patients = [Patient("a", "drr"), Patient("b", "drr"), Patient("c", "drr", "test")]
    splits = {"a": "train", "b": "validation", "c": "test"}
    assert replaced(patients, splits, {"a"}, 0) == splits
    more = [*patients, Patient("d", "paired", "train")]
    splits["d"] = "train"
    assert replaced(more, splits, {"a", "d"}, 0) == {
        "a": "validation", "b": "train", "c": "test", "d": "train",
    }  # fmt: skip
