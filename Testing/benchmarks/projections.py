"""What one frontal X-ray tells about the depth of patients whose CT is not at hand.

    python Testing/benchmarks/projections.py --data FOLDER --bundle A --bundle B --out FILE

FOLDER holds `index.csv` (with the columns `patient` and `split`) and for each patient a frontal and
a lateral projection of one CT with the same rows, `PATIENT_ap.png` and `PATIENT_lat.png`: bright
bones, square pixels of --pixel-mm, the patient's right, or front, on the left. Every bundle
reconstructs stage "coarse" from the frontal image alone, which is registered once, to the first
bundle's atlas. The volume is projected along x and compared with the patient's own lateral image
and with those of all other patients: the correlation of local contrast (the images' grey scales are
windowed), the best over a grid of depths and shifts, since a frontal image does not show where the
frame ends along its beam. The heights are those of each patient's own frontal placement. For each
bundle: the mean agreement with the own lateral and with the others, and the rank of the own one,
the share of the others that agree better (50 % is chance).
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.bundle import load_bundle
from axon_backend.imaging.matching import local_contrast
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.view import View
from axon_backend.inference.reconstruct import reconstruct
from axon_backend.physics.geometry import FIELD_OF_VIEW

SIDE = 64
DEPTHS_MM = np.linspace(170.0, 290.0, 9)
SHIFTS_MM = np.linspace(-40.0, 40.0, 17)
# A lateral image that shows less of the frame is not compared.
LEAST_SHOWN = 2 / 3


def side_view(hu: np.ndarray) -> torch.Tensor:
    """(D, D, D) HU [z, y, x] -> (D, D) mean attenuation along x: top row first, front left."""
    return torch.as_tensor((hu + 1000.0).mean(2)[::-1].copy(), dtype=torch.float32)


def cuts(
    image: torch.Tensor, frontal: np.ndarray, pixel_mm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A lateral image cut to the frame, for every depth and shift.

    Args:
        image: (H, W), its rows those of the frontal image.
        frontal: (3, 3), canonical [0, 1]^2 -> (column, row) of the frontal image.
        pixel_mm: of both.

    Returns:
        (K, SIDE, SIDE) images and the weights, 0 where nothing is shown.
    """
    height, width = image.shape
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5  # over the frame
    row = float(frontal[1, 0]) * 0.5 + float(frontal[1, 2])
    rows = row + float(frontal[1, 1]) * (at / FIELD_OF_VIEW + 0.5)
    bright = (image > image.min() + 0.25 * (image.max() - image.min())).float().mean(0) > 0.3
    body = bright.nonzero().flatten().float()
    middle = float(body[0] + body[-1]) / 2 if len(body) else (width - 1) / 2
    grids = []
    for depth in DEPTHS_MM:
        for shift in SHIFTS_MM:
            columns = middle + (shift + depth * at) / pixel_mm
            y, x = (2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1
            grids.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1))
    grid = torch.stack(grids).float()
    smooth = F.avg_pool2d(image[None, None], 3, 1, 1, count_include_pad=False)
    cut = F.grid_sample(
        smooth.expand(len(grid), -1, -1, -1), grid, align_corners=False, padding_mode="border"
    )
    return cut[:, 0], (grid.abs() < 1).all(-1).float()


def unit(image: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Local contrast of a (SIDE, SIDE) image as a vector of zero mean and unit length."""
    weight = torch.ones_like(image) if weight is None else weight
    flat = local_contrast(image, weight)
    flat = (flat - (flat * weight).sum() / weight.sum().clamp_min(1)) * weight
    return (flat / flat.norm().clamp_min(1e-6)).flatten()


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--split", default="test")
    ask.add_argument("--most", type=int, help="patients, at most")
    ask.add_argument("--pixel-mm", type=float, default=1.5)
    ask.add_argument("--bundle", type=Path, action="append", help="default: the shipped one")
    ask.add_argument("--placements", type=Path, help="folder of PATIENT.npy with known placements")
    ask.add_argument("--out", type=Path, required=True)
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    with open(chosen.data / "index.csv", encoding="utf-8", newline="") as stream:
        names = [r["patient"] for r in csv.DictReader(stream) if r["split"] == chosen.split]
    names = names[: chosen.most]
    bundles = [load_bundle(path) for path in chosen.bundle or [None]]
    seen: list[list[torch.Tensor]] = [[] for _ in bundles]
    laterals = []
    for number, name in enumerate(names, 1):
        pixels = read_radiograph(chosen.data / f"{name}_ap.png", View.ap, invert=False).pixels
        size = (chosen.pixel_mm, chosen.pixel_mm)
        xray = Radiograph(pixels, size, View.ap, f"{name}_ap.png")
        placements = None
        if chosen.placements is not None:
            placements = {"frontal": np.load(chosen.placements / f"{name}.npy")}
        for bundle, images in zip(bundles, seen, strict=True):
            found = reconstruct(
                xray, bundle=bundle, stages="coarse", device="cpu", placements=placements
            )
            registration = found.views["frontal"].registration
            assert registration is not None
            placements = {"frontal": registration.matrix}
            images.append(unit(side_view(found.volume)))
        side = read_radiograph(chosen.data / f"{name}_lat.png", View.lateral_left, invert=False)
        cut, weight = cuts(
            torch.as_tensor(side.pixels).float(), registration.matrix, chosen.pixel_mm
        )
        vectors = torch.stack([unit(c, w) for c, w in zip(cut, weight, strict=True)])
        vectors[weight.mean((1, 2)) < LEAST_SHOWN] = 0
        laterals.append(vectors.half())
        print(f"{number} of {len(names)}: {name}", flush=True)
    rows: list[dict] = []
    for bundle, images in zip(bundles, seen, strict=True):
        vectors = torch.stack(images)
        # [i, j]: the volume of patient i against the lateral of patient j
        scores = torch.stack([(lat.float() @ vectors.T).amax(0) for lat in laterals], 1)
        own = scores.diagonal()
        others = scores[~torch.eye(len(names), dtype=torch.bool)].view(len(names), -1)
        ranks = 100 * (others > own[:, None]).float().mean(1)
        first = own if not rows else torch.tensor(rows[0]["own_of_each"])
        rows.append({
            "bundle": f"{bundle.name} {bundle.version}",
            "own": round(own.mean().item(), 4),
            "others": round(others.mean().item(), 4),
            "rank_percent": round(ranks.mean().item(), 2),
            "better_than_first": int((own > first).sum()),
            "own_of_each": own.tolist(),
            "rank_of_each": ranks.tolist(),
        })  # fmt: skip
        print({key: value for key, value in rows[-1].items() if not key.endswith("each")})
    results = {"split": chosen.split, "patients": names, "bundles": rows}
    chosen.out.write_text(json.dumps(results, indent=1), "utf-8")


if __name__ == "__main__":
    main()
