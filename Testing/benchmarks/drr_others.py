"""DRRs of AXON beside those of RTK, nanodrr, DiffDRR and plastimatch: time and accuracy.

    python Testing/benchmarks/drr_others.py --ct FILE --out results/drr_others.json [--voxels 256]

Every renderer projects the same attenuation, the CT resampled to ``--voxels`` along each axis with
three voxels of air around it (so that it does not matter how a renderer ends a volume; ``--air 0``
shows that it does without), from the canonical PA position onto detectors of 256, 512 and 1024
pixels. They take turns in one process with one thread; seconds are CPU seconds, plastimatch's those
of its own process, which also reads the CT. Truth is ``renderer.exact`` on every eighth ray of each
row and column. A renderer that is not installed is left out, and the reason printed:
``pip install itk-rtk diffdrr``, ``others.py`` for nanodrr, ``apt install plastimatch``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from others import nanodrr_subject
from renderer import exact, nanodrr_render
from scipy import ndimage

from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume, hu_to_mu
from axon_backend.physics.drr import preview_drr, render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.pose import Pose

SIZES, STRIDE = (256, 512, 1024), 8
Render = Callable[[int], np.ndarray]


def volume(path: Path, side: int, air: int) -> tuple[AttenuationVolume, AcquisitionGeometry]:
    """The attenuation with a margin of air, and the canonical PA exposure."""
    ct = read_ct(path)
    frame = find_thorax_frame(ct)
    hu = np.asarray(ct.hu, np.float32)
    inner = side - 2 * air
    hu = ndimage.zoom(hu, [inner / n for n in hu.shape], order=1, grid_mode=True, mode="nearest")
    mu = np.pad(hu_to_mu(torch.as_tensor(hu)).numpy(), air)
    sizes = zip(ct.spacing_mm, ct.hu.shape[::-1], strict=True)
    spacing = tuple(s * n / inner for s, n in sizes)
    low = zip(ct.origin_mm, ct.spacing_mm, spacing, strict=True)
    origin = tuple(o - 0.5 * a + (0.5 - air) * b for o, a, b in low)
    grid = AttenuationVolume(torch.as_tensor(mu), spacing, origin)
    return grid, Pose().geometry(frame, View.pa)


def axon(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    return lambda size: render_drr(grid, geometry, size).numpy()


def axon_ray_by_ray(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    """As for an image that is not parallel to the voxels."""
    turned = geometry.rotated(0.0, 0.0, 1e-6)
    return lambda size: render_drr(grid, turned, size).numpy()


def axon_preview(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    turned = geometry.rotated(0.0, 0.0, 1e-6)
    return lambda size: preview_drr(grid, turned, size).numpy()


def rtk(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    """The Joseph projector of the Reconstruction Toolkit, in C++, with the voxels in the order in
    which AXON has them too, RTK's fastest of three that were tried. Its tube is at +z and its rows
    run along +y: of a PA exposure, z is LPS y and y is LPS -z."""
    import itk
    from itk import RTK

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(1)
    image_type = itk.Image[itk.F, 3]
    image = itk.image_from_array(np.ascontiguousarray(grid.mu.numpy()))
    x, y, z = (o - c for o, c in zip(grid.origin_mm, geometry.isocentre_mm, strict=True))
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin((x, -z, y))
    image.SetDirection(itk.matrix_from_array(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])))
    place = RTK.ThreeDCircularProjectionGeometry.New()
    place.AddProjection(geometry.sod_mm, geometry.sid_mm, 0.0)

    def render(size: int) -> np.ndarray:
        pixel = [mm / size for mm in geometry.detector_mm]
        blank = itk.image_from_array(np.zeros((1, size, size), np.float32))
        blank.SetSpacing((*pixel, 1.0))
        blank.SetOrigin((*(-(size - 1) / 2 * p for p in pixel), 0.0))
        project = RTK.JosephForwardProjectionImageFilter[image_type, image_type].New()
        project.SetInput(0, blank)
        project.SetInput(1, image)
        project.SetGeometry(place)
        project.SetNumberOfWorkUnits(1)
        project.Update()
        return itk.array_from_image(project.GetOutput())[0]

    return render


def nanodrr(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    """512 samples a ray, as exact as AXON (see ``renderer.py``), in chunks of rows."""
    import nanodrr  # noqa: F401  is it there?

    subject = nanodrr_subject(grid, geometry.isocentre_mm)

    def render(size: int) -> np.ndarray:
        points = geometry.pixel_centres(size, size)
        source, m = geometry.source_mm, geometry.magnification
        return nanodrr_render(subject, source, points, m, 512, max(4, 16384 // size)).numpy()

    return render


def diffdrr(grid: AttenuationVolume, geometry: AcquisitionGeometry, method: str) -> Render:
    """DiffDRR's renderers (Siddon is exact for voxels as blocks; trilinear takes 512 samples). The
    rays are handed over, since its poses have other conventions."""
    from diffdrr.renderers import Siddon, Trilinear

    density = grid.mu.permute(2, 1, 0).contiguous()  # x, y, z
    origin, spacing = np.asarray(grid.origin_mm), np.asarray(grid.spacing_mm)
    renderer = Siddon() if method == "siddon" else Trilinear()
    # Its voxels' indices count from 0 at the centre of the first voxel.
    options = {} if method == "siddon" else {"n_points": 512}

    def render(size: int) -> np.ndarray:
        points = geometry.pixel_centres(size, size).reshape(-1, 3)
        source = geometry.source_mm
        ends = source + (points - source) * geometry.magnification
        length = torch.as_tensor(np.linalg.norm(ends - source, axis=1), dtype=torch.float32)
        start = torch.as_tensor((source - origin) / spacing, dtype=torch.float32)
        target = torch.as_tensor((ends - origin) / spacing, dtype=torch.float32)
        found = []
        for rays, mm in zip(target.split(4096), length.split(4096), strict=True):
            image = torch.zeros(1, 1, len(rays))
            image += mm
            found.append(
                renderer(density, start[None, None], rays[None], image, **options).reshape(-1)
            )
        return torch.cat(found).reshape(size, size).numpy()

    return render


def plastimatch(grid: AttenuationVolume, geometry: AcquisitionGeometry) -> Render:
    """Its ``drr`` command with exact path lengths through voxels (Siddon), in a process."""
    import SimpleITK as sitk

    if shutil.which("plastimatch") is None:
        raise ImportError("plastimatch is not installed (apt install plastimatch)")
    folder = tempfile.mkdtemp()
    image = sitk.GetImageFromArray(grid.mu.numpy())
    image.SetSpacing(grid.spacing_mm)
    image.SetOrigin(grid.origin_mm)
    sitk.WriteImage(image, f"{folder}/ct.mha")

    def words(v: Any) -> str:
        return " ".join(f"{float(x):.6f}" for x in v)

    def render(size: int) -> np.ndarray:
        width, height = geometry.detector_mm
        command = [
            "plastimatch", "drr", "-A", "cpu", "-i", "exact", "-t", "pfm", "-P", "none",
            "--nrm", words(-np.asarray(geometry.ray)), "--vup", words(-np.asarray(geometry.row)),
            "--sad", f"{geometry.sod_mm}", "--sid", f"{geometry.sid_mm}",
            "-r", f"{size} {size}", "-z", f"{height} {width}",
            "-o", words(geometry.isocentre_mm), "-I", f"{folder}/ct.mha", "-O", f"{folder}/out",
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        files = sorted(Path(folder).glob("out*.pfm"))
        if done.returncode or not files:
            raise RuntimeError(done.stderr[-300:] or done.stdout[-300:])
        raw = files[0].read_bytes()
        rows, columns = (int(n) for n in raw.split(b"\n", 2)[1].split()[::-1])
        pixels = np.frombuffer(raw[-4 * rows * columns :], "<f4").reshape(rows, columns)
        return 10 * pixels[:, ::-1]  # it integrates over cm, and sees the detector from behind

    return render


RENDERERS: dict[str, Callable[..., Render]] = {
    "AXON": axon,
    "AXON, ray by ray": axon_ray_by_ray,
    "AXON, preview": axon_preview,
    "RTK": rtk,
    "nanodrr": nanodrr,
    "DiffDRR, Siddon": lambda *a: diffdrr(*a, "siddon"),
    "DiffDRR, trilinear": lambda *a: diffdrr(*a, "trilinear"),
    "plastimatch": plastimatch,
}


def cpu_seconds() -> float:
    """Of this process and its children."""
    used = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in used)


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--ct", type=Path, required=True)
    ask.add_argument("--voxels", type=int, default=256)
    ask.add_argument("--air", type=int, default=3, help="voxels of air around the CT")
    ask.add_argument("--sizes", default=",".join(map(str, SIZES)))
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--slowest", type=float, default=20.0, help="seconds: slower ones run once")
    ask.add_argument("--only", help="names of renderers, separated by semicolons (default: all)")
    ask.add_argument("--out", type=Path)
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    grid, geometry = volume(chosen.ct, chosen.voxels, chosen.air)
    ready: dict[str, Render] = {}
    left_out: dict[str, str] = {}
    for name, make in RENDERERS.items():
        if chosen.only and name not in chosen.only.split(";"):
            continue
        try:
            ready[name] = make(grid, geometry)
        except Exception as error:  # another one may be installed
            left_out[name] = f"{type(error).__name__}: {error}"[:200]
            print(f"{name} is left out: {left_out[name]}", flush=True)
    table: dict[str, dict[str, Any]] = {}
    for size in (int(s) for s in chosen.sizes.split(",")):
        points = geometry.pixel_centres(size, size)[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        truth = exact(grid, geometry.source_mm, points.reshape(-1, 3))
        seconds: dict[str, list[float]] = {name: [] for name in ready}
        errors: dict[str, float] = {}
        for repeat in range(chosen.repeats):
            for name, render in list(ready.items()):
                if repeat and seconds[name][0] > chosen.slowest:
                    continue
                try:
                    began, wall = cpu_seconds(), time.perf_counter()
                    with torch.inference_mode():
                        image = render(size)
                    seconds[name].append(cpu_seconds() - began)
                except Exception as error:
                    left_out[name] = f"{type(error).__name__}: {error}"[:300]
                    print(f"{name} failed: {left_out[name]}", flush=True)
                    del ready[name], seconds[name]
                    continue
                away = image[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE].ravel() - truth
                errors[name] = float(np.linalg.norm(away) / np.linalg.norm(truth))
                print(size, name, f"{time.perf_counter() - wall:.1f} s", flush=True)
        own = statistics.median(seconds["AXON"]) if seconds.get("AXON") else None
        table[str(size)] = {
            name: {
                "cpu_seconds": statistics.median(found),
                "axon_over_it": None if own is None else own / statistics.median(found),
                "relative_l2": errors[name],
            }
            for name, found in seconds.items()
        }
        for name, row in table[str(size)].items():
            ratio = row["axon_over_it"]
            print(
                f"| {size} | {name} | {row['cpu_seconds']:.2f} | "
                f"{'' if ratio is None else f'{ratio:.2f}'} | {row['relative_l2']:.1e} |",
                flush=True,
            )
    result = {"voxels": chosen.voxels, "ct": chosen.ct.name, "left_out": left_out, "sizes": table}
    if chosen.out:
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
