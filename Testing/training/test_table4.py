"""Every row of the paper's ablation study (Table 4) is trained by settings alone."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from training_tiny import make_chest, tiny, write_data

import axon_backend
from axon_backend.bundle import load_bundle, verify_bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.inference.model_loading import load_model
from axon_backend.training.checkpoint import load_checkpoint
from axon_backend.training.export import export_bundle
from axon_backend.training.launch import train as run_train
from axon_backend.training.presets import preset
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.training.torch_file import save_atomically

PAGE = Path(axon_backend.__file__).parents[1] / "Resources" / "Docs" / "ablations.md"
EDGE = "loss.edge=1"
ALONE = "model.sampling.coarse_steps=0"  # FineDiff only: its condition is F(x)
IMAGE, REPEAT = "model.encoder.lifting=reshape", "model.encoder.lifting=repeat"
CLAMP = ("loss.clamp=true", "model.sampling.fine_clamp=1")
OPEN = "model.sampling.fine_clamp=0"  # the rows without "+ clamping"
BBDM, GLOBAL = "model.fine_diff=bridge", "model.global_encoder=true"
REAL = "data.real=1"

# Row -> the stages in their order, each with what is set.
ROWS: dict[str, tuple[tuple[str, ...], ...]] = {
    "L2": (("coarse",),),
    "L2 + Ledge": (("coarse", EDGE),),
    "+ clamping": (("encoder", REPEAT), ("prior",), ("controlnet", REPEAT, ALONE, *CLAMP)),
    "image enc.": (("encoder", IMAGE), ("prior",), ("controlnet", IMAGE, ALONE, OPEN)),
    "R&C enc.": (("encoder", REPEAT), ("prior",), ("controlnet", REPEAT, ALONE, OPEN)),
    "L2, BBDM": (("coarse",), ("controlnet", BBDM)),
    "L2, + global enc.": (("coarse",), ("prior",), ("controlnet", GLOBAL)),
    "L2, w/o DRRs": (("coarse", REAL), ("prior",), ("controlnet", REAL)),
    "L2 + Ledge, + global enc.": (("coarse", EDGE), ("prior",), ("controlnet", GLOBAL)),
    "L2 + Ledge, w/o DRRs": (("coarse", REAL, EDGE), ("prior",), ("controlnet", REAL)),
    "L2 + Ledge, w/ DRRs": (("coarse", EDGE), ("prior",), ("controlnet",)),
    "L2, w/ DRRs": (("coarse",), ("prior",), ("controlnet",)),
}
# Networks of other sizes or with others beside them would differ anyway; sampling is one step.
ALWAYS = ("validation.samples=0", "model.sampling.fine_draws=1", "model.sampling.tta_shifts=1")


@pytest.fixture(scope="module")
def paired(tmp_path_factory) -> Path:
    """A prepared data set: each training chest has a real frontal X-ray too, a disc."""
    root = tmp_path_factory.mktemp("paired")
    write_data(root)
    rows, columns = np.mgrid[:1024, :1024]
    cases = []
    for number, name in enumerate("abc"):
        disc = (rows - 300) ** 2 + (columns - 500 - 100 * number) ** 2 < 200**2
        sitk.WriteImage(
            sitk.GetImageFromArray(disc.astype(np.float32) * 7 + 3), str(root / f"{name}_x.nii.gz")
        )
        frame = find_thorax_frame(make_chest())
        view = {"role": "frontal", "view": "PA", "kind": "real", "file": f"{name}_x.nii.gz"}
        cases.append(
            {
                "id": name, "split": "validation" if name == "c" else "train", "group": "paired",
                "ct": f"{name}.nii.gz", "views": [{**view, "accepted": True}],
                "frame": {"center_mm": frame.center_mm, "size_mm": frame.size_mm},
            }
        )  # fmt: skip
    values = {"format": "axon-dataset", "version": 1, "cases": cases}
    (root / "dataset.json").write_text(json.dumps(values))
    return root


@pytest.fixture(scope="module")
def chain(paired, data, tmp_path_factory):
    """chain(stages) -> the folder of runs of those stages one after the other. What begins alike
    is trained once."""
    made: dict[tuple, Path] = {(): tmp_path_factory.mktemp("none")}

    def call(stages: tuple[tuple[str, ...], ...]) -> Path:
        if stages not in made:
            before = call(stages[:-1])
            root = tmp_path_factory.mktemp("runs")
            shutil.copytree(before, root, dirs_exist_ok=True)
            stage, *pairs = stages[-1]
            config = tiny(stage, steps=2, pairs=(*ALWAYS, *pairs))
            run_train(config, paired, root / stage, device="cpu")
            made[stages] = root
        return made[stages]

    return call


def last_of(root: Path, stages) -> RunFolder:
    return RunFolder(root / stages[-1][0])


def flat(folder: RunFolder) -> torch.Tensor:
    parts = load_checkpoint(folder.last)["parts"]
    return torch.cat([v.flatten().float() for p in parts.values() for v in p.values()])


@pytest.mark.parametrize("row", ROWS)
def test_each_row_trains(chain, row):
    stages = ROWS[row]
    folder = last_of(chain(stages), stages)
    assert folder.status() == "finished" and load_checkpoint(folder.last)["step"] == 2
    metrics = [e["metrics"] for e in folder.events()[0] if e["event"] == "validation"][-1]
    assert np.isfinite(list(metrics.values())).all()
    assert ("v2_fine_psnr" in metrics) == (stages[-1][0] == "controlnet")
    assert ("v2_fine_unclipped_ssim" in metrics) == (OPEN in stages[-1])
    needed = folder.state()["networks"].keys()
    assert ("prior" in needed) == (len(stages) == 3)
    # FineDiff only runs no bridge, and needs none.
    assert ("coarse" in needed) == (ALONE not in stages[-1])


def test_no_two_rows_train_the_same(chain):
    """Each setting reaches the weights: were one without effect, two rows would end alike."""
    ends: dict[str, torch.Tensor] = {}
    for row, stages in ROWS.items():
        here = flat(last_of(chain(stages), stages))
        for other, there in ends.items():
            assert here.shape != there.shape or not torch.equal(here, there), (row, other)
        ends[row] = here


def test_the_documentation_names_every_setting():
    words = PAGE.read_text(encoding="utf-8")
    for stages in ROWS.values():
        for _, *pairs in stages:
            assert all(pair in words for pair in pairs), pairs
    assert all(row.split(", ")[-1] in words for row in ROWS)


@pytest.mark.parametrize("name", ["preview", "paper"])
def test_the_presets_are_the_last_row(name):
    """L2, with DRRs, the prior steered by the ControlNet, no global encoder, no clamping."""
    config = preset(name, "controlnet")
    assert config.loss.edge == 0 and not config.loss.clamp and config.data.real is None
    assert config.model.fine_diff == "controlnet" and not config.model.global_encoder
    assert config.model.sampling.coarse_steps > 0
    assert config.model.sampling.fine_clamp == (0 if name == "paper" else 1.2)


def test_a_bridge_in_stage_two_asks_for_no_prior_and_trains_none():
    assert tiny("controlnet", pairs=(BBDM,)).needs == ("encoder", "coarse")
    assert tiny("sr", pairs=(BBDM,)).needs == ("encoder", "coarse", "controlnet")
    with pytest.raises(AxonInputError, match="'bridge': there is no prior. Train contr"):
        tiny("prior", pairs=(BBDM,))
    with pytest.raises(AxonInputError, match="fine_diff must be one of"):
        tiny("controlnet", pairs=("fine_diff=bbdm",))


@pytest.mark.parametrize("pairs", [(BBDM,), (GLOBAL,), (BBDM, GLOBAL)])
def test_from_training_to_a_bundle_that_reconstructs(chain, tmp_path, pairs):
    from axon_backend.inference.reconstruct import reconstruct

    prior = () if BBDM in pairs else (("prior",),)
    stages = (("coarse",), *prior, ("controlnet", *pairs), ("sr", *pairs))
    root = chain(stages)
    # Only stage 2's own run has to know what it is, whichever run is the newest.
    os.utime(RunFolder(root / "coarse").best)
    made = export_bundle(root, tmp_path / "bundle", name="mine")
    assert made.warnings == ()
    verify_bundle(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    assert ("prior" in bundle.networks) == ("prior_data_format" in bundle.metadata)
    assert ("prior" in bundle.networks) == (BBDM not in pairs)
    model = load_model(bundle)
    assert model.config.networks == tuple(made.origins)
    assert (model.fine_diff.controlnet.global_encoder is not None) == (GLOBAL in pairs)
    card = (tmp_path / "bundle" / "docs" / "README.md").read_text()
    assert ("second Brownian bridge" in card) == (BBDM in pairs)
    assert ("global embedding" in card) == (GLOBAL in pairs)
    drr = Path(axon_backend.__file__).parent / "demo_data" / "drr_lidc0306_pa.nrrd"
    result = reconstruct(drr, bundle=tmp_path / "bundle", device="cpu", register=False)
    assert result.volumes["fine"].shape == (16, 16, 16)
    assert result.volumes["sr"].shape == (32, 32, 32)
    assert all(np.isfinite(v).all() for v in result.volumes.values())


def test_weights_of_another_stage_two_are_told_from_the_configuration(chain, tmp_path):
    """A bundle whose configuration was changed by hand."""
    from axon_backend.bundle import seal_bundle

    stages = (("coarse",), ("controlnet", BBDM), ("sr", BBDM))
    export_bundle(chain(stages), tmp_path / "bundle")
    file = tmp_path / "bundle" / "configs" / "axon.json"
    values = json.loads(file.read_text())
    for change, words in (
        ({"global_encoder": True}, "'controlnet' of the bundle .* is not the one that its config"),
        ({"fine_diff": "magic"}, "configuration of the bundle .* is not known .*got 'magic'"),
    ):
        file.write_text(json.dumps({**values, **change}))
        seal_bundle(tmp_path / "bundle")
        with pytest.raises(AxonInputError, match=words):
            load_model(load_bundle(tmp_path / "bundle"))


def test_a_start_bundle_gives_what_it_has(chain, paired, tmp_path):
    """From a model of the paper's kind: a bridge in stage 2 begins at random, and a ControlNet
    that gets a global encoder begins as the bundle's."""
    whole = (("coarse",), ("prior",), ("controlnet",), ("sr",))
    start = export_bundle(chain(whole), tmp_path / "start", name="start").bundle
    wanted = {"model.fine_diff=bridge": "random initialisation", GLOBAL: "bundle start 0.1.0"}
    for number, (pair, origin) in enumerate(wanted.items()):
        config = tiny("controlnet", steps=1, pairs=(*ALWAYS, pair, "optimiser.lr=1e-9"))
        run = tmp_path / f"root{number}" / "controlnet"
        run_train(config, paired, run, device="cpu", start=start)
        folder = RunFolder(run)
        assert folder.state()["networks"]["controlnet"]["from"] == origin
        state = load_checkpoint(folder.last)["parts"]["controlnet"]
        given = start.state_dict("controlnet", torch.float32)
        if pair == GLOBAL:
            assert all(torch.allclose(state[k], v, atol=1e-5) for k, v in given.items())
            assert any(k.startswith("global_encoder.") for k in state.keys() - given.keys())


def test_a_run_from_before_these_settings_goes_on(chain, paired, tmp_path):
    root = shutil.copytree(chain((("coarse",),)), tmp_path / "runs")
    folder = RunFolder(root / "coarse")
    values = load_checkpoint(folder.last)
    for key in ("fine_diff", "global_encoder"):
        del values["config"]["model"][key]
    save_atomically(values, folder.last)
    run_train(tiny(steps=3, pairs=ALWAYS), paired, folder.path, device="cpu", resume=True)
    assert load_checkpoint(folder.last)["step"] == 3
    with pytest.raises(AxonInputError, match=r"started with model\.global_encoder = False"):
        run_train(
            tiny(steps=4, pairs=(*ALWAYS, GLOBAL)), paired, folder.path, device="cpu", resume=True
        )
