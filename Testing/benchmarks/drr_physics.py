"""What the physics of a radiograph costs, and what it looks like.

    python Testing/benchmarks/drr_physics.py --ct CT [--out drr_physics.json] [--sheet sheet.png]

Times one view of a CT as line integrals of one energy and as a poly-energetic exposure (four
materials, scatter, grid, noise, blur), at 512 and 1024 pixels a side, in turn in one process.
``--sheet`` draws the same view under several techniques; no CT: the one of the demo.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.exposure import XraySettings, expose
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.grid import NO_GRID
from axon_backend.physics.postprocess import postprocess
from axon_backend.physics.randomise import line_integrals_from_paths
from axon_backend.physics.simulate import XraySimulator
from axon_backend.physics.spectrum import Tube

DEMO = Path(__file__).resolve().parents[2] / "axon_backend" / "demo_data" / "ct_lidc0306.nii.gz"


def seconds(work: dict[str, Callable[[], object]], device: str, repeats: int) -> dict[str, float]:
    """Median wall time of each, taken in turn so that all see the same machine."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for run in range(repeats + 1):
        for name, one in work.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            one()
            if device == "cuda":
                torch.cuda.synchronize()
            if run:  # the first fills caches
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(ct_path: Path, device: str, repeats: int) -> dict[str, object]:
    ct = read_ct(ct_path)
    geometry = AcquisitionGeometry.of_frame(find_thorax_frame(ct), View.pa)
    volume, simulator = AttenuationVolume.from_ct(ct, device), XraySimulator(ct, device)
    found: dict[str, object] = {"ct": ct_path.name, "voxels": list(ct.hu.shape), "device": device}
    for size in (512, 1024):
        with torch.inference_mode():
            paths = simulator.paths([geometry], size)
            log = expose(paths, simulator.names, [geometry]).log
            work = {
                "mono": lambda size=size: render_drr(volume, geometry, size),
                "paths": lambda size=size: simulator.paths([geometry], size),
                "exposure": lambda p=paths: expose(p, simulator.names, [geometry]),
                "look": lambda log=log: postprocess(log),
            }
            times = seconds(work, device, repeats)
        poly = times["paths"] + times["exposure"]
        found[str(size)] = {
            **{f"{k}_s": round(v, 3) for k, v in times.items()},
            "poly_over_mono": round(poly / times["mono"], 2),
        }
    return found


def sheet(ct_path: Path, target: Path, size: int = 384) -> None:
    """One view under several techniques, 2 rows of 4."""
    ct = read_ct(ct_path)
    geometry = AcquisitionGeometry.of_frame(find_thorax_frame(ct), View.pa)
    simulator = XraySimulator(ct)
    paths = simulator.paths([geometry], size)

    def log(**changes: object) -> torch.Tensor:
        return expose(paths, simulator.names, [geometry], XraySettings(**changes)).log  # type: ignore[arg-type]

    def linear(image: torch.Tensor) -> np.ndarray:
        low, high = np.quantile(image, [0.005, 0.998])
        return np.clip((image[0].numpy() - low) / (high - low), 0, 1)

    low_dose = log(exposure_index=10.0)
    tiles = {
        "70 keV": linear(line_integrals_from_paths(paths)),
        "60 kV": linear(log(tube=Tube(60.0))),
        "90 kV": linear(log(tube=Tube(90.0))),
        "120 kV": linear(log()),
        "120 kV, no grid": linear(log(grid=NO_GRID)),
        "120 kV, EI 10": linear(low_dose),
        "120 kV, processed": postprocess(log())[0].numpy(),
        "no grid, processed": postprocess(log(grid=NO_GRID))[0].numpy(),
    }
    page = Image.new("L", (4 * size, 2 * size))
    for i, (name, tile) in enumerate(tiles.items()):
        image = Image.fromarray(np.rint(tile * 255).astype(np.uint8))
        ImageDraw.Draw(image).text((8, 6), name, fill=255)
        page.paste(image, (i % 4 * size, i // 4 * size))
    ImageDraw.Draw(page).text((8, 2 * size - 16), "research use only, not for diagnosis", fill=160)
    page.save(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", type=Path, default=DEMO)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.sheet:
        sheet(chosen.ct, chosen.sheet)
        return
    found = measure(chosen.ct, chosen.device, chosen.repeats)
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
