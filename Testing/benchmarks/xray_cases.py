"""X-rays with a known placement or pose, made of CTs by another physics than registration uses.

Registration compares with a mono-energetic DRR of the CT. Here the X-ray is poly-energetic, with
scatter, grid, noise and detector blur, of a tube voltage, look and CT resolution drawn at random,
with collimation and lead letters.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import Rays, render_drr
from axon_backend.physics.exposure import XraySettings, expose
from axon_backend.physics.pose import Pose
from axon_backend.physics.postprocess import Postprocessing, postprocess
from axon_backend.physics.spectrum import Tube
from axon_backend.physics.tissues import tissue_densities
from axon_backend.training.data.augmentation import (
    Probabilities,
    RadiographAugmentation,
    augment_radiograph,
)

# A detector of 43 cm behind the patient, on the plane through the chest's middle.
FIELD_MM = 400.0
SIZE = 384
# Half ranges of a radiograph that lies badly: degrees, parts of the size, mm.
MOST_TURN, MOST_SCALE, MOST_SHIFT = 10.0, 0.15, 40.0
# Collimation and letters hide what registration would see; a wrong radiograph would spoil the
# truth.
CHANGES = RadiographAugmentation(clean=0.0, p=Probabilities(misregistration=0.0))


@dataclass(frozen=True)
class Patient:
    """A CT with its frame, and the tissues of a coarser copy."""

    name: str
    ct: CTVolume
    frame: ThoraxFrame

    @classmethod
    def read(cls, path: Path) -> Patient:
        ct = read_ct(path)
        return cls(path.name.removesuffix(".nii.gz"), ct, find_thorax_frame(ct))

    def other_resolution(self, factors: tuple[int, int, int]) -> CTVolume:
        """Block means over (z, y, x) voxels."""
        hu = np.asarray(self.ct.hu, np.float32)
        n = [s // f * f for s, f in zip(hu.shape, factors, strict=True)]
        hu = hu[: n[0], : n[1], : n[2]]
        shape = [v for s, f in zip(n, factors, strict=True) for v in (s // f, f)]
        small = hu.reshape(shape).mean((1, 3, 5))
        f = factors[::-1]
        spacing = tuple(s * k for s, k in zip(self.ct.spacing_mm, f, strict=True))
        origin = tuple(
            o + 0.5 * (k - 1) * s
            for o, k, s in zip(self.ct.origin_mm, f, self.ct.spacing_mm, strict=True)
        )
        return CTVolume(small, spacing, origin, self.ct.source)


def arguments(description: str | None, each: int) -> argparse.ArgumentParser:
    """The options that benchmarks on radiographs made of CTs share; ``each``: radiographs of a
    patient."""
    ask = argparse.ArgumentParser(description=description)
    ask.add_argument("--data", type=Path, required=True, help="a folder with a CATALOGUE.md")
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--splits", default="train,validation")
    ask.add_argument("--every", type=int, default=1, help="every n-th patient only")
    ask.add_argument("--each", type=int, default=each)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--cache", type=Path, help="where radiographs are kept for another run")
    return ask


def write(path: Path, result: object) -> None:
    """As JSON; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1), "utf-8")


def patients(data: Path, splits: tuple[str, ...], every: int = 1) -> list[Path]:
    """The CT files of some splits of a folder with a CATALOGUE.md (name, split in its table);
    every n-th."""
    rows = csv.reader((data / "CATALOGUE.md").read_text("utf-8").splitlines(), delimiter="|")
    named = [(r[1].strip(), r[2].strip()) for r in rows if len(r) > 6]
    files = [data / "ct" / f"{name}.nii.gz" for name, split in named if split in splits]
    return [f for f in files if f.is_file()][::every]


