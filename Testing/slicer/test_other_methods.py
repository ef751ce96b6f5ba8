"""A method of somebody else's package in the Slicer modules, with no edit to AXON."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

TOY = Path(__file__).resolve().parents[1] / "methods"


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """The toy method, found by its entry point."""
    monkeypatch.syspath_prepend(str(TOY))
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(importlib.import_module("toy_package").install(site)))
    sys.modules.pop("toy_method", None)
    yield
    sys.modules.pop("toy_method", None)


@pytest.fixture
def add_model(tiny_bundle, monkeypatch, tmp_path):
    """add(model, name) -> the folder of its bundle in the library of models."""
    import torch

    from axon_backend.bundle import write_bundle
    from axon_backend.bundle.metadata import bundle_metadata
    from axon_backend.inference.model_loading import bundle_config
    from axon_backend.methods.formats import views_format

    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    atlas, size_mm = tiny_bundle.atlas()

    def add(model, name: str) -> Path:
        method, config = model.method, model.config
        folder = tmp_path / "home" / "bundles" / f"{name}-1.0"
        write_bundle(
            folder,
            config=bundle_config(method, config),
            metadata=bundle_metadata(
                name=name,
                version="1.0",
                description="For tests.",
                inputs=views_format(config.view_size),
                output_grid=config.output_grid,
                hu_window=(config.window.low, config.window.high),
                networks=method.network_formats(config),
            ),
            state_dicts={n: model.network(n).state_dict() for n in config.networks},
            atlas_hu=atlas,
            atlas_size_mm=size_mm,
            model_card=f"# {name}\n",
            licence_text="Apache-2.0\n",
            dtype=torch.float32,
        )
        return folder

    return add


@pytest.fixture
def bundle(installed, add_model) -> Path:
    """A bundle of the toy method in the library of models: offsets rise with the depth."""
    import torch

    from axon_backend.methods import registry

    toy = registry.load("toy")
    model = toy.build(toy.configure({}))
    depths = model.network("depths")
    depths.gain.data.fill_(0.5)
    depths.offset.data.copy_(torch.linspace(-0.5, 0.5, model.config.grid)[:, None])
    return add_model(model, "toys")


def reconstruct_section(axon):
    panel = axon[1].panel
    panel.container("reconstructSection").collapsed = False
    section = panel.sections["reconstructSection"]
    section.ui.moreSettings.collapsed = False
    section.bundlesChanged()
    return section


def choose(combo, text):
    index = combo.findText(text)
    assert index >= 0, [combo.itemText(i) for i in range(combo.count)]
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


def test_its_stages_are_those_of_the_panel(host, slicer, bundle, axon, phantom_xray_file):
    section = reconstruct_section(axon)
    ui, node = section.ui, section.parameterNode
    assert list(section.stages.rows)[0] != "spread"
    choose(ui.bundleCombo, "toys 1.0 (Toy method)")
    assert node.bundle == str(bundle)
    rows = section.stages.rows
    assert list(rows) == ["spread", "smooth"]
    assert [row.check.text for row in rows.values()] == ["Spreading", "Smoothing"]
    assert rows["spread"].steps is None and not rows["spread"].check.enabled
    spin = rows["smooth"].steps
    assert host.wait_until(lambda: spin.specialValueText == "model default (2)", 60)
    spin.value = 3
    node.device, node.registerAutomatically = "cpu", False
    node.frontal = section.logic.loadRadiograph(phantom_xray_file, view="pa")
    host.click(ui.reconstructButton)
    assert host.wait_until(lambda: section.state == "idle", 60)
    record = json.loads(node.record)
    assert record["method"] == "toy"
    assert [(s["name"], s["steps_run"]) for s in record["stages"]] == [("spread", 1), ("smooth", 3)]
    assert all(row.state.text.startswith("done in") for row in rows.values())
    assert list(node.volumes) == ["spread", "smooth"]
    stageCombo = section.panel.sections["compareSection"].ui.stageCombo
    assert [stageCombo.itemText(i) for i in range(2)] == ["Spreading", "Smoothing"]
    ui.bundleCombo.setCurrentIndex(0)
    ui.bundleCombo.activated.emit(0)
    assert "spread" not in section.stages.rows


def test_the_logic_runs_it(slicer, bundle, axon, phantom_xray_file):
    from axon_backend.inference.reconstruct import reconstruct

    logic = axon[1].panel.logic
    xray = logic.loadRadiograph(phantom_xray_file, view="pa")
    settings = {"bundle": str(bundle), "register": False, "device": "cpu", "steps": {"smooth": 1}}
    found = logic.reconstruct(xray, **settings)
    direct = reconstruct(phantom_xray_file, frontal_view="pa", **settings)
    assert list(found.volumes) == ["spread", "smooth"]
    for stage, node in found.volumes.items():
        assert np.array_equal(slicer.util.arrayFromVolume(node), direct.volumes[stage])


SMALL = {
    "nearest_patient": {"grid": 16, "view_size": 32, "match_size": 8, "patients": 1},
    "repeat_concatenate": {"grid": 16, "view_size": 32, "channels": [8, 8]},
    "x2ct": {
        "grid": 16, "view_size": 32, "stem": 8, "layers": [1, 1], "growth": 4,
        "decoder": [8, 8, 4], "blocks": [1, 1], "fused_blocks": [1, 1, 0],
    },
    "diffux2ct": {
        "size": 16,
        "tri_plane": {
            "view_size": 32, "size": 16, "channels": [8, 8], "planes": 4, "rank": 4,
            "axial": [8, 8],
        },
        "decoder": {"features": 4, "hidden": 8, "frequencies": 2},
        "denoiser": {
            "channels": [8, 16], "windows": [0, 2], "patch": 2, "groups": 4, "head_channels": 8,
        },
        "sampling": {"steps": 3},
    },
    "global_vector_ldm": {
        "size": 16,
        "autoencoder": {"channels": [8, 8], "groups": 4},
        "view_encoder": {"view_size": 32, "channels": [8, 8], "width": 16},
        "denoiser": {
            "channels": [8, 16], "attention": [False, True], "groups": 4, "head_channels": 8,
        },
        "sampling": {"steps": 2},
    },
}  # fmt: skip


def test_the_compared_methods_run_in_the_panel(host, add_model, axon, phantom_xray_file):
    import torch

    from axon_backend.methods import registry

    for name, settings in SMALL.items():
        method = registry.load(name)
        model = method.build(method.configure(settings))
        if name == "nearest_patient":
            model.library.add(torch.rand(2, 32, 32), torch.rand(16, 16, 16))
        add_model(model, name)
    section = reconstruct_section(axon)
    node = section.parameterNode
    node.device, node.registerAutomatically = "cpu", False
    node.frontal = section.logic.loadRadiograph(phantom_xray_file, view="pa")
    for name in SMALL:
        info = registry.info(name)
        choose(section.ui.bundleCombo, f"{name} 1.0 ({info.label})")
        rows = section.stages.rows
        assert [row.check.text for row in rows.values()] == [s.label for s in info.stages]
        sampled = SMALL[name].get("sampling", {}).get("steps")
        for row in rows.values():
            if sampled is None:
                assert row.steps is None
                continue
            own = f"model default ({sampled})"
            assert host.wait_until(lambda row=row, own=own: row.steps.specialValueText == own, 60)
        host.click(section.ui.reconstructButton)
        assert host.wait_until(lambda: section.state == "idle", 60)
        record = json.loads(node.record)
        assert record["method"] == name and record["bundle"]["name"] == name
        assert [stage["steps_run"] for stage in record["stages"]] == [sampled or 1]
        assert list(node.volumes) == list(info.stage_names)


def test_without_its_package_the_model_is_listed_and_cannot_be_run(
    bundle, axon, phantom_xray_file, monkeypatch
):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not p.endswith("site")])
    importlib.invalidate_caches()
    section = reconstruct_section(axon)
    section.parameterNode.frontal = section.logic.loadRadiograph(phantom_xray_file, view="pa")
    choose(section.ui.bundleCombo, "toys 1.0 (toy, not installed)")
    assert not section.ui.reconstructButton.enabled
    assert "There is no method 'toy'" in section.ui.planLabel.text
    assert not section.stages.rows


def test_the_trainings_of_every_built_in_method_are_offered(host):
    from axon_backend.methods import registry

    module = Path(__file__).resolve().parents[2] / "AXONTraining" / "AXONTraining.py"
    widget = host.load_module(module)[1]
    try:
        ui = widget.ui
        for name in registry.BUILT_IN:
            info = registry.info(name)
            choose(ui.methodCombo, info.label)
            offered = [ui.stageCombo.itemText(i) for i in range(ui.stageCombo.count)]
            assert offered == [training.label for training in info.trainings]
            presets = [ui.presetCombo.itemData(i) for i in range(ui.presetCombo.count)]
            assert presets == list(info.presets)
            labels = {ui.presetCombo.itemText(i) for i in range(ui.presetCombo.count)}
            assert len(labels) == len(presets) and labels.isdisjoint(presets)
    finally:
        host.unload_module(module.stem)


def test_its_trainings_are_offered(host, installed):
    from axon_backend.methods import registry

    module = Path(__file__).resolve().parents[2] / "AXONTraining" / "AXONTraining.py"
    widget = host.load_module(module)[1]
    try:
        ui = widget.ui
        first = ui.stageCombo.count
        labels = [ui.methodCombo.itemText(i) for i in range(ui.methodCombo.count)]
        assert labels == [info.label for info in registry.available().values()]
        choose(ui.methodCombo, "Toy method")
        assert widget.panel.parameterNode.method == "toy"
        assert ui.stageCombo.count == 1 != first and ui.stageCombo.currentText == "Depths"
        assert ui.stageNote.text == "Gains and offsets. Needs nothing before it."
        chosen = widget.panel.boxes["settings"].chosen()
        assert chosen == {"method": "toy", "stage": "depths", "preset": "small"}
    finally:
        host.unload_module(module.stem)
