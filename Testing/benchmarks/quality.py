"""Scores of registrations that are known to be right or wrong: what the thresholds come from.

    python Testing/benchmarks/quality.py --data DATA --out results/quality.json [--each 2]

Every radiograph of ``planar.py`` is registered to its own CT (right), to another patient's CT, to
its own CT's other view, and to its own CT turned by 15 degrees; the right placement is also
shifted by hand by 2 to 12 mm.
"""

from __future__ import annotations

import numpy as np
import torch
import xray_cases as cases
from planar import make

from axon_backend.imaging.matching import shrink_to
from axon_backend.imaging.view import View
from axon_backend.physics.pose import Pose
from axon_backend.registration.edges import displacement
from axon_backend.registration.planar import WORKING_SIZE, register_planar
from axon_backend.registration.quality import assess
from axon_backend.registration.reference import Reference
from axon_backend.registration.resample import resample_image

SHIFTS_MM = (2.0, 4.0, 6.0, 8.0, 12.0)
OTHER_VIEW = {View.pa: View.lateral_left, View.lateral_left: View.pa}


def scores(image: np.ndarray, reference: Reference, matrix: np.ndarray) -> dict[str, float]:
    """Of a placement, (3, 3) from the reference's square field to pixels."""
    fixed = shrink_to(reference.image, WORKING_SIZE, WORKING_SIZE)
    moved, valid = resample_image(image, matrix, WORKING_SIZE)
    q = assess(moved, fixed, valid)
    return {
        "ncc": q.ncc, "gradient_ncc": q.gradient_ncc, "mi": q.mutual_information,
        "offset": round(displacement(moved, fixed, valid), 4),
        "covered": round(float(valid.mean()), 3),
    }  # fmt: skip


def main() -> None:
    chosen = cases.arguments(__doc__, each=2).parse_args()
    torch.set_num_threads(1)
    files = cases.patients(chosen.data, tuple(chosen.splits.split(",")), chosen.every)
    references: dict[tuple[str, str], Reference] = {}
    turned: dict[tuple[str, str], Reference] = {}
    for number, path in enumerate(files):
        patient = cases.Patient.read(path)
        rng = np.random.default_rng([chosen.seed, number, 99])
        tilt = rng.permutation([15.0, 7.0, 0.0]) * rng.choice([-1, 1], 3)
        for view in OTHER_VIEW:
            key = patient.name, view.value
            given = (patient.ct, patient.frame, view)
            references[key] = Reference.from_ct(*given, None, WORKING_SIZE)
            turned[key] = Reference.from_ct(*given, Pose(tuple(tilt.tolist())), WORKING_SIZE)
    names = list(dict.fromkeys(name for name, _ in references))
    rows = []
    radiographs = make(files, chosen.each, chosen.seed, chosen.cache)
    for count, (patient, view, image, true) in enumerate(radiographs):
        own = references[patient.name, view.value]
        at = names.index(patient.name)
        other = names[(at + 1 + count % (len(names) - 1)) % len(names)]
        against = {
            "right": own,
            "other patient": references[other, view.value],
            "other view": references[patient.name, OTHER_VIEW[view].value],
            "turned 15 degrees": turned[patient.name, view.value],
        }
        extent = Pose().geometry(patient.frame, view).extent_mm
        side = max(extent)
        for kind, reference in against.items():
            found = register_planar(image, reference.image)
            row = {"kind": kind, "patient": patient.name, "view": view.value}
            row |= scores(image, reference, found.matrix)
            if kind == "right":
                error = cases.mean_error_mm(found.matrix @ own.to_square, true, extent)
                row["error_mm"] = round(error, 2)
            rows.append(row)
        rng = np.random.default_rng([chosen.seed, count])
        for mm in SHIFTS_MM:
            angle = rng.uniform(0, 2 * np.pi)
            away = np.eye(3)
            away[:2, 2] = mm / side * np.array([np.cos(angle), np.sin(angle)])
            placed = true @ np.linalg.inv(own.to_square) @ away
            rows.append({
                "kind": f"{mm:g} mm off", "patient": patient.name, "view": view.value,
                **scores(image, own, placed),
            })  # fmt: skip
        print(patient.name, view.value, len(rows), flush=True)
    cases.write(chosen.out, rows)
    for kind in dict.fromkeys(r["kind"] for r in rows):
        some = [r for r in rows if r["kind"] == kind]
        print(f"{kind:18s} n={len(some)}", end=" ")
        for key in ("ncc", "gradient_ncc", "mi", "offset"):
            values = np.quantile([r[key] for r in some], (0, 0.05, 0.5, 0.95, 1)).round(3)
            print(key, values.tolist(), end=" ")
        print()


if __name__ == "__main__":
    main()
