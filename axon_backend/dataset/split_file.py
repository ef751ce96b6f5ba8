"""splits.json: the split of each patient, kept from run to run.

    {"seed", "settled": whether a run has determined which patients are usable,
     "patients": {id: split}}

At first, patients without a usable CT may be drawn for validation and test. When the first run is
complete, others replace them, once: patients who are added later, or whose files are damaged later,
do not move others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from axon_backend.dataset.plan import CasePlan
from axon_backend.dataset.splits import Patient, assign, replaced
from axon_backend.dataset.store import read_record
from axon_backend.imaging.write import write_json

SPLITS_FILE = "splits.json"
_GROUPS = ("drr", "paired", "biplanar")


def draw_splits(root: Path, plans: list[CasePlan], seed: int) -> dict[str, str]:
    """The split of every patient; splits drawn by an earlier run with the same seed are kept."""
    before = _read(root, seed)
    known = before.get("patients", {})
    splits = assign(_patients(plans), seed, known)
    # Patients who are missing now keep their split in case they return.
    _write(root, before, seed, bool(before.get("settled")), {**known, **splits})
    return splits


def settle_splits(
    root: Path, plans: list[CasePlan], splits: dict[str, str], seed: int
) -> dict[str, str]:
    """The final splits, once every case has been tried; see :func:`splits.replaced`."""
    before = _read(root, seed)
    if before.get("settled"):
        return splits
    usable = {
        plan.patient
        for plan in plans
        if not plan.problem and (read_record(root, plan.id) or {}).get("status") == "done"
    }
    settled = replaced(_patients(plans), splits, usable, seed)
    _write(root, before, seed, True, {**before.get("patients", {}), **settled})
    return settled


def _patients(plans: list[CasePlan]) -> list[Patient]:
    best: dict[str, tuple[int, str | None]] = {}
    for plan in plans:
        if plan.problem and plan.requested_split is None:
            continue
        rank, requested = best.get(plan.patient, (0, None))
        best[plan.patient] = (
            max(rank, _GROUPS.index(plan.group)),
            plan.requested_split or requested,
        )
    return [Patient(name, _GROUPS[rank], requested) for name, (rank, requested) in best.items()]


def _read(root: Path, seed: int) -> dict[str, Any]:
    try:
        values = json.loads((root / SPLITS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) and values.get("seed") == seed else {}


def _write(
    root: Path, before: dict[str, Any], seed: int, settled: bool, patients: dict[str, str]
) -> None:
    new = {"seed": seed, "settled": settled, "patients": dict(sorted(patients.items()))}
    if new != before:
        write_json(root / SPLITS_FILE, new)
