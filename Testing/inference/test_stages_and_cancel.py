"""Stages are handed over as they finish, and a cancel keeps them."""

import json
import shutil

import numpy as np
import pytest

from axon_backend.bundle import seal_bundle
from axon_backend.errors import Cancelled
from axon_backend.inference.reconstruct import Reconstruction, reconstruct
from axon_backend.methods.axon import INFO
from axon_backend.networks.srnet import SRNet
from axon_backend.networks.unet import DiffusionUNet
from axon_backend.util.run_context import RunContext

STAGES = INFO.stage_names
STEPS = {"coarse": 3, "fine": 4}


@pytest.fixture
def run(bundle, phantom_ct):
    """``reconstruct`` on the phantom's own DRR."""

    def call(**more) -> Reconstruction:
        return reconstruct(None, ct=phantom_ct, bundle=bundle, steps=STEPS, seed=2, **more)

    return call


@pytest.fixture(scope="module")
def whole(bundle, phantom_ct) -> Reconstruction:
    return reconstruct(None, ct=phantom_ct, bundle=bundle, steps=STEPS, seed=2)


def test_the_call_returns_what_the_model_returns(whole, bundle):
    """The networks' volumes, in HU and nothing else done to them."""
    from axon_backend.inference.case import PlacedCase, network_views
    from axon_backend.inference.case_files import CaseInputs
    from axon_backend.inference.model_loading import load_model

    placed = PlacedCase(CaseInputs({}, None), whole.views, whole.frame)
    model = load_model(bundle)
    context = RunContext(seed=2)
    out = model.reconstruct(network_views(placed), steps=STEPS, context=context).volumes
    for stage in STAGES:
        hu = model.config.window.to_hu(out[stage][0, 0]).numpy()
        assert np.array_equal(whole.volumes[stage], hu)
    assert (whole.record["pose"], whole.cancelled) == (None, None)


def test_the_record_tells_how_often_the_steps_were_run(bundle, phantom_ct, tmp_path):
    """Four shifts and two draws: progress counts every step, ``result.json`` says why."""
    path = tmp_path / "bundle"
    shutil.copytree(bundle.path, path)
    config = json.loads((path / "configs" / "axon.json").read_text())
    config["sampling"] |= {"tta_shifts": 4, "fine_draws": 2, "fine_steps": 4}
    (path / "configs" / "axon.json").write_text(json.dumps(config))
    seal_bundle(path)
    told = {}
    result = reconstruct(
        None,
        ct=phantom_ct,
        bundle=path,
        steps={"coarse": 1, "fine": 4},
        progress=lambda stage, step, total, preview: told.update({stage: (step, total)}),
    )
    assert [told[stage] for stage in STAGES] == [(4, 4), (8, 8), (1, 1)]
    stages = result.record["stages"]
    assert [(s["steps"], s["steps_run"]) for s in stages] == [(1, 4), (4, 8), (1, 1)]


def test_each_stage_is_handed_over_when_it_is_done(run, whole):
    events = []
    result = run(
        stage_done=lambda stage, hu, frame: events.append((stage, hu, frame)),
        progress=lambda stage, step, total, preview: events.append((stage, step)),
    )
    done = [e for e in events if len(e) == 3]
    assert [stage for stage, _, _ in done] == list(STAGES)
    for stage, hu, frame in done:
        assert np.array_equal(hu, whole.volumes[stage]) and hu.dtype == np.float32
        assert hu is result.volumes[stage] and frame == whole.frame
    names = [(e[0], len(e)) for e in events if e[0] in STAGES]
    assert names == [
        *[("coarse", 2)] * 3, ("coarse", 3), *[("fine", 2)] * 4, ("fine", 3), ("sr", 2), ("sr", 3),
    ]  # fmt: skip


def test_samples_are_single_runs_and_handed_over_as_their_mean(run, bundle, phantom_ct, whole):
    handed = {}
    result = run(samples=2, stage_done=lambda stage, hu, frame: handed.update({stage: hu}))
    second = reconstruct(None, ct=phantom_ct, bundle=bundle, steps=STEPS, seed=3)
    for stage in STAGES:
        pair = np.stack([whole.volumes[stage], second.volumes[stage]])
        assert result.volumes[stage] == pytest.approx(pair.mean(0), abs=1e-3)
        assert result.deviation[stage] == pytest.approx(pair.std(0, ddof=1), abs=1e-3)
        assert np.array_equal(handed[stage], result.volumes[stage])


