"""The orientation of an image: makes the mean chests.

    python Testing/benchmarks/orientation.py --data DATA      writes mean_chests.json

It takes the projections of the train split only, and starts from the means that are there. What
is recognised of rotated and mirrored images is measured by ``content.py``.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image

from axon_backend.imaging import layout
from axon_backend.imaging.layout import GRID
from axon_backend.imaging.matching import local_contrast
from axon_backend.imaging.write import write_text

Pixels = np.ndarray
# A lateral whose mirror image fits so much better is of a patient who lay prone.
PRONE = 0.07
# Of the eigenvalues' mean, added to the covariance of the differences between sides; by
# cross-validation on the train split.
RIDGE = 1.0
LEAST_AGREEMENT = 0.5  # with the mean, of a chest that counts towards the next one


def projection_files(data: Path, split: str) -> dict[tuple[str, str], Path]:
    """By patient and view (``ap``, ``lat``)."""
    folder = data / "projections"
    with (folder / "index.csv").open(encoding="utf-8") as stream:
        patients = [row["patient"] for row in csv.DictReader(stream) if row["split"] == split]
    return {(p, view): folder / f"{p}_{view}.png" for p in patients for view in ("ap", "lat")}


def projections(data: Path, split: str) -> dict[tuple[str, str], Pixels]:
    """Thumbnails by patient and view."""
    return {
        key: layout.thumbnail(np.asarray(Image.open(file), np.float32) / 255)
        for key, file in projection_files(data, split).items()
    }


def is_prone(lateral: Pixels) -> bool:
    keys = [(False, 0, mirrored) for mirrored in (False, True)]
    scores = [layout._matches(lateral, key)[key].bright.score for key in keys]
    return scores[1] > scores[0] + PRONE


def mean_of(images: list[Pixels], frontal: bool) -> Pixels:
    """Mean local contrast of chests, each found by the present mean."""
    key, chests = (frontal, 0, False), []
    for image in images:
        place = layout._matches(image, key)[key].bright
        if place.score > LEAST_AGREEMENT:
            chests.append(local_contrast(layout._cut(image, place)))
    mean = np.mean(chests, 0)
    return 0.5 * (mean + mean[:, ::-1]) if frontal else mean


def fit(data: Path) -> None:
    """Means, and Fisher's linear discriminant of the sides' difference and its mirror image."""
    films = projections(data, "train")
    names = [p for p, view in films if view == "lat" and not is_prone(films[p, view])]
    means = dict(layout.means())
    for part in (4, 1):  # a quarter of them finds the way
        for frontal, view, name in ((True, "ap", "frontal"), (False, "lat", "lateral")):
            means[name] = mean_of([films[p, view] for p in names[::part]], frontal)
        layout.means = lambda: means  # type: ignore[assignment]
        layout._templates.cache_clear()
    sides = np.array([layout.side_difference(films[p, "ap"]) for p in names])
    unit = sides.reshape(len(sides), -1)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    parts = [unit[half::2] for half in (0, 1)]
    held_out = np.concatenate([parts[1 - half] @ discriminant(parts[half]) for half in (0, 1)])
    means["sides"] = (discriminant(unit) / held_out.std()).reshape(sides.shape[1:])
    print("sides, held out, below 0:", int((held_out < 0).sum()), "of", len(held_out))
    record = {
        "what": f"Mean local contrast of projections, {GRID} x {GRID}: frontal (made symmetric) "
        "and lateral; and the linear discriminant of the unit difference of a frontal chest to its "
        "mirror image, left half, in standard deviations. Made by "
        "Testing/benchmarks/orientation.py.",
        "from": f"{len(names)} patients of the train split of LIDC-IDRI (Armato et al. 2015, "
        "doi 10.7937/K9/TCIA.2015.LO9QL9SX, CC BY 3.0); nobody can be told from them",
        **{name: np.round(a.astype(np.float64), 3).tolist() for name, a in means.items()},
    }
    write_text(layout.MEANS, json.dumps(record))
    print(f"{layout.MEANS}: {len(names)} patients")


def discriminant(rows: np.ndarray) -> np.ndarray:
    """Of ``rows`` (patients, values) against ``-rows``, unit length."""
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    covariance /= np.trace(covariance) / len(mean)
    found = np.linalg.solve(covariance + RIDGE * np.eye(len(mean)), mean)
    return found / np.linalg.norm(found)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True)
    fit(ask.parse_args().data)


if __name__ == "__main__":
    main()
