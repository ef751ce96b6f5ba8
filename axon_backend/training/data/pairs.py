"""Unlimited (X-ray, CT) training pairs from CTs.

Each draw deforms a real chest (affine + elastic, in frame coordinates), finds the thorax frame of
the deformed chest from its lungs, samples the target volume in it and renders the frontal and
lateral DRR of the *same deformed* chest, so that image and volume agree exactly, however strong
the deformation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import (
    AIR_HU,
    HuWindow,
    ThoraxFrame,
    find_thorax_frame,
    lung_mask,
)
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume, hu_to_mu
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import DEFAULT_SOD_MM, AcquisitionGeometry, beam_parameter
from axon_backend.training.data.shapes import REACH, after

# The chest is rendered from a box larger than the frame (in half box sizes, x, y, z), since the
# beam also passes through the surrounding arms, breasts and back.
SURROUND = (1.5, 1.7, 1.2)
SURROUND_SHAPE = (120, 128, 144)


@dataclass(frozen=True)
class Deformation:
    """Ranges of the 3-D deformation; standard deviations unless stated otherwise.

    Attributes:
        rotation_deg: rotation about each axis. Patients stand within a few degrees of square.
        anisotropy: log of the scale per axis, applied before the frame is found again, so that
            the tissue around the lungs becomes wider or narrower.
        shift, scale: inaccuracy of the frame, in half box sizes and as a relative size.
        elastic: displacement of a 5^3 control grid in half box sizes, for anatomical variation.
        mirror: probability of a left-right mirrored chest.
        bone_gain: range of the factor on attenuation above soft tissue, for the tube voltage.
        sod_mm: range of the source-to-isocentre distance.
        ap: probability that the frontal view is AP.
        shapes: probability that the chest first gets the shape of another patient
            (``training.data.shapes``).
        shape_strength: range of the share of that deformation that is applied.
    """

    rotation_deg: float = 2.0
    anisotropy: float = 0.04
    shift: float = 0.01
    scale: float = 0.01
    elastic: float = 0.035
    mirror: float = 0.15
    bone_gain: tuple[float, float] = (0.8, 1.6)
    sod_mm: tuple[float, float] = (1450.0, 1750.0)
    ap: float = 0.25
    shapes: float = 0.5
    shape_strength: tuple[float, float] = (0.5, 1.15)


NOT_DEFORMED = Deformation(
    rotation_deg=0.0,
    anisotropy=0.0,
    shift=0.0,
    scale=0.0,
    elastic=0.0,
    mirror=0.0,
    bone_gain=(1.0, 1.0),
    sod_mm=(DEFAULT_SOD_MM, DEFAULT_SOD_MM),
    ap=0.0,
    shapes=0.0,
)
"""No deformation: every CT is used unchanged."""


@dataclass
class TrainingPair:
    """One training pair: a volume and its two views.

    Attributes:
        volume: (2h, 2h, 2h) uint8, the HU window mapped to 0..255.
        views: (2, s, s) float16, frontal and lateral: line integrals, or a real X-ray in [0, 1].
        beam: (2,) float32, see ``physics.geometry.beam_parameter``.
    """

    volume: np.ndarray
    views: np.ndarray
    beam: np.ndarray


class DeformableCT:
    """A CT with its frame, prepared for deformation.

    Attributes:
        ct, frame: the CT (HU) and its thorax frame, found from the lungs if None is given.
        hu: (1, 1, Z, Y, X) float32 HU above air, so that padding with 0 is air.
        lungs: (1, 1, Z, Y, X) float32, 1 in the lungs.
    """

    def __init__(self, ct: CTVolume, frame: ThoraxFrame | None = None) -> None:
        self.ct = ct
        self.frame = find_thorax_frame(ct) if frame is None else frame
        hu = np.asarray(ct.hu, np.float32)
        self.hu = torch.as_tensor(hu)[None, None] - AIR_HU
        self.lungs = torch.as_tensor(lung_mask(hu, ct.spacing_mm))[None, None].float()
        still = torch.eye(3, 4), torch.zeros(1, 3, 17, 17, 17)
        self.lung_box = self.warped_lung_box(still)

    @property
    def megabytes(self) -> float:
        """Memory use."""
        return 4 * (2 * self.hu.numel() + np.asarray(self.ct.hu).size) / 1e6

    def warped_lung_box(
        self, warp: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower and upper corner (x, y, z) of the warped lungs, in half box sizes."""
        box = sample_box((48, 48, 48), (1.4, 1.4, 1.4))
        z, y, x = torch.where(self.sample(box, warp, self.lungs, 0.0) > 0.5)
        inside = torch.stack([at[i] for at, i in zip(box, (x, y, z), strict=True)], -1)
        if len(inside) == 0:
            raise AxonInputError(
                f"{self.ct.source or 'A CT'}: its thorax frame contains no lungs; the frame in the "
                "data set does not match the CT. Prepare this case again."
            )
        ordered = inside.sort(0).values
        few = len(ordered) // 1000
        return ordered[few], ordered[-1 - few]

    def sample(
        self,
        box: Box,
        warp: tuple[torch.Tensor, torch.Tensor],
        source: torch.Tensor | None = None,
        outside: float = AIR_HU,
    ) -> torch.Tensor:
        """(Z, Y, X) HU at the voxel centres of a box after the warp; or the values of another
        ``source`` on the CT's grid."""
        affine, elastic = warp
        half = torch.tensor(self.frame.size_mm) / 2
        spacing = torch.tensor(self.ct.spacing_mm)
        extent = spacing * torch.tensor([float(s) for s in self.hu.shape[:1:-1]])
        corner = torch.tensor(self.ct.origin_mm) - spacing / 2
        # A point p of the frame is sampled at 2 (half (A p + t + bend(p)) + centre - corner) /
        # extent - 1, all but the bend being affine in p.
        scale = 2 * half / extent
        shift = (
            scale * affine[:, 3] + 2 * (torch.tensor(self.frame.center_mm) - corner) / extent - 1
        )
        matrix = scale[:, None] * affine[:, :3]
        # Of a box along the axes the bend, trilinear between its nodes, is interpolated axis by
        # axis: a hundredth of the work that it is point by point.
        x, y, z = (
            _interpolation(at / REACH, n) for at, n in zip(box, elastic.shape[:1:-1], strict=True)
        )
        bend = elastic[0] * scale[:, None, None, None]
        bend = z @ (y @ (bend @ x.T)).flatten(2)  # (3, Z, Y X)
        grid = torch.empty(len(box[2]), len(box[1]), len(box[0]), 3)
        for axis in range(3):
            along = [matrix[axis, i] * box[i] for i in range(3)]
            plane = along[1][:, None] + along[0]
            part = bend[axis].view(grid.shape[:3])
            torch.add(
                part.add_(plane), (along[2] + shift[axis])[:, None, None], out=grid[..., axis]
            )
        values = F.grid_sample(
            self.hu if source is None else source, grid[None], align_corners=False
        )
        return values[0, 0] + outside