def random_radiograph(
    patient: Patient, view: View, pose: Pose, matrix: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(SIZE, SIZE) image of the posed patient on a radiograph that lies by ``matrix``.

    ``matrix`` (3, 3): mm on the canonical plane from its middle -> mm on the radiograph from its
    middle.
    """
    ct = patient.ct
    if rng.random() < 0.5:
        ct = patient.other_resolution((int(rng.integers(1, 4)), 2, 2))
    geometry = pose.geometry(patient.frame, view)
    at = ((np.arange(SIZE) + 0.5) / SIZE - 0.5) * FIELD_MM
    u, v = np.meshgrid(at, at)
    back = np.linalg.inv(matrix)
    across, down = (back[i, 0] * u + back[i, 1] * v + back[i, 2] for i in range(2))
    points = (
        np.asarray(geometry.isocentre_mm)
        + across[..., None] * np.asarray(geometry.column)
        + down[..., None] * np.asarray(geometry.row)
    )

    def tensor(values: object) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, np.float32))

    settings = XraySettings(
        tube=Tube(kvp=float(rng.uniform(70, 130))),
        scatter=float(rng.uniform(0.3, 1.5)),
        exposure_index=float(rng.uniform(80, 400)),
    )
    look = Postprocessing(
        detail=float(rng.uniform(0.5, 1.0)),
        latitude=float(rng.uniform(0.5, 1.0)),
        local=float(rng.uniform(0, 0.6)),
        steepness=float(rng.uniform(1.0, 2.2)),
    )
    axis = int(np.argmax(np.abs(geometry.ray)))
    with torch.inference_mode():
        names, densities = tissue_densities(tensor(ct.hu))
        volume = AttenuationVolume(densities, ct.spacing_mm, ct.origin_mm)
        paths = render_drr(volume, Rays(tensor(geometry.source_mm), tensor(points), axis))
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
        seen = replace(geometry, extent_mm=(FIELD_MM / scale,) * 2)
        taken = expose(
            paths[None] / 10, names, [seen], settings, seeds=[int(rng.integers(1 << 30))]
        )
        image = postprocess(taken.log, look)[None]
        image = augment_radiograph(image, rng, CHANGES)
    return image[0, 0].numpy()


def similarity(turn_deg: float, scale: float, shift_mm: tuple[float, float]) -> np.ndarray:
    """(3, 3) in mm: clockwise as seen, larger, then to the viewer's right and down."""
    a = np.radians(turn_deg)
    c, s = scale * np.cos(a), scale * np.sin(a)
    return np.array([[c, -s, shift_mm[0]], [s, c, shift_mm[1]], [0, 0, 1.0]])


def random_similarity(rng: np.random.Generator) -> np.ndarray:
    """Uniform over the whole range."""
    turn = float(rng.uniform(-MOST_TURN, MOST_TURN))
    scale = 1 + float(rng.uniform(-MOST_SCALE, MOST_SCALE))
    across, down = rng.uniform(-MOST_SHIFT, MOST_SHIFT, 2).tolist()
    return similarity(turn, scale, (across, down))


def placement(matrix: np.ndarray, extent_mm: tuple[float, float]) -> np.ndarray:
    """(3, 3) canonical view in [0, 1]^2 -> pixels of the radiograph."""
    w, h = extent_mm
    to_mm = np.array([[w, 0, -w / 2], [0, h, -h / 2], [0, 0, 1]])
    pixels = SIZE / FIELD_MM
    to_pixels = np.array([[pixels, 0, SIZE / 2 - 0.5], [0, pixels, SIZE / 2 - 0.5], [0, 0, 1]])
    return to_pixels @ matrix @ to_mm


def mean_error_mm(found: np.ndarray, true: np.ndarray, extent_mm: tuple[float, float]) -> float:
    """Mean distance of two placements over the canonical view, in mm of the patient."""
    at = (np.arange(20) + 0.5) / 20
    points = np.stack([a.ravel() for a in np.meshgrid(at, at)] + [np.ones(400)])
    there = np.linalg.inv(true) @ found @ points
    away = (there[:2] - points[:2]) * np.asarray(extent_mm)[:, None]
    return float(np.hypot(*away).mean())
