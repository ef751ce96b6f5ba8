"""Which way round is the picture: makes the mean chests, and measures the check on real X-rays.

    python Testing/benchmarks/orientation.py fit --data DATA      writes mean_chests.json
    python Testing/benchmarks/orientation.py measure --data DATA --out results/orientation.json

``fit`` reads the CTs of the train split only. ``measure`` turns, mirrors and swaps real frontal
X-rays (all upright and not mirrored) and DRRs of the sides of all train and validation patients.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xray_cases as cases

from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_text
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration import orientation
from axon_backend.registration.search import GRID, shrink_to
from axon_backend.registration.similarity import local_contrast
from axon_backend.training.data.augmentation import (
    Probabilities,
    RadiographAugmentation,
    augment_radiograph,
)

FILMS = 24  # of each patient, for the sides
LOOK = RadiographAugmentation(clean=0.1, p=Probabilities(misregistration=0.0))


def drrs(path: Path, view: View, count: int) -> list[np.ndarray]:
    """(128, 128) DRRs of a patient on square fields; the first is the canonical one, the others
    are posed, placed and altered at random."""
    patient = cases.Patient.read(path)
    volume = AttenuationVolume.from_ct(patient.ct).downsampled(110)
    rng = np.random.default_rng([*patient.name.encode(), view.is_frontal])
    made = []
    for k in range(count):
        turn, shift = rng.normal(0, (4, 3, 5)).tolist(), rng.uniform(-15, 15, 3).tolist()
        pose = Pose(tuple(turn), tuple(shift)) if k else Pose()
        geometry = pose.geometry(patient.frame, view)
        side = max(geometry.extent_mm) * (float(rng.uniform(1.0, 1.25)) if k else 1.0)
        with torch.inference_mode():
            picture = render_drr(volume, replace(geometry, extent_mm=(side, side)), 128)
            picture = augment_radiograph(picture[None, None], rng, LOOK)[0, 0] if k else picture
        made.append(picture.numpy())
    return made


def fit(data: Path) -> None:
    """Mean local contrast of the train patients' DRRs, and their mean difference of sides."""
    files = cases.patients(data, ("train",))
    front = [drrs(f, View.pa, FILMS) for f in files]
    side = [drrs(f, View.lateral_left, 1) for f in files]
    means = {
        name: shrink_to(np.mean([local_contrast(p[0]) for p in some], 0), GRID, GRID)
        for name, some in (("frontal", front), ("lateral", side))
    }
    means["frontal"] = 0.5 * (means["frontal"] + means["frontal"][:, ::-1])
    sides = []
    for patient in front:
        found = [orientation.side_difference(p, means["frontal"]) for p in patient]
        sides.append(np.mean([d / np.linalg.norm(d) for d in found], 0))
    means["sides"] = np.mean(sides, 0)
    record = {
        "what": "Mean local contrast of DRRs, 64 x 64: frontal (made symmetric) and lateral; and "
        "the mean difference of a frontal chest to its mirror image, left half. Made by "
        "Testing/benchmarks/orientation.py fit.",
        "from": [f.name.removesuffix(".nii.gz") for f in files],
        "collections": "TCIA: LIDC-IDRI, LungCT-Diagnosis, Lung-PET-CT-Dx, QIN LUNG CT, RIDER "
        "Pilot, TCGA-THCA; means of many patients, nobody can be told from them",
        **{name: np.round(a.astype(np.float64), 3).tolist() for name, a in means.items()},
    }
    write_text(orientation.MEANS, json.dumps(record))
    print(f"{orientation.MEANS}: {len(files)} patients")


TURNS = {
    "as it is": lambda a: a,
    "mirrored": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
    "turned by 90 degrees to the left": lambda a: np.rot90(a, 1),
    "turned by 90 degrees to the right": lambda a: np.rot90(a, -1),
}


def measure(data: Path, out: Path) -> None:
    """Confusion counts."""
    counts: dict[str, Counter] = {}

    def count(case: str, picture: np.ndarray, frontal: bool) -> None:
        found = orientation.recognise(np.ascontiguousarray(picture), frontal)
        said = "nothing" if found is None else found.name
        counts.setdefault(case, Counter())[said] += 1

    for path in sorted((data / "xray").iterdir()):
        if path.suffix == ".json" or "scout" in path.name:
            continue
        picture = orientation.thumbnail(read_radiograph(path).pixels)
        for name, turn in TURNS.items():
            count(f"real frontal, {name}", turn(picture), True)
        count("real frontal, given as lateral", picture, False)
    for path in cases.patients(data, ("train", "validation")):
        for picture in drrs(path, View.lateral_left, 3)[1:]:
            for name, turn in TURNS.items():
                count(f"lateral DRR, {name}", turn(picture), False)
            count("lateral DRR, given as frontal", picture, True)
    for case, said in counts.items():
        print(f"{case:50s}", dict(said.most_common()), flush=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, json.dumps(counts, indent=1))


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("what", choices=("fit", "measure"))
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--out", type=Path, default=Path("results/orientation.json"))
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    fit(chosen.data) if chosen.what == "fit" else measure(chosen.data, chosen.out)


if __name__ == "__main__":
    main()
