"""The model card of an exported bundle, from the records of its runs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from axon_backend.bundle.card import model_card
from axon_backend.methods.protocol import Method
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.weights import Trained

SHOWN = ("psnr", "ssim", "sharp", "noise_loss")


def card_of(
    name: str,
    version: str,
    method: Method,
    config: Any,
    stages: Mapping[str, Trained],
    origins: Mapping[str, str],
    *,
    data_source: str | None,
    stated: bool,
) -> str:
    """The model card in Markdown: networks, training, metrics of the best checkpoints, limits.

    ``stated``: whether the author states a licence.
    """
    cases = {t.stage: RunFolder(t.folder).state().get("cases") or {} for t in stages.values()}
    most = max((int(c.get("train", 0)) for c in cases.values()), default=0)
    validated = max((int(c.get("validation", 0)) for c in cases.values()), default=0)
    window = f"{config.window.low:g} and {config.window.high:g}"
    stages = {stage: stages[stage] for stage in method.info.training_names if stage in stages}
    grids = sorted({config.grid, config.output_grid})
    return model_card(
        name=name,
        version=version,
        summary=" ".join(
            [method.describe(config), *(f"{part}: {origin}." for part, origin in origins.items())]
        ),
        inputs=(
            "One frontal chest X-ray (PA or AP), and a lateral one if there is one, registered to "
            "the canonical thorax frame: 1024 x 1024 pixels over 1.1 times the box around the "
            "lungs. Any grey scale in which bones are brighter than lungs."
        ),
        outputs=(
            f"A CT volume of {' or '.join(f'{n}^3' for n in grids)} voxels over the same box, in "
            f"HU between {window}."
        ),
        training_data=_training(stages, data_source, most),
        figures=[row for t in stages.values() for row in _metrics(t)],
        figures_note=(
            "Metrics of the best checkpoint of each training on "
            f"{counted(validated, 'validation case')}, which also selected that checkpoint: they "
            "are optimistic. Evaluate the bundle with `axon evaluate` on unseen patients. "
            "v1 and v2: one view and two; PSNR in dB and SSIM (3-D, Gaussian window of 11 voxels) "
            "on [0, 1] after the HU window; sharp: mean gradient inside the body over the CT's."
        ),
        limits=[
            f"It was trained on {counted(most, 'case')}, which may not cover other anatomy, "
            "disease, implants, children or opacified lungs.",
            "With one X-ray, depth is not measured but follows the training chests.",
            "A wrong registration gives a wrong volume that may look right.",
        ],
        licence="Stated by the author" if stated else "Not stated",
        method=", after ".join([method.info.label, *method.references[:1]]),
    )


def counted(number: int, noun: str) -> str:
    """ "1 case", "2 cases"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _training(stages: Mapping[str, Trained], source: str | None, most: int) -> str:
    words = [f"{source or 'Not described by the author.'} {counted(most, 'training case')}."]
    for run in stages.values():
        state, config = RunFolder(run.folder).state(), run.config
        optimiser = config["optimiser"]
        lr = optimiser.get("lr", optimiser.get("rate"))  # its name in version 0.1.0
        words.append(
            f"Training {run.stage}: {'best' if run.metrics else 'not validated,'} at step "
            f"{run.step}{_after(run)}; preset "
            f"{config['preset']}, seed {config['seed']}, batch {config['batch']}, "
            f"{optimiser['name']} at {lr:g} ({optimiser['schedule']}), EMA {config['ema']:g}, "
            f"{100 * config['data']['blended']:.0f} % of rendered pairs "
            f"blended; data {str(state.get('data_sha256', ''))[:12]}, code "
            f"{str(state.get('git') or 'of AXON ' + _axon(state))[:16]}."
        )
    return " ".join(words)


def _axon(state: Mapping[str, Any]) -> str:
    return str((state.get("environment") or {}).get("axon", ""))


def _after(run: Trained) -> str:
    minutes = _minutes(run)
    return "" if minutes is None else f" after {minutes:.0f} minutes"


def effort(run: Trained) -> dict[str, Any]:
    """The cost of a training up to its best step, for the metadata: ``steps``, ``samples`` seen,
    ``minutes`` (None if not recorded), training ``cases``."""
    cases = (RunFolder(run.folder).state().get("cases") or {}).get("train")
    return {
        "steps": run.step,
        "samples": run.step * int(run.config["batch"]),
        "minutes": _minutes(run),
        "cases": cases,
    }


def _minutes(run: Trained) -> float | None:
    """Minutes of training up to the best step, from metrics.csv; None if not recorded."""
    try:
        with open(RunFolder(run.folder).metrics_file, newline="", encoding="utf-8") as stream:
            rows = [r for r in csv.DictReader(stream) if int(r["step"]) <= run.step]
        return float(rows[-1]["minutes"]) if rows else None
    except (OSError, KeyError, ValueError, TypeError):
        return None


def _metrics(run: Trained) -> list[dict[str, str]]:
    return [
        {"training": run.stage, "metric": key, "value": f"{float(value):.4g}"}
        for key, value in run.metrics.items()
        if key.endswith(SHOWN)
    ]
