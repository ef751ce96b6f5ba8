"""What version 0.1.0 wrote is read under today's names: bundles, run files, checkpoints, --set."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from training_tiny import tiny

from axon_backend.bundle import load_bundle, seal_bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.inference.model_loading import load_model
from axon_backend.inference.reconstruct import reconstruct
from axon_backend.training.checkpoint import load_checkpoint
from axon_backend.training.export import export_bundle
from axon_backend.training.plan import resolve
from axon_backend.training.torch_file import save_atomically
from axon_backend.training.weights import best_of

# What `axon train controlnet --set model.sampling.fine_sampler=dpm --show` of 0.1.0 printed; the
# sampler is no longer a setting, and in one step it is the same.
WHOLE_FILE = Path(__file__).with_name("config_0_1_0.yaml")


def old_model(model: dict) -> dict:
    """A model's configuration of today as 0.1.0 wrote it."""
    model = {k: v for k, v in model.items() if k not in ("condition_on_views", "fine_diff")}
    model["see_views"], model["fine_process"] = True, "diffusion"
    model["encoder"], model["sr"] = model["encoder"] | {"patch": 2}, model["sr"] | {"slices": 16}
    sampling = dict(model["sampling"])
    sampling["coarse_places"] = sampling.pop("tta_shifts")
    sampling |= {"coarse_eta": 1.0, "fine_scale": 1.0, "fine_detail": 1.0}
    sampling |= {"fine_sampler": "dpm", "fine_eta": 0.0}
    return {**model, "sampling": sampling}


def old_settings(config: dict) -> dict:
    """A run's configuration of today as 0.1.0 wrote it."""
    config = json.loads(json.dumps(config))
    del config["method"]
    config["model"] = old_model(config["model"])
    config["optimiser"]["rate"] = config["optimiser"].pop("lr")
    loss, data = config["loss"], config["data"]
    loss["single_view"] = data.pop("single_view")
    loss["at_the_end"] = loss.pop("p_t_end")
    loss["doubt"] = loss.pop("conditioning_augmentation")
    loss["crop"] = 32
    data["augmentation"] = {"ap": 0.25, "sod_mm": [1450.0, 1750.0]}
    data["appearance"]["xray"] = {"kvp": [60.0, 150.0]}
    config["checkpoint_minutes"], config["validation"]["patience"] = 3.0, 0
    return config


def test_a_bundle_of_0_1_0_reconstructs_as_before(tiny_bundle, tmp_path):
    changes = {"tta_shifts": 4, "fine_steps": 1, "coarse_steps": 1}
    configs = {}
    values = json.loads((tiny_bundle.path / "configs" / "axon.json").read_text())
    values["sampling"] |= changes
    configs["new"] = values
    bare = {k: v for k, v in values.items() if k not in ("method", "format_version")}
    configs["old"] = {**old_model(bare), "format_version": 2}
    assert "fine_diff" not in configs["old"]
    volumes, read = {}, {}
    drr = torch.linspace(0, 1, 64 * 64).reshape(64, 64).numpy()
    for name, config in configs.items():
        path = shutil.copytree(tiny_bundle.path, tmp_path / name)
        (path / "configs" / "axon.json").write_text(json.dumps(config))
        seal_bundle(path)
        bundle = load_bundle(path)
        read[name] = load_model(bundle).config
        xray = Radiograph(drr, None, View.pa, "pa.png")
        result = reconstruct(xray, bundle=bundle, device="cpu", register=False)
        assert result.record["method"] == "axon"
        volumes[name] = result.volumes
    assert read["old"] == read["new"]
    assert read["old"].sampling.tta_shifts == 4 and read["old"].fine_diff == "controlnet"
    for stage, volume in volumes["new"].items():
        assert (volume == volumes["old"][stage]).all(), stage


