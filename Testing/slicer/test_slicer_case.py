"""The end-to-end script for Slicer, run in the test host."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "slicer_case.py"
SCREENSHOTS = SCRIPT.with_name("slicer_screenshots.py")


def loaded(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def case(axon):
    return loaded(SCRIPT)


@pytest.mark.slow
def test_the_case_passes(case, capsys):
    assert case.main() == case.DONE, capsys.readouterr()
    assert "the case is right" in capsys.readouterr().out


def test_it_is_skipped_where_packages_are_missing(host, case, capsys):
    with host.without("monai"):
        assert case.main() == case.SKIPPED
    assert "monai" in capsys.readouterr().out


def test_failures_are_reported(case, monkeypatch, capsys):
    from AXONReconstructionLib.console import sample_data

    def load(name):
        raise RuntimeError("the sample file is damaged")

    monkeypatch.setattr(sample_data, "load", load)
    assert case.main() == case.WRONG
    assert "the sample file is damaged" in capsys.readouterr().err


def test_the_script_of_the_screenshots_uses_widgets_of_the_panel(axon):
    """It runs in Slicer only, where a widget that is gone would be noticed late."""
    import re

    text = SCREENSHOTS.read_text("utf-8")
    names = set(re.findall(r"\bui\.(\w+)", text))
    assert len(names) > 10 and all(hasattr(axon[1].panel.ui, name) for name in names)
    assert set(re.findall(r'open\("(\w+)"\)', text)) <= set(axon[1].panel.sections)


@pytest.mark.slow
def test_the_script_of_the_screenshots_makes_them_all(
    host, axon, slicer, tiny_bundle, phantom_ct_file, tmp_path, monkeypatch, capsys
):
    """With small networks and a phantom instead of the patient."""
    from AXONReconstructionLib.console import sample_data

    training = host.load_module(SCRIPT.parents[1] / "AXONTraining" / "AXONTraining.py", enter=False)
    tiny = loaded(SCRIPT.parent / "training" / "training_tiny.py")
    node, logic = axon[1].panel.parameterNode, axon[1].logic
    node.bundle, node.device = str(tiny_bundle.path), "cpu"
    training[1].panel.initializeParameterNode()
    training[1].panel.parameterNode.device = "cpu"
    ct = logic.loadCT(phantom_ct_file)
    xrays = [logic.renderDRR(ct, view) for view in ("pa", "ll")]
    monkeypatch.setattr(sample_data, "load", lambda name: (ct, *xrays))
    # The host's views are drawn on request.
    monkeypatch.setattr(slicer.util, "forceRenderAllViews", lambda: None)
    script = loaded(SCREENSHOTS)
    script.TRAINING += tiny.setting_lines()
    folder = tmp_path / "images"
    assert script.main(folder) == script.DONE, capsys.readouterr()
    host.unload_module("AXONTraining")
    names = {path.name for path in folder.iterdir()}
    documented = SCRIPT.parents[1] / "Resources" / "Screenshots"
    assert names == {path.name for path in documented.glob("slicer_*")} | {"slicer_samples.png"}


def test_the_script_of_the_screenshots_waits_for_computations(axon, slicer, tmp_path):
    tutorial = loaded(SCREENSHOTS).Tutorial(tmp_path)
    ended = []
    tutorial.panel.logic.tasks.run(lambda job: 7, onFinished=ended.append)
    tutorial.settle()
    assert ended == [7]
