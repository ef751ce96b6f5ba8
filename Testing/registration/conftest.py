"""A drawn chest in exact coordinates, and a small CT of one, for registration with answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame


def chest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Attenuation of a chest at the points (x, y) of its field of view [0, 1]^2, and around it.

    A sum of smooth parts, so that it can be drawn under any warp without interpolation: body, two
    lungs, spine with vertebrae, ribs, clavicles, and a heart on the viewer's right.
    """

    def blob(cx, cy, rx, ry, edge=0.06):
        r = np.hypot((x - cx) / rx, (y - cy) / ry)
        return 1 / (1 + np.exp(np.clip((r - 1) / edge, -50, 50)))

    def line(distance, width):
        return np.exp(-0.5 * (distance / width) ** 2)

    body = blob(0.5, 0.75, 0.53, 0.82, 0.03)
    lungs = blob(0.28, 0.47, 0.18, 0.36) + blob(0.72, 0.46, 0.17, 0.35)
    lungs *= 1 / (
        1 + np.exp(np.clip((y - 0.74 - 0.5 * (np.abs(x - 0.5) - 0.2) ** 2) / 0.012, -50, 50))
    )
    heart = blob(0.59, 0.62, 0.14, 0.14) + 0.6 * blob(0.56, 0.33, 0.05, 0.05)
    spine = line(x - 0.5, 0.035) * (1 + 0.2 * np.sin(2 * np.pi * y / 0.07))
    ribs = np.zeros_like(x)
    for k in range(9):
        ribs += line(y - 0.14 - 0.075 * k - 0.9 * (np.abs(x - 0.5) - 0.18) ** 2, 0.008)
    ribs *= blob(0.5, 0.5, 0.42, 0.48, 0.02)
    collar = line(y - 0.13 + 0.25 * np.abs(x - 0.5), 0.012) * (np.abs(x - 0.5) > 0.05)
    return body * (
        2.0 - 1.3 * lungs + 0.9 * heart * lungs + 0.7 * spine + 0.2 * ribs + 0.3 * collar
    )


def draw(matrix: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The chest in an image whose field of view lies where ``matrix`` says."""
    row, column = np.indices(shape).astype(float)
    back = np.linalg.inv(matrix)
    x, y = (back[i, 0] * column + back[i, 1] * row + back[i, 2] for i in range(2))
    return chest(x, y).astype(np.float32)


def placement(shape, angle=0.0, scale=1.0, shift=(0.0, 0.0), stretch=1.0) -> np.ndarray:
    """Field [0, 1]^2 -> pixels: the field is ``scale`` times the image's long side, turned by
    ``angle`` degrees about its middle and shifted by parts of its width from the image's."""
    side = scale * max(shape)
    a = np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    linear = turn @ np.diag([side * np.sqrt(stretch), side / np.sqrt(stretch)])
    middle = np.array([shape[1], shape[0]]) / 2 - 0.5 + np.array(shift) * side
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, middle - linear @ [0.5, 0.5]
    return matrix


def residual(found: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of two placements over the field, in parts of the field's width."""
    c = (np.arange(20) + 0.5) / 20
    x, y = (a.ravel() for a in np.meshgrid(c, c))
    points = np.stack([x, y, np.ones_like(x)])
    away = ((found - true) @ points)[:2]
    return float(np.hypot(*away).mean() / np.linalg.norm(true[:2, 0]))


def as_taken(image: np.ndarray, seed: int = 0) -> np.ndarray:
    """What an X-ray set does to the greys: scatter, another curve, fall-off, noise, a letter."""
    rng = np.random.default_rng(seed)
    h, w = image.shape
    scatter = ndimage.gaussian_filter(image, 0.06 * max(h, w))
    grey = 0.7 * image + 0.3 * scatter
    grey = (grey - grey.min()) / np.ptp(grey)
    grey = grey**0.7 * 1500 + 200
    row, column = np.indices(image.shape)
    grey *= 1 - 0.25 * (np.hypot(row - h / 2, column - w / 2) / max(h, w)) ** 2
    grey += rng.normal(0, 40, image.shape)
    k = max(h, w) // 20
    grey[k : 3 * k, w - 2 * k : w - 2 * k + k // 2] = 2000
    grey[3 * k - k // 2 : 3 * k, w - 2 * k : w - k] = 2000
    return grey.astype(np.float32)


REFERENCE = draw(placement((256, 256)), (256, 256))


@pytest.fixture
def reference() -> np.ndarray:
    """The chest over exactly its field of view, (256, 256)."""
    return REFERENCE.copy()


@pytest.fixture
def tools():
    """The drawing functions of this file by name."""
    import types

    return types.SimpleNamespace(
        draw=draw, placement=placement, residual=residual, as_taken=as_taken
    )


@pytest.fixture(scope="session")
def frame() -> ThoraxFrame:
    """Width, depth and height all differ."""
    return ThoraxFrame((12.0, -40.0, 300.0), (300.0, 220.0, 260.0))


@pytest.fixture(scope="session")
def chest_ct(frame) -> CTVolume:
    """A chest of ellipsoids with ribs, spine and heart (patient's left), 4 mm, around the frame."""
    shape, spacing = (90, 66, 100), (4.0, 4.0, 4.0)
    origin = tuple(
        c - 0.5 * (n - 1) * s for c, n, s in zip(frame.center_mm, shape[::-1], spacing, strict=True)
    )
    z, y, x = (
        4.0 * (i - 0.5 * (n - 1))
        for i, n in zip(np.indices(shape).astype(np.float32), shape, strict=True)
    )

    def inside(cx, cy, cz, rx, ry, rz):
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 <= 1

    hu = np.full(shape, -1000.0, np.float32)
    hu[(x / 175) ** 2 + (y / 115) ** 2 <= np.clip(1.2 - (z + 60) / 400, 0.2, 1)] = 40.0
    lungs = inside(-75, 0, -10, 58, 85, 130) | inside(75, 0, -5, 55, 85, 125)
    lungs &= z > -95 + 25 * np.cos(x / 25)
    shell = ndimage.binary_dilation(lungs, iterations=3) & ~lungs
    hu[lungs] = -850.0
    # Ribs: the lungs' shell in slanted stripes.
    hu[shell & (np.mod(z + 0.6 * y, 26) < 9)] = 600.0
    hu[inside(35, -20, -45, 52, 50, 55)] = 45.0
    hu[(np.hypot(x / 18, (y - 80) / 18) <= 1) & (np.mod(z, 30) < 24)] = 450.0
    return CTVolume(hu, spacing, origin, "phantom")