@pytest.mark.parametrize(
    ("where", "step", "kept"),
    [
        ("coarse", 2, ()),
        ("fine", 1, ("coarse",)),
        ("fine", 4, ("coarse", "fine")),  # asked for when the stage was over
        ("sr", 1, ("coarse", "fine")),
    ],
)
def test_a_cancel_keeps_the_finished_stages(run, whole, monkeypatch, where, step, kept):
    calls, wish = [], []
    forward, slices = DiffusionUNet.forward, SRNet._slices

    def counted(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs)

    def in_sr(self, x):
        if where == "sr":  # its one step is told of only when it is over
            wish.append(True)
        return slices(self, x)

    def progress(stage, done, total, preview):
        if (stage, done) == (where, step):
            wish.append(True)

    monkeypatch.setattr(DiffusionUNet, "forward", counted)
    monkeypatch.setattr(SRNet, "_slices", in_sr)
    if not kept:
        with pytest.raises(Cancelled):
            run(progress=progress, cancelled=lambda: bool(wish))
    else:
        finished = run(progress=progress, cancelled=lambda: bool(wish))
    # Not one more call of a network than was done when the user asked.
    assert len(calls) == {"coarse": 0, "fine": 3, "sr": 7}[where] + (step if where != "sr" else 0)
    if not kept:
        return
    assert tuple(finished.volumes) == tuple(finished.truth) == kept
    for stage in kept:
        assert np.array_equal(finished.volumes[stage], whole.volumes[stage])
        assert finished.record["metrics"][stage] == whole.record["metrics"][stage]
    assert finished.cancelled == finished.record["cancelled"] == STAGES[len(kept)]
    assert [s["name"] for s in finished.record["stages"]] == list(kept)
    assert finished.final_stage == kept[-1]
    assert finished.record["reprojection"]["frontal"] == pytest.approx(0, abs=1)
    assert set(finished.record) == set(whole.record)


def test_a_cancel_in_the_hand_over_keeps_that_stage(run):
    wish = []
    finished = run(stage_done=lambda *_: wish.append(True), cancelled=lambda: bool(wish))
    assert tuple(finished.volumes) == ("coarse",)
    assert finished.cancelled == "fine"


def test_a_cancel_while_reading_keeps_nothing(run):
    with pytest.raises(Cancelled):
        run(cancelled=lambda: True)


def test_steps_down_the_ladder_stand_in_the_record(run, whole, gpu_ladder, runs_out):
    runs_out("sr", lambda call, module, slab: slab is None)
    told = []
    result = run(progress=lambda stage, *_: told.append(stage))
    assert np.array_equal(result.volumes["fine"], whole.volumes["fine"])
    assert np.abs(result.volumes["sr"] - whole.volumes["sr"]).max() < 1e-2  # HU
    assert len(result.record["warnings"]) == 2
    assert [t for t in told if "ran out of memory" in t] == result.record["warnings"]
    assert "in slabs" in result.record["warnings"][1]


def test_the_drr_of_a_ct_that_the_gpu_cannot_hold_is_made_on_the_cpu(phantom_ct, monkeypatch):
    import torch

    from axon_backend.imaging.frame import find_thorax_frame
    from axon_backend.imaging.view import View
    from axon_backend.inference import case

    devices = []

    def full(*args, device):
        devices.append(device.type)
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.ones(4, 4)

    monkeypatch.setattr(case, "render_drr", full)
    warnings: list[str] = []
    frame = find_thorax_frame(phantom_ct)
    case._drr(phantom_ct, frame, View.pa, None, torch.device("cuda"), warnings)
    assert devices == ["cuda", "cpu"] and "ran out of memory" in warnings[0]


def test_stages_may_be_text_and_steps_must_be_by_stage(run, whole):
    found = run(stages="coarse")
    assert np.array_equal(found.volumes["coarse"], whole.volumes["coarse"])
    with pytest.raises(TypeError, match="counts by stage"):
        reconstruct(None, steps=5)
