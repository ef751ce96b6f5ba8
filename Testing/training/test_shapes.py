"""A chest that gets the shape of another has that shape, and the same warp on top of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_tiny import make_chest

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.training.data.pairs import NOT_DEFORMED, DeformableCT, PairFactory
from axon_backend.training.data.shapes import FADED, NODES, REACH, SIDE, after, bend_to, shape_of

N = 48
STILL = replace(NOT_DEFORMED, shape_strength=(1.0, 1.0))


def nodes(n: int) -> torch.Tensor:
    """(n, n, n, 3) positions (x, y, z) of a displacement's nodes, in half sizes."""
    at = torch.linspace(-REACH, REACH, n)
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    return torch.stack([x, y, z], -1)


@pytest.fixture(scope="module")
def chests() -> tuple[DeformableCT, DeformableCT]:
    """A chest, and one whose lungs bulge in the middle of their height and waist at both ends."""
    ct = make_chest()
    frame = find_thorax_frame(ct)
    hu = np.asarray(ct.hu, np.float32)
    bend = torch.zeros(1, 3, 17, 17, 17)
    p = nodes(17)
    bend[0, 0] = 0.15 * p[..., 0] * torch.sin(2 * p[..., 2]) * (p.abs().amax(-1) < 1.4)
    first = DeformableCT(ct, frame)
    axes = [
        2 * (o + s * torch.arange(k) - c) / size
        for o, s, k, c, size in zip(
            ct.origin_mm, ct.spacing_mm, hu.shape[::-1], frame.center_mm, frame.size_mm, strict=True
        )
    ]
    other = first.sample(tuple(axes), (torch.eye(3, 4), bend)).numpy()
    return first, DeformableCT(CTVolume(other, ct.spacing_mm, ct.origin_mm))


def lungs(chest: DeformableCT, bend: torch.Tensor | None = None) -> np.ndarray:
    factory = PairFactory(fine_size=N, view_size=16, deformation=STILL)
    return factory.draw(chest, np.random.default_rng(0), bend).volume < 60


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_the_lungs_get_the_other_shape(chests):
    moving, fixed = chests
    shapes = [shape_of(chest.ct, chest.frame) for chest in chests]
    assert shapes[0].shape == (SIDE,) * 3 and np.abs(shapes[0]).max() <= 1
    bend = bend_to(*shapes)
    assert bend.shape == (1, 3, NODES, NODES, NODES)
    before = dice(lungs(moving), lungs(fixed))
    assert before < 0.85 < 0.9 < dice(lungs(moving, bend), lungs(fixed))
    back = bend_to(shapes[1], shapes[0])
    assert dice(lungs(fixed, back), lungs(moving)) > 0.9


def test_a_chest_that_has_the_shape_stays(chests):
    shape = shape_of(chests[0].ct, chests[0].frame)
    assert float(bend_to(shape, shape).abs().max()) < 1e-3


def test_outside_the_frame_the_deformation_fades_out(chests):
    bend = bend_to(*(shape_of(chest.ct, chest.frame) for chest in chests))
    far = nodes(NODES).abs().amax(-1) >= FADED
    assert not bend[0, :, far].any() and bend.abs().max() > 0.05


def test_the_shape_comes_before_the_warp():
    """p -> q + bend(q) with q = A p + t + e(p), here with bends that are linear in their place."""
    p, fine = nodes(9), nodes(NODES)
    affine = torch.tensor([[0.9, 0.1, 0, 0.02], [-0.1, 0.9, 0, 0], [0, 0, 0.8, -0.05]])
    elastic = torch.stack([0.02 * p[..., 1], 0 * p[..., 0], 0.03 * p[..., 0]])[None]
    bend = torch.stack([0.1 * fine[..., 2], -0.2 * fine[..., 0], 0 * fine[..., 0]])[None]
    matrix, total = after(bend, (affine, elastic))
    assert matrix is affine
    e = torch.stack([0.02 * fine[..., 1], 0 * fine[..., 0], 0.03 * fine[..., 0]], -1)
    q = fine @ affine[:, :3].T + affine[:, 3] + e
    inside = q.abs().amax(-1) < REACH
    expected = e + torch.stack([0.1 * q[..., 2], -0.2 * q[..., 0], 0 * q[..., 0]], -1)
    found = total[0].movedim(0, -1)
    assert torch.allclose(found[inside], expected[inside], atol=1e-5)
