"""What the grey scale of a workstation costs a reconstruction from DRRs in their place.

The DRRs of CTs are changed as workstations change films, before the standardisation: half of the
local contrast of a window of 1/8 of the width, 2 and 3 % of the pixels clipped at the dark and the
bright end, a sigmoid of slope 5 (*mild*); or all of it at random for each image (*strong*). Stage 1
of a bundle reconstructs both, with one place, and its PSNR is compared.

    python Testing/benchmarks/film_greys.py --ct CT [CT ...] [--bundle DIR] [--each N] --out FILE

Each CT is measured as it is and in ``--each`` deformations (rotation, proportions, elastic).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from axon_backend.bundle import load_bundle
from axon_backend.imaging.ct import read_ct
from axon_backend.inference.model_loading import load_model
from axon_backend.training.data.augmentation import gaussian_blur
from axon_backend.training.data.batch import collate
from axon_backend.training.data.pairs import (
    NOT_DEFORMED,
    DeformableCT,
    Deformation,
    PairFactory,
    TrainingPair,
)


def film(
    image: np.ndarray,
    window: float = 1 / 8,
    strength: float = 0.5,
    clipped: tuple[float, float] = (0.02, 0.03),
    slope: float = 5.0,
) -> np.ndarray:
    """A projection (S, S) with local contrast, clipped ends and an S-shaped tone curve, in [0, 1].

    Args:
        image: line integrals, or any affine map of them.
        window: side of the window of the local contrast as a share of the image's.
        strength: share of the image that is normalised by local mean and standard deviation.
        clipped: shares of the pixels clipped at the dark and the bright end.
        slope: of the sigmoid over [0, 1].
    """
    x = torch.as_tensor(image, dtype=torch.float32)[None, None]
    sigma = window * x.shape[-1] / 2
    mean = gaussian_blur(x, sigma)
    deviation = (gaussian_blur(x.square(), sigma) - mean.square()).clamp_min(0).sqrt()
    local = (x - mean) / (deviation + 0.1 * x.std()) * x.std() + x.mean()
    y = (1 - strength) * x + strength * local
    low, high = torch.quantile(y, torch.tensor([clipped[0], 1 - clipped[1]]))
    y = ((y - low) / (high - low)).clamp(0, 1)
    return torch.sigmoid(slope * (y - 0.5))[0, 0].numpy()


def at_random(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """*strong*: window, strength, clipping and slope drawn for each image."""
    return film(
        image,
        window=float(rng.uniform(1 / 16, 1 / 4)),
        strength=float(rng.uniform(0, 1)),
        clipped=(float(rng.uniform(0, 0.05)), float(rng.uniform(0, 0.05))),
        slope=float(rng.uniform(1, 8)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ct", nargs="+", type=Path, required=True)
    parser.add_argument("--bundle", help="a folder or an installed name (default: the shipped one)")
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    bundle = load_bundle(chosen.bundle)
    model = load_model(bundle)
    config = model.config
    rows: list[dict[str, float | str | int]] = []
    for path in chosen.ct:
        chest = DeformableCT(read_ct(path))
        for number in range(chosen.each + 1):
            factory = PairFactory(
                fine_size=config.grid * 2,
                view_size=config.view_size,
                window=config.window,
                deformation=Deformation(bone_gain=(1.0, 1.0)) if number else NOT_DEFORMED,
            )
            pair = factory.draw(chest, np.random.default_rng([number, 5]))
            rng = np.random.default_rng([number, 6])
            drrs = [np.asarray(v, np.float32) for v in pair.views]
            looks = {
                "DRR": drrs,
                "mild": [film(v) for v in drrs],
                "strong": [at_random(v, rng) for v in drrs],
            }
            for look, views in looks.items():
                seen = TrainingPair(pair.volume, np.stack(views).astype(np.float16), pair.beam)
                batch = collate([seen])
                for count in (2, 1):
                    with torch.inference_mode():
                        out = model.coarse_diff.run(
                            model.harmonised(batch.views(count == 1)),
                            1,
                            torch.Generator().manual_seed(0),
                            tta_shifts=1,
                        )
                    mse = float((out - batch.volume).square().mean())
                    psnr = 10 * float(np.log10(4 / mse))
                    case = f"{path.name.split('.')[0]} {number}"
                    rows.append({"case": case, "look": look, "views": count, "psnr": psnr})
    summary = {}
    for count in (2, 1):
        of = {
            look: np.array([r["psnr"] for r in rows if (r["look"], r["views"]) == (look, count)])
            for look in ("DRR", "mild", "strong")
        }
        for look, values in of.items():
            lost = values - of["DRR"]
            error = float(lost.std(ddof=1) / np.sqrt(len(lost)))
            summary[f"{look}, {count}"] = [float(values.mean()), float(lost.mean()), error]
            print(
                f"{count} view{'s' if count == 2 else ''}, {look}: {values.mean():.2f} dB "
                f"({lost.mean():+.2f}, standard error {error:.2f})"
            )
    result = {"bundle": f"{bundle.name} {bundle.version}", "summary": summary, "rows": rows}
    chosen.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
