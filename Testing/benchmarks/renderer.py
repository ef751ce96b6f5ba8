"""The renderer: how exact, and how fast beside nanodrr's torch backend at equal accuracy.

    python Testing/benchmarks/renderer.py --ct FILE --out results/renderer.json [--threads 2]

The CT is resampled to 256^3. Truth is an independent integration: trilinear interpolation by scipy
in double precision, 20 samples a voxel, of every 16th ray of the 1024 x 1024 image. nanodrr gets
the least number of samples (steps of 32) with which it is as exact as AXON, and chunks of rows of
the size that suits it best, because its memory grows with rays times samples. Both take turns.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from others import nanodrr_subject
from scipy import ndimage

from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume, hu_to_mu
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose

SIZE, STRIDE, SIDE = 1024, 16, 256


def cube(path: Path) -> tuple[AttenuationVolume, object]:
    """The CT's attenuation on SIDE^3 voxels, and its frame."""
    ct = read_ct(path)
    hu = np.asarray(ct.hu, np.float32)
    zoom = [SIDE / n for n in hu.shape]
    hu = ndimage.zoom(hu, zoom, order=1, grid_mode=True, mode="nearest")
    spacing = tuple(s * n / SIDE for s, n in zip(ct.spacing_mm, ct.hu.shape[::-1], strict=True))
    origin = tuple(
        o - 0.5 * a + 0.5 * b for o, a, b in zip(ct.origin_mm, ct.spacing_mm, spacing, strict=True)
    )
    grid = AttenuationVolume(hu_to_mu(torch.as_tensor(hu)), spacing, origin)
    return grid, (ct, find_thorax_frame(ct))


def exact(grid: AttenuationVolume, source: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Line integrals from ``source`` through (n, 3) points, double precision."""
    mu = np.pad(grid.mu.numpy().astype(np.float64), 1)  # falls to zero over one voxel
    spacing, origin = np.asarray(grid.spacing_mm), np.asarray(grid.origin_mm)
    low = origin - spacing
    high = origin + spacing * np.asarray(grid.mu.shape[::-1])
    direction = points - source
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        t = np.sort(np.stack([(low - source) / direction, (high - source) / direction]), axis=0)
    begin, end = t[0].max(1), t[1].min(1)
    end = np.maximum(begin, end)
    step = min(spacing) / 20
    count = int(np.ceil((end - begin).max() / step))
    total = np.zeros(len(points))
    for k in range(count):  # midpoints of equal parts of each ray's own length
        at = source + direction * (begin + (k + 0.5) / count * (end - begin))[:, None]
        index = ((at - origin) / spacing + 1).T[::-1]
        total += ndimage.map_coordinates(mu, index, order=1, mode="constant")
    return total * (end - begin) / count


def nanodrr_render(subject, source, points, sid_over_sod: float, samples: int, rows: int):
    """(H, W) by nanodrr's torch backend, in chunks of rows."""
    from nanodrr.drr import render as nano

    start = torch.as_tensor(source, dtype=torch.float32)
    ends = start + (torch.as_tensor(points, dtype=torch.float32) - start) * sid_over_sod
    eye, parts = torch.eye(4)[None], []
    for some in ends.split(rows):
        height, width = some.shape[:2]
        parts.append(
            nano(
                subject, torch.eye(3)[None], eye, torch.tensor([1.0]), height, width,
                n_samples=samples, src=start[None, None], tgt=some.reshape(1, -1, 3),
                backend="torch",
            )[0, 0]
        )  # fmt: skip
    return torch.cat(parts)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--ct", type=Path, required=True)
    ask.add_argument("--out", type=Path, required=True)
    ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--samples", type=int, help="of nanodrr, instead of looking for them")
    chosen = ask.parse_args()
    torch.set_num_threads(chosen.threads)
    grid, (ct, frame) = cube(chosen.ct)
    geometry = Pose((5.0, -4.0, 8.0), (10.0, 0.0, -5.0)).geometry(frame, View.pa)
    points, source = geometry.pixel_centres(SIZE, SIZE), geometry.source_mm
    ratio = geometry.magnification
    few = points[::STRIDE, ::STRIDE].reshape(-1, 3)
    truth = exact(grid, source, few)

    def error(image: torch.Tensor) -> float:
        mine = image[::STRIDE, ::STRIDE].double().numpy().ravel()
        return float(np.linalg.norm(mine - truth) / np.linalg.norm(truth))

    def ours() -> torch.Tensor:
        return render_drr(grid, geometry, SIZE)

    subject = nanodrr_subject(grid, frame.center_mm)
    short = points[::STRIDE, ::STRIDE]
    with torch.inference_mode():
        own = error(ours())
        print(f"AXON: relative L2 error {own:.2e}", flush=True)
        samples = chosen.samples or 32
        while True:
            image = nanodrr_render(subject, source, short, ratio, samples, 16)
            away = image.double().numpy().ravel() - truth
            theirs = float(np.linalg.norm(away) / np.linalg.norm(truth))
            print(f"nanodrr, {samples} samples: {theirs:.2e}", flush=True)
            if chosen.samples or theirs <= own or samples >= 512:
                break
            samples += 32
        best_rows, best = 8, np.inf
        for rows in (4, 16, 64):
            began = time.perf_counter()
            nanodrr_render(subject, source, points[:64], ratio, samples, rows)
            if time.perf_counter() - began < best:
                best_rows, best = rows, time.perf_counter() - began
        times: dict[str, list[float]] = {"axon": [], "nanodrr": []}
        for _ in range(chosen.repeats):
            for name in times:
                began = time.perf_counter()
                if name == "axon":
                    ours()
                else:
                    nanodrr_render(subject, source, points, ratio, samples, best_rows)
                times[name].append(time.perf_counter() - began)
                print(name, round(times[name][-1], 2), flush=True)
        coarse = AttenuationVolume.from_ct(ct).downsampled(96)
        render_drr(coarse, Pose().geometry(frame, View.pa), 256)
        began = time.perf_counter()
        for k in range(20):
            render_drr(coarse, Pose((0.0, 0.0, float(k))).geometry(frame, View.pa), 256)
        frames = 20 / (time.perf_counter() - began)
    ratios = [b / a for a, b in zip(times["axon"], times["nanodrr"], strict=True)]
    result = {
        "ct": chosen.ct.name, "threads": chosen.threads, "relative_l2": own,
        "nanodrr_relative_l2": theirs, "nanodrr_samples": samples, "nanodrr_rows": best_rows,
        "seconds": times, "nanodrr_over_axon": [round(r, 2) for r in ratios],
        "live_256_frames_per_second": round(frames, 1),
    }  # fmt: skip
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1), "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