def test_a_whole_run_file_of_0_1_0_is_what_it_was():
    config = resolve("controlnet", file=WHOLE_FILE)
    assert config == resolve("controlnet")
    # One setting of each name, as the file says it.
    assert (config.optimiser.lr, config.data.single_view) == (1.5e-3, 0.4)
    assert (config.loss.p_t_end, config.loss.conditioning_augmentation) == (0.5, 0.3)
    assert (config.model.sampling.tta_shifts, config.model.condition_on_views) == (4, True)
    assert config.data.appearance.p.misregistration == 0.2


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("rate=1e-4", "optimiser.lr", 1e-4),
        ("optimiser.rate=1e-4", "optimiser.lr", 1e-4),
        ("loss.single_view=0.25", "data.single_view", 0.25),
        ("loss.at_the_end=0.1", "loss.p_t_end", 0.1),
        ("at_the_end=0.1", "loss.p_t_end", 0.1),
        ("doubt=0.2", "loss.conditioning_augmentation", 0.2),
        ("model.see_views=false", "model.condition_on_views", False),
        ("coarse_places=1", "model.sampling.tta_shifts", 1),
        ("fine_process=diffusion", "model.fine_diff", "controlnet"),
        ("model.fine_process=bridge", "model.fine_diff", "bridge"),
        ("data.appearance.letters=0.1", "data.appearance.p.letters", 0.1),
    ],
)
def test_set_takes_the_old_names(old, new, value, tmp_path):
    found = resolve("controlnet", pairs=[old])
    for part in new.split("."):
        found = getattr(found, part)
    assert found == value and type(found) is type(value)
    key, _, text = old.partition("=")
    if "." in key:  # in a file names are whole
        for part in reversed(key.split(".")):
            text = f"{{{part}: {text}}}"
        file = tmp_path / "old.yaml"
        file.write_text(text)
        assert resolve("controlnet", file=file) == resolve("controlnet", pairs=[old])


def test_what_was_never_a_name_is_still_refused():
    with pytest.raises(AxonInputError, match="no setting 'doubts'"):
        resolve("coarse", pairs=["doubts=1"])


def test_a_setting_that_is_gone_is_taken_with_the_value_that_it_always_has(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("data: {deformation: {ap: 0.25}, mean_cases: 100}\n")
    assert resolve("coarse", file=file) == resolve("coarse")
    file.write_text("data: {deformation: {ap: 0.5}}\n")
    with pytest.raises(AxonInputError, match=r"no setting 'data\.deformation'"):
        resolve("coarse", file=file)
    with pytest.raises(AxonInputError, match="no setting 'fine_sampler'"):
        resolve("coarse", pairs=["fine_sampler=ddim"])


def test_a_run_of_0_1_0_is_exported_and_resumed(train, tmp_path):
    config = tiny(steps=1)
    folder = train(config, "runs/coarse")
    for file in (folder.last, folder.best):
        values = load_checkpoint(file)
        save_atomically({**values, "config": old_settings(values["config"])}, file)
    state = {k: v for k, v in folder.state().items() if k != "method"}
    folder.run_file.write_text(json.dumps(state))
    assert best_of(folder).model == config.model
    # Exported, it asks for the networks that were not trained; its own fit today's configuration.
    with pytest.raises(AxonInputError, match="has trained the network 'prior'"):
        export_bundle(folder.path, tmp_path / "bundle")
    train(tiny(steps=2), "runs/coarse", resume=True)
    assert load_checkpoint(folder.last)["step"] == 2
    warnings = [e for e in folder.events()[0] if e.get("level") == "warning"]
    assert warnings == []


def test_a_checkpoint_with_an_unknown_model_setting_is_refused_in_words(train):
    folder = train(tiny(steps=1), "runs/coarse")
    for file in (folder.last, folder.best):
        values = load_checkpoint(file)
        values["config"]["model"]["sampling"]["of_tomorrow"] = 2
        save_atomically(values, file)
    with pytest.raises(
        AxonInputError, match="does not recognise the model settings of .*last.pt.*tomorrow"
    ):
        train(tiny(steps=2), "runs/coarse", resume=True)
    with pytest.raises(AxonInputError, match="does not recognise the model settings"):
        export_bundle(folder.path, folder.path.parent / "bundle")
