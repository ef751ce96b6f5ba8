"""A 3-D image of a CT volume, seen from the front, for reports.

The image is rendered off-screen by VTK in a subprocess: without OpenGL libraries, VTK crashes
instead of raising an error, and must not end the reconstruction as well. If rendering fails for any
reason, `projection` computes a simpler shaded image with NumPy, and the result says so.

This is the only module of `axon_backend` that imports vtk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend.errors import AxonInputError

#: Preset -> (HU, opacity, red, green, blue) knots; linear between them, constant outside.
PRESETS: dict[str, tuple[tuple[float, float, float, float, float], ...]] = {
    "bone": (
        (110, 0.00, 0.45, 0.16, 0.10),
        (190, 0.10, 0.72, 0.42, 0.26),
        (300, 0.45, 0.91, 0.76, 0.56),
        (600, 0.80, 1.00, 0.95, 0.85),
        (1500, 0.95, 1.00, 1.00, 0.97),
    ),
    "lung": (
        (-1000, 0.00, 0.16, 0.26, 0.42),
        (-950, 0.03, 0.30, 0.48, 0.68),
        (-800, 0.14, 0.58, 0.76, 0.88),
        (-600, 0.30, 0.86, 0.88, 0.90),
        (-480, 0.20, 0.95, 0.78, 0.72),
        (-350, 0.00, 0.95, 0.70, 0.62),
    ),
    "soft": (
        (-120, 0.00, 0.80, 0.62, 0.40),
        (-20, 0.04, 0.70, 0.34, 0.24),
        (40, 0.28, 0.80, 0.36, 0.28),
        (120, 0.45, 0.92, 0.60, 0.46),
        (300, 0.80, 1.00, 0.92, 0.80),
    ),
}
BACKGROUND = (0.0, 0.0, 0.0)
AMBIENT = 0.25
#: Length along the ray to which the opacities of `PRESETS` refer.
OPACITY_UNIT_MM = 2.5
NO_OPENGL = (
    "No OpenGL volume rendering on this machine; the 3-D image is a simple shaded projection."
)


@dataclass(frozen=True)
class Rendering:
    """A rendered image `[row, col, 3]` uint8 (R at the viewer's left, superior on top).

    `note` is empty for a volume rendering, else a sentence that states what is shown instead.
    """

    rgb: np.ndarray
    note: str = ""


def render3d(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    preset: str = "bone",
    size: tuple[int, int] = (512, 512),
    timeout_s: float = 60.0,
) -> Rendering:
    """Image of a volume from the front: patient facing the viewer, R at the viewer's left.

    Args:
        hu: `[z, y, x]` HU; z to Superior, y to Posterior, x to Left.
        spacing_mm: voxel size (x, y, z) in mm.
        preset: `bone`, `lung` or `soft` (transfer functions in `PRESETS`).
        size: width and height of the image in pixels.
        timeout_s: time limit for VTK, after which the projection is computed instead.

    Raises:
        AxonInputError: unknown preset, or `hu` is not a volume.
    """
    hu = _prepared(hu, preset)
    rgb = _render_in_subprocess(hu, spacing_mm, preset, size, timeout_s)
    if rgb is None:
        return Rendering(_project(hu, spacing_mm, preset, size), NO_OPENGL)
    return Rendering(rgb)


def projection(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    preset: str = "bone",
    size: tuple[int, int] = (512, 512),
) -> np.ndarray:
    """Shaded projection along y without OpenGL, `[row, col, 3]` uint8; arguments as `render3d`.

    Each column of voxels is a ray. Colour and opacity of the preset are composited from front to
    back (emission and absorption, Levoy 1988), with Lambertian shading by the local gradient and
    the light at the viewer. A maximum intensity projection is not suitable: its depth jumps between
    neighbouring voxels, so that lungs and muscle look like noise.
    """
    return _project(_prepared(hu, preset), spacing_mm, preset, size)


def _prepared(hu: np.ndarray, preset: str) -> np.ndarray:
    """Check the arguments, and hide everything outside the body (air, table, blankets)."""
    # Not at the top: the subprocess does without them.
    from scipy import ndimage

    from axon_backend.metrics import body_mask

    if preset not in PRESETS:
        raise AxonInputError(f"Unknown 3-D preset {preset!r}; choose one of {', '.join(PRESETS)}.")
    hu = np.asarray(hu, dtype=np.float32)
    if hu.ndim != 3:
        raise AxonInputError(f"A 3-D image needs a volume [z, y, x], not shape {hu.shape}.")
    body = body_mask(np.clip((hu + 1000.0) / 1900.0, 0.0, 1.0), (-1000.0, 900.0))
    # Air around the patient looks like lung, and the table like soft tissue.
    if preset != "lung":
        return np.where(body, hu, -1000.0).astype(np.float32)
    # Voxels of the skin, half air and half tissue, look like lung too: erode the body, except at
    # the faces of the box.
    inner = ndimage.binary_erosion(body, iterations=2, border_value=1)
    return np.where(inner, hu, 50.0).astype(np.float32)


def _render_in_subprocess(
    hu: np.ndarray,
    spacing_mm: tuple[float, float, float],
    preset: str,
    size: tuple[int, int],
    timeout_s: float,
) -> np.ndarray | None:
    """The image by VTK, or None if the subprocess failed, crashed or timed out."""
    package_root = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([package_root, known] if known else [package_root]),
    }
    with tempfile.TemporaryDirectory(prefix="axon-render-") as folder:
        job, image = Path(folder, "job.npz"), Path(folder, "image.npy")
        np.savez(job, hu=hu, spacing_mm=spacing_mm, preset=preset, size=size)
        command = [sys.executable, "-m", "axon_backend.evaluation.render3d", str(job), str(image)]
        try:
            subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # VTK prints warnings for each library it tries
                timeout=timeout_s,
                check=True,
            )
            rgb: np.ndarray = np.load(image)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
    # If the driver draws nothing, the image has a single colour.
    return rgb if np.ptp(rgb) > 0 else None


def _render_with_vtk(
    hu: np.ndarray, spacing_mm: tuple[float, float, float], preset: str, size: tuple[int, int]
) -> np.ndarray:
    """`[row, col, 3]` uint8 by VTK in this process, which may crash without OpenGL."""
    import vtkmodules.vtkRenderingOpenGL2
    import vtkmodules.vtkRenderingVolumeOpenGL2  # noqa: F401  both register the drawing back end
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPiecewiseFunction
    from vtkmodules.vtkRenderingCore import (
        vtkColorTransferFunction,
        vtkRenderer,
        vtkRenderWindow,
        vtkVolume,
        vtkVolumeProperty,
        vtkWindowToImageFilter,
    )
    from vtkmodules.vtkRenderingVolume import vtkFixedPointVolumeRayCastMapper

    image = vtkImageData()
    image.SetDimensions(hu.shape[::-1])
    image.SetSpacing(*spacing_mm)
    # The CPU ray caster needs non-negative integers for its tables, so HU are shifted.
    shifted = np.clip(hu + 1024.0, 0, 4095).astype(np.uint16)
    image.GetPointData().SetScalars(numpy_to_vtk(shifted.ravel(), deep=True))

    opacity, colour = vtkPiecewiseFunction(), vtkColorTransferFunction()
    for value, alpha, red, green, blue in PRESETS[preset]:
        opacity.AddPoint(value + 1024.0, alpha)
        colour.AddRGBPoint(value + 1024.0, red, green, blue)
    look = vtkVolumeProperty()
    look.SetScalarOpacity(opacity)
    look.SetColor(colour)
    look.SetInterpolationTypeToLinear()
    look.SetScalarOpacityUnitDistance(OPACITY_UNIT_MM)
    look.ShadeOn()
    look.SetAmbient(AMBIENT)
    look.SetDiffuse(1.0 - AMBIENT)
    look.SetSpecular(0.15)

    mapper: Any = vtkFixedPointVolumeRayCastMapper()
    mapper.SetInputData(image)
    mapper.SetNumberOfThreads(1)
    # A sample for each voxel, and two rays across it: more cost time and are not seen.
    voxel_mm = min(spacing_mm)
    extent = [n * s for n, s in zip(hu.shape[::-1], spacing_mm, strict=True)]
    mm_per_pixel = _mm_per_pixel(extent, size)
    mapper.SetSampleDistance(voxel_mm)
    mapper.SetAutoAdjustSampleDistances(False)
    mapper.SetImageSampleDistance(max(1.0, 0.5 * voxel_mm / mm_per_pixel))
    volume = vtkVolume()
    volume.SetMapper(mapper)
    volume.SetProperty(look)

    renderer = vtkRenderer()
    renderer.SetBackground(*BACKGROUND)
    renderer.AddVolume(volume)
    window = vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(*size)
    window.AddRenderer(renderer)

    # The viewer stands in front (-y) and looks to the back (+y), so +x (patient's left) is right.
    camera = renderer.GetActiveCamera()
    centre = [(n - 1) * s / 2 for n, s in zip(hu.shape[::-1], spacing_mm, strict=True)]
    camera.SetFocalPoint(*centre)
    camera.SetPosition(centre[0], centre[1] - 4.0 * max(extent), centre[2])
    camera.SetViewUp(0, 0, 1)
    camera.ParallelProjectionOn()
    camera.SetParallelScale(mm_per_pixel * size[1] / 2)
    renderer.ResetCameraClippingRange()
    window.Render()

    grab = vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ShouldRerenderOff()  # what was just drawn
    grab.Update()
    pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    return pixels.reshape(size[1], size[0], 3)[::-1].copy()  # VTK's first row is the lowest


def _mm_per_pixel(extent_mm: list[float], size: tuple[int, int]) -> float:
    """The scale at which the front of the box fits the image; the extent is (x, y, z)."""
    return max(extent_mm[0] / size[0], extent_mm[2] / size[1])


def _project(
    hu: np.ndarray, spacing_mm: tuple[float, float, float], preset: str, size: tuple[int, int]
) -> np.ndarray:
    from scipy import ndimage

    knots = np.asarray(PRESETS[preset])
    gradients = np.gradient(ndimage.gaussian_filter(hu, 0.7), *spacing_mm[::-1])
    colour = np.zeros((hu.shape[0], hu.shape[2], 3), np.float32)
    clear = np.ones((hu.shape[0], hu.shape[2]), np.float32)  # transmittance so far
    thickness = spacing_mm[1] / OPACITY_UNIT_MM
    for y in range(hu.shape[1]):  # from the viewer to the back
        layer = hu[:, y]
        alpha = 1.0 - (1.0 - np.interp(layer, knots[:, 0], knots[:, 1])) ** thickness
        gz, gy, gx = (gradient[:, y] for gradient in gradients)
        facing = np.abs(gy) / np.maximum(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-3)
        weight = clear * alpha * (AMBIENT + (1.0 - AMBIENT) * facing)
        for channel in range(3):
            colour[..., channel] += weight * np.interp(layer, knots[:, 0], knots[:, 2 + channel])
        clear *= 1.0 - alpha
    front = colour[::-1]  # rows from superior to inferior

    extent = [n * s for n, s in zip(hu.shape[::-1], spacing_mm, strict=True)]
    scale = _mm_per_pixel(extent, size)
    rows, cols = max(1, round(extent[2] / scale)), max(1, round(extent[0] / scale))
    zoom = (rows / front.shape[0], cols / front.shape[1], 1)
    drawn = ndimage.zoom(front, zoom, order=1, mode="nearest", grid_mode=True)
    image = np.zeros((size[1], size[0], 3)) + BACKGROUND
    top, left = (size[1] - drawn.shape[0]) // 2, (size[0] - drawn.shape[1]) // 2
    image[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _main(job_path: str, image_path: str) -> None:
    """Entry point of the subprocess: read the job, draw, write the image."""
    with np.load(job_path) as job:
        size = (int(job["size"][0]), int(job["size"][1]))
        spacing = tuple(float(s) for s in job["spacing_mm"])
        image = _render_with_vtk(job["hu"], spacing, str(job["preset"]), size)  # type: ignore[arg-type]
    np.save(image_path, image)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2])
