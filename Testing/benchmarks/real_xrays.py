"""Real X-rays onto the atlas, and a contact sheet to look at.

python Testing/benchmarks/real_xrays.py --data DATA --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from axon_backend.bundle import load_bundle
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.write import write_png
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.registration import register
from axon_backend.registration.overlay import SIZE, overlay_image

COLUMNS = 7


def contact_sheet(images: list[np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """Images of one size in rows; (H, W, 3)."""
    blank = np.zeros_like(images[0])
    filled = images + [blank] * (-len(images) % columns)
    rows = [np.concatenate(filled[i : i + columns], 1) for i in range(0, len(filled), columns)]
    return np.concatenate(rows)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--out", type=Path, required=True)
    chosen = ask.parse_args()
    torch.set_num_threads(1)
    bundle = load_bundle(None)
    atlas, frame = atlas_ct(bundle), ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    rows, thumbs = [], []
    for path in sorted((chosen.data / "xray").iterdir()):
        if path.suffix == ".json" or "scout" in path.name:
            continue
        xray = read_radiograph(path)
        cpu = time.process_time()
        placed = register({"frontal": xray}, atlas, frame, size=SIZE).views["frontal"]
        seconds = time.process_time() - cpu
        assert placed.registration is not None
        q = placed.registration.quality
        rows.append({
            "file": path.name, "verdict": q.verdict, "score": round(q.score, 3),
            "offset": q.offset, "warnings": list(q.warnings), "seconds": round(seconds, 2),
        })  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
        one = overlay_image(placed, "outlines")[::2, ::2]
        colour = {"good": 1, "fair": 0, "poor": 0}[q.verdict]
        one[:6] = (0, 160, 0) if colour else (200, 120, 0) if q.verdict == "fair" else (200, 0, 0)
        thumbs.append(one)
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "real_xrays.json").write_text(json.dumps(rows, indent=1), "utf-8")
    write_png(chosen.out / "real_xrays.png", contact_sheet(thumbs))


if __name__ == "__main__":
    main()