Box = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Coordinates of the voxel centres of a box along x, y and z, in half sizes of the frame."""


def _interpolation(at: torch.Tensor, nodes: int) -> torch.Tensor:
    """(N, nodes) matrix of linear interpolation at positions in [-1, 1] between nodes that reach
    from one end to the other; beyond them the border is replicated."""
    place = ((at.clamp(-1, 1) + 1) / 2 * (nodes - 1))[:, None]
    return (1 - (place - torch.arange(nodes)).abs()).clamp_min(0)


def sample_box(shape: tuple[int, int, int], reach: tuple[float, float, float]) -> Box:
    """The box (Z, Y, X) that reaches ``reach`` (x, y, z) half sizes to each side."""
    x, y, z = (
        ((torch.arange(n) + 0.5) / n * 2 - 1) * r for n, r in zip(shape[::-1], reach, strict=True)
    )
    return x, y, z


def placed(box: Box, stretch: torch.Tensor, place: torch.Tensor) -> Box:
    """A box, stretched about the frame's centre and shifted, (3,) each."""
    x, y, z = (at * s + p for at, s, p in zip(box, stretch, place, strict=True))
    return x, y, z


class PairFactory:
    """Draws a :class:`TrainingPair` from a :class:`DeformableCT`."""

    def __init__(
        self,
        *,
        fine_size: int = 128,
        view_size: int = 128,
        window: HuWindow | None = None,
        deformation: Deformation | None = None,
    ) -> None:
        self.window = window or HuWindow()
        self.deformation = deformation or Deformation()
        self.fine_size, self.view_size = fine_size, view_size

    def _warp(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        a = self.deformation
        angles = np.deg2rad(rng.normal(0, a.rotation_deg, 3))
        c, s = np.cos(angles), np.sin(angles)
        rx = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
        ry = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
        rz = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
        size = np.exp(rng.normal(0, a.anisotropy, 3))
        matrix = rz @ ry @ rx @ np.diag(size)
        if rng.random() < a.mirror:
            matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
        affine = np.concatenate([matrix, np.zeros((3, 1))], 1)
        control = torch.as_tensor(rng.normal(0, a.elastic, (1, 3, 5, 5, 5)), dtype=torch.float32)
        # A smooth field: the control grid is upsampled by separable cubic interpolation.
        for axis in (2, 3, 4):
            t = control.movedim(axis, -1)
            flat = t.reshape(1, -1, 1, 5)
            t = F.interpolate(flat, size=(1, 17), mode="bicubic", align_corners=True)
            control = t.reshape(*control.movedim(axis, -1).shape[:-1], 17).movedim(-1, axis)
        return torch.as_tensor(affine, dtype=torch.float32), control

    @torch.inference_mode()
    def draw(
        self, chest: DeformableCT, rng: np.random.Generator, bend: torch.Tensor | None = None
    ) -> TrainingPair:
        """One random pair; all randomness comes from ``rng``.

        Args:
            chest: the CT.
            rng: source of all random numbers.
            bend: another patient's shape, see ``training.data.shapes.bend_to``.
        """
        a = self.deformation
        warp = self._warp(rng)
        if bend is not None:
            warp = after(float(rng.uniform(*a.shape_strength)) * bend, warp)
        # The frame of the deformed chest, placed so that its lungs fill it as before.
        (low0, high0), (low, high) = chest.lung_box, chest.warped_lung_box(warp)
        stretch = (high - low) / (high0 - low0)
        place = low - stretch * low0
        stretch = stretch * float(np.exp(rng.normal(0, a.scale)))
        place = place + torch.as_tensor(rng.normal(0, a.shift, 3), dtype=torch.float32)
        n = self.fine_size
        inner = placed(sample_box((n, n, n), (1.0, 1.0, 1.0)), stretch, place)
        outer = placed(sample_box(SURROUND_SHAPE, SURROUND), stretch, place)
        fine = chest.sample(inner, warp)
        around = chest.sample(outer, warp)
        mu = hu_to_mu(around, float(rng.uniform(*a.bone_gain)))
        size_mm = (torch.tensor(chest.frame.size_mm) * stretch).tolist()
        frame = ThoraxFrame((0.0, 0.0, 0.0), (size_mm[0], size_mm[1], size_mm[2]))
        spacing = [frame.size_mm[i] * SURROUND[i] / SURROUND_SHAPE[2 - i] for i in range(3)]
        origin = [-0.5 * frame.size_mm[i] * SURROUND[i] + 0.5 * spacing[i] for i in range(3)]
        frontal = View.ap if rng.random() < a.ap else View.pa
        views = (frontal, View.lateral_left)
        sod = float(rng.uniform(*a.sod_mm))
        geometries = [
            AcquisitionGeometry.of_frame(frame, v, sid_mm=sod + 200.0, sod_mm=sod) for v in views
        ]
        attenuation = AttenuationVolume(mu, (*spacing,), (*origin,))  # type: ignore[arg-type]
        images = torch.stack([render_drr(attenuation, g, self.view_size) for g in geometries])
        beam = [beam_parameter(frame.size_mm[1 if v.is_frontal else 0], sod, v) for v in views]
        unit = (self.window.normalise(fine) + 1) * 127.5
        return TrainingPair(
            volume=unit.round().to(torch.uint8).numpy(),
            views=images.to(torch.float16).numpy(),
            beam=np.asarray(beam, np.float32),
        )
