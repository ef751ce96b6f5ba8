"""Calibrate the samples of a bundle on the validation patients of a data set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.bundle.layout import CONFIG, METADATA, MODEL_CARD, read_json, write_json
from axon_backend.bundle.write import seal_bundle
from axon_backend.dataset.dataset import Dataset
from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import bundle_method, load_model
from axon_backend.training.data.batch import collate
from axon_backend.training.data.pairs import Deformation
from axon_backend.training.data.source import PairSettings, PairSource
from axon_backend.util.output_folder import whole_folder

DRAW_STEPS = 10


def calibrate_bundle(
    bundle: Bundle,
    data: str | Path,
    output: str | Path,
    *,
    name: str | None = None,
    each: int = 4,
    steps: int = DRAW_STEPS,
    tell: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Write a copy of a bundle whose samples are calibrated.

    Args:
        bundle: the model; its networks must not have been trained on the validation patients.
        data: a data set with validation cases, see ``Dataset.read``.
        output: folder of the new bundle.
        name: name of the new bundle; by default that of its folder.
        each: deformed chests for each validation CT, half of them with another one's shape.
        steps: bridge steps of a sample.
        tell: called with a line on each attempt.

    Raises:
        AxonInputError: the bundle's method has no calibration, the data set has no validation
            CTs, or the output exists.
    """
    if Path(output).exists():
        raise AxonInputError(f"{output} already exists. Choose another folder.")
    cases = [c for c in Dataset.read(data).split("validation") if not c.reconstructed]
    if not cases:
        raise AxonInputError(f"{data} has no validation cases with a CT, which are needed.")
    model = load_model(bundle)
    config = model.config
    gamma = max(2, config.output_grid // config.grid)
    side = gamma * config.grid
    source = PairSource(
        cases, PairSettings(side, config.view_size, config.window, deformation=Deformation())
    )
    batches = [collate([source.rendered(n)], gamma=gamma) for n in range(each * len(cases))]
    config = bundle_method(bundle).calibrated(model, batches, steps, tell)
    if config is None:
        raise AxonInputError(f"The samples of {bundle.name} cannot be calibrated.")
    with whole_folder(Path(output), overwrite=False) as new:
        for path in bundle.path.iterdir():
            if path.is_dir():
                shutil.copytree(path, new / path.name)
            else:
                shutil.copy2(path, new / path.name)
        before = read_json(new / CONFIG)
        write_json(new / CONFIG, {**before, **config.as_dict()})
        about = (
            f"A copy of {bundle.name} {bundle.version} with calibrated samples "
            f"(validation patients: {len(cases)})."
        )
        _introduce(new, name or Path(output).resolve().name, about)
        seal_bundle(new)
    return load_bundle(output)


def _introduce(folder: Path, name: str, about: str) -> None:
    """Write ``name`` and ``about`` into the metadata and the model card of the copy in
    ``folder``."""
    metadata = read_json(folder / METADATA)
    version = metadata["version"]
    description = f"{about} {metadata['description']}"
    write_json(folder / METADATA, {**metadata, "name": name, "description": description})
    card = folder / MODEL_CARD
    if card.is_file():
        _, _, rest = card.read_text(encoding="utf-8").partition("\n")
        card.write_text(f"# {name} {version}\n\n{about}\n{rest}", encoding="utf-8", newline="\n")
