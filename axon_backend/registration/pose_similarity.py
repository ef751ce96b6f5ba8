"""Similarity of an X-ray to the DRR of a CT in a trial pose, differentiable with respect to it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.matching import local_contrast
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import Rays, render_drr
from axon_backend.physics.pose import BEHIND_PATIENT_MM, Pose
from axon_backend.registration.place import PlacedView
from axon_backend.registration.similarity import combined_ncc, edge_ncc

# The weight falls to zero over this many mm at the upper and lower ends of the CT, because the
# X-ray shows more of the patient there.
END_MM = 10.0
# A line integral below this is air; the outline of the body is excluded over this width.
AIR, OUTLINE_MM = 0.4, 8.0


def rotation(angles_deg: torch.Tensor) -> torch.Tensor:
    """(3, 3) ``R_SI R_AP R_LR`` of (3,) degrees, like ``physics.geometry.rotation_matrix``, but
    differentiable."""
    angles = torch.deg2rad(angles_deg)
    (cx, cy, cz), (sx, sy, sz) = angles.cos(), angles.sin()
    rows = [
        [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz],
        [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz],
        [-sy, sx * cy, cx * cy],
    ]
    return torch.stack([torch.stack(row) for row in rows])


def planar_matrix(shift: torch.Tensor) -> torch.Tensor:
    """(3, 3) similarity transform of the canonical view's plane, in mm from its centre.

    ``shift`` is (4,): degrees clockwise as displayed, log scale in per cent, mm to the viewer's
    right, mm down. What the X-ray shows at ``x`` belongs at ``matrix x``.
    """
    angle, scale = torch.deg2rad(shift[0]), torch.exp(0.01 * shift[1])
    c, s = scale * angle.cos(), scale * angle.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = [[c, -s, shift[2]], [s, c, shift[3]], [zero, zero, one]]
    return torch.stack([torch.stack(row) for row in rows])


def _away_from_air(drr: torch.Tensor, width_mm: float) -> torch.Tensor:
    """0 at the body's outline, else 1. A detector blurs intensities, not their logarithm: next to
    the open beam the body appears smaller than it is, and the patient further away."""
    reach = max(1, round(OUTLINE_MM / width_mm * drr.shape[1]))
    air = (drr < AIR).float()[None, None]
    return 1 - F.max_pool2d(air, 2 * reach + 1, stride=1, padding=reach)[0, 0]


class PoseSimilarity:
    """Compares one X-ray, at one resolution, with the DRR of any pose.

    Args:
        placed: the X-ray on the canonical grid.
        volume: the CT's attenuation; computations run on its device.
        frame: poses rotate about its centre.
        sid_mm: source-to-image distance; :meth:`similarity` may scale it.
        size: pixels along each side of the images compared.
        edges: compare edges only, which is more accurate and needs a close starting point.
    """

    def __init__(
        self,
        placed: PlacedView,
        volume: AttenuationVolume,
        frame: ThoraxFrame,
        sid_mm: float,
        size: int,
        edges: bool = False,
    ) -> None:
        def tensor(values: object) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values, np.float32), device=volume.mu.device)

        geometry = Pose(sid_mm=sid_mm).geometry(frame, placed.view)
        self.extent_mm = geometry.extent_mm
        self.edges = edges
        self.measure = edge_ncc if edges else combined_ncc
        self.volume, self.axis = volume, int(np.argmax(np.abs(geometry.ray)))
        self.origin, self.spacing = tensor(volume.origin_mm), tensor(volume.spacing_mm)
        self.centre = tensor(frame.center_mm)
        self.ray, self.sid_mm = tensor(geometry.ray), sid_mm
        across, down = ((np.arange(size) + 0.5) / size - 0.5 for _ in range(2))
        u, v = np.meshgrid(across * geometry.extent_mm[0], down * geometry.extent_mm[1])
        self.u, self.v = tensor(u), tensor(v)
        self.plane = tensor([geometry.column, geometry.row])
        self.image = F.adaptive_avg_pool2d(tensor(placed.pixels)[None], size)[0]
        self.weight = (F.adaptive_avg_pool2d(tensor(placed.valid)[None], size)[0] > 0.99).float()

    def similarity(
        self,
        pose: torch.Tensor,
        shift: torch.Tensor | None = None,
        sid_scale: torch.Tensor | float = 1.0,
    ) -> torch.Tensor:
        """Similarity of the X-ray and the DRR of a pose, a scalar in [-1, 1].

        Args:
            pose: (6,) rotation in degrees, then translation in mm.
            shift: (4,) in-plane motion of the X-ray, see :func:`planar_matrix`.
            sid_scale: factor on ``sid_mm``; the detector stays where it is.
        """
        turn, away = rotation(pose[:3]), pose[3:]
        flat = torch.stack([self.u, self.v, torch.ones_like(self.u)], -1)
        if shift is not None:
            flat = flat @ planar_matrix(shift).T
        # Moving the patient by x -> R x + t is equivalent to moving the beam by x -> R^T (x - t).
        points = (flat[..., :2] @ self.plane - away) @ turn + self.centre
        # The canonical beam, from the frame's centre.
        source = -(sid_scale * self.sid_mm - BEHIND_PATIENT_MM) * self.ray
        source = (source - away) @ turn + self.centre
        drr = render_drr(self.volume, Rays(source, points, self.axis))
        z = points[..., 2].detach()
        bottom = self.origin[2] - 0.5 * self.spacing[2]
        top = bottom + self.spacing[2] * self.volume.mu.shape[0]
        inside = ((z - bottom) / END_MM).clamp(0, 1) * ((top - z) / END_MM).clamp(0, 1)
        if self.edges:
            inside = inside * _away_from_air(drr.detach(), self.extent_mm[0])
        weight = self.weight * inside
        covered = weight.sum() / self.weight.sum().clamp_min(1)
        fixed = local_contrast(self.image, weight)
        score = self.measure(local_contrast(drr, weight), fixed, weight)
        return score * (0.5 + 0.5 * covered)  # missing overlap counts against the pose
