"""Other patients' shapes: the deformation that gives one chest the shape of another.

Two chests in their thorax frames are registered by diffeomorphic demons (Vercauteren et al.,
Diffeomorphic demons: efficient non-parametric image registration, NeuroImage 2009). A chest
deformed this way keeps its own tissue, and its X-rays are rendered after the deformation, so that
n patients make n (n - 1) further chests.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import HuWindow, ThoraxFrame, resample_to_frame

SIDE = 32
"""Side in voxels of the volumes that are registered."""

# Lungs, soft tissue and bone alone decide: contrast agent and metal do not.
WINDOW = HuWindow(-1000.0, 300.0)
# Side of each level, its iterations, and the standard deviation in voxels that smooths volumes.
LEVELS = ((SIDE // 2, 40, 0.7), (SIDE, 40, 0.7))
# Smoothing of the displacement, in voxels: below the size of a lobe, above that of a vessel.
FIELD_SMOOTHING = 1.0
# Nodes of the displacement over REACH half sizes to each side, and where it has faded out.
NODES, REACH, FADED = 49, 1.8, 1.5


def shape_of(ct: CTVolume, frame: ThoraxFrame) -> np.ndarray:
    """What decides a chest's shape: (SIDE, SIDE, SIDE) float32 ``[z, y, x]`` in [-1, 1]."""
    hu = resample_to_frame(ct, frame, SIDE)
    return np.asarray(WINDOW.normalise(hu), np.float32)


def bend_to(moving: np.ndarray, fixed: np.ndarray) -> torch.Tensor:
    """The displacement d for which the moving chest at p + d(p) has the shape of the fixed one.

    Args:
        moving, fixed: see :func:`shape_of`.

    Returns:
        (1, 3, NODES, NODES, NODES) float32: x, y, z in half sizes of the frame, at nodes that reach
        :data:`REACH` half sizes to each side. Outside of the frame it fades out.
    """
    import SimpleITK as sitk

    field: sitk.Image | None = None
    for side, iterations, deviation in LEVELS:
        images = []
        for volume in (fixed, moving):
            small = F.adaptive_avg_pool3d(torch.as_tensor(volume)[None, None], side)[0, 0]
            image = sitk.GetImageFromArray(small.numpy())
            # Positions are in half sizes of the frame.
            image.SetSpacing((2.0 / side,) * 3)
            image.SetOrigin((1.0 / side - 1.0,) * 3)
            images.append(sitk.SmoothingRecursiveGaussian(image, deviation * 2.0 / side))
        demons = sitk.DiffeomorphicDemonsRegistrationFilter()
        demons.SetNumberOfIterations(iterations)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(FIELD_SMOOTHING)
        if field is None:
            field = demons.Execute(*images)
        else:
            field = demons.Execute(*images, sitk.Resample(field, images[0]))
    assert field is not None
    found = torch.as_tensor(sitk.GetArrayFromImage(field), dtype=torch.float32)
    at = torch.linspace(-REACH, REACH, NODES)
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    nodes = torch.stack([x, y, z], -1)
    bend = F.grid_sample(
        found.movedim(-1, 0)[None], nodes[None], padding_mode="border", align_corners=False
    )
    far = nodes.abs().amax(-1)
    return bend * ((FADED - far) / (FADED - 1.0)).clamp(0, 1)


def after(
    bend: torch.Tensor, warp: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A warp of the chest that :func:`bend_to` has given another shape.

    Args:
        bend: (1, 3, NODES, NODES, NODES), see :func:`bend_to`.
        warp: (3, 4) affine and (1, 3, n, n, n) displacement of the warp, which takes a point p of
            the result to q = A p + t + e(p).

    Returns:
        The warp that takes p to q + bend(q), on the nodes of ``bend``.
    """
    affine, elastic = warp
    n = bend.shape[-1]
    at = torch.linspace(-REACH, REACH, n)
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    # The displacement is trilinear between its nodes, so that more nodes do not change it.
    fine = F.interpolate(elastic, size=(n, n, n), mode="trilinear", align_corners=True)
    q = torch.stack([x, y, z], -1) @ affine[:, :3].T + affine[:, 3] + fine[0].movedim(0, -1)
    moved = F.grid_sample(bend, q[None] / REACH, padding_mode="border", align_corners=True)
    return affine, fine + moved
