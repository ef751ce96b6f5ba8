"""2-D registration: known placements recovered, beside SimpleITK alone.

    python Testing/benchmarks/planar.py --data DATA --out results/planar.json [--each 3]

DATA holds CATALOGUE.md and ct/*.nii.gz. Every patient of the splits is filmed from the front and
the side under ``--each`` random placements each; each radiograph is registered to the CT's own DRR.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import others
import torch
import xray_cases as cases

from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.pose import Pose
from axon_backend.registration import register
from axon_backend.registration.place import REFERENCE_SIZE
from axon_backend.registration.reference import Reference


def make(files: list[Path], each: int, seed: int, cache: Path | None):
    """(patient, view, image, true placement) one after the other; kept in ``cache``."""
    for path in files:
        patient = cases.Patient.read(path)
        for side, view in enumerate((View.pa, View.lateral_left)):
            extent = Pose().geometry(patient.frame, view).extent_mm
            for k in range(each):
                kept = cache / f"{patient.name}_{view.value}_{seed}_{k}.npz" if cache else None
                if kept is not None and kept.is_file():
                    with np.load(kept) as file:
                        yield patient, view, file["image"], file["matrix"]
                    continue
                rng = np.random.default_rng([seed, *patient.name.encode(), side, k])
                matrix = cases.random_similarity(rng)
                image = cases.random_radiograph(patient, view, Pose(), matrix, rng)
                true = cases.placement(matrix, extent)
                if kept is not None:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    np.savez(kept, image=image, matrix=true)
                yield patient, view, image, true


def summary(errors: list[float], seconds: list[float]) -> dict:
    """What is reported of a method."""
    e, s = np.array(errors), np.array(seconds)
    return {
        "cases": len(e),
        "below_2mm_percent": round(100 * float((e < 2).mean()), 1),
        "median_mm": round(float(np.median(e)), 2),
        "p95_mm": round(float(np.quantile(e, 0.95)), 2),
        "worst_mm": round(float(e.max()), 1),
        "median_s": round(float(np.median(s)), 2),
        "worst_s": round(float(s.max()), 2),
    }


def main() -> None:
    ask = cases.arguments(__doc__, each=3)
    ask.add_argument(
        "--sitk-every", type=int, default=4, help="also SimpleITK on every n-th radiograph"
    )
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    rows, errors, seconds = [], [], []
    alone, alone_s, beside = [], [], []
    files = cases.patients(chosen.data, tuple(chosen.splits.split(",")), chosen.every)
    radiographs = make(files, chosen.each, chosen.seed, chosen.cache)
    for patient, view, image, true in radiographs:
        extent = Pose().geometry(patient.frame, view).extent_mm
        began, cpu = time.perf_counter(), time.process_time()
        placed = register(
            {"xray": Radiograph(image, None, view)}, patient.ct, patient.frame, size=256
        ).views["xray"]
        seconds.append(time.process_time() - cpu)
        wall = time.perf_counter() - began
        assert placed.registration is not None
        errors.append(cases.mean_error_mm(placed.registration.matrix, true, extent))
        q = placed.registration.quality
        rows.append({
            "patient": patient.name, "view": view.value, "error_mm": round(errors[-1], 2),
            "seconds": round(seconds[-1], 2), "wall_s": round(wall, 2), "ncc": q.ncc,
            "gradient_ncc": q.gradient_ncc, "mi": q.mutual_information, "verdict": q.verdict,
        })  # fmt: skip
        if (len(rows) - 1) % chosen.sitk_every == 0:
            target = Reference.from_ct(patient.ct, patient.frame, view, None, REFERENCE_SIZE)
            cpu = time.process_time()
            pixel_mm = cases.FIELD_MM / cases.SIZE
            found = others.sitk_similarity(image, target.image, pixel_mm, max(extent))
            alone_s.append(time.process_time() - cpu)
            alone.append(cases.mean_error_mm(found @ target.to_square, true, extent))
            beside.append(len(rows) - 1)
            rows[-1]["sitk_error_mm"] = round(alone[-1], 2)
        print(json.dumps(rows[-1]), flush=True)
    result = {
        "axon": summary(errors, seconds),
        "axon, cases of SimpleITK alone": summary(
            [errors[i] for i in beside], [seconds[i] for i in beside]
        ),
        "SimpleITK alone": summary(alone, alone_s),
        "cases": rows,
    }
    cases.write(chosen.out, result)
    del result["cases"]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
