"""The Batch section: a folder of studies, with a table of results."""

import shutil

import pytest
from PIL import Image


@pytest.fixture
def panel(axon):
    made = axon[1].panel
    made.container("batchSection").collapsed = False
    return made


@pytest.fixture
def ui(panel, tiny_bundle, phantom_xray_file, tmp_path):
    """Two studies, of which one is no X-ray, and the tiny model's first stage."""
    for name in ("anna", "bert"):
        (tmp_path / "in" / name).mkdir(parents=True)
    shutil.copy(phantom_xray_file, tmp_path / "in" / "anna" / "pa.png")
    Image.new("L", (40, 40), 7).save(tmp_path / "in" / "bert" / "x.png")
    node = panel.parameterNode
    node.bundle, node.device = str(tiny_bundle.path), "cpu"
    node.skippedStages, node.steps = ["fine", "sr"], {"coarse": 1}
    assert not panel.ui.batchButton.enabled
    panel.ui.batchSourceEdit.currentPath = str(tmp_path / "in")
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    return panel.ui


def cells(table):
    return [
        [table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)
    ]


def test_studies_are_reconstructed_while_another_scene_is_open(host, slicer, panel, ui, tmp_path):
    host.click(ui.batchButton)
    assert ui.batchButton.text == "Cancel batch" and not panel.isBusy
    host.close_scene()  # the batch goes on
    assert host.wait_until(lambda: "studies reconstructed" in ui.batchState.text, 240)
    (anna, bert) = cells(ui.batchTable)
    assert anna[:2] == ["anna", "1"] and bert[2] == "failed"
    assert (tmp_path / "out" / "results.csv").is_file()
    if anna[2] == "done":  # the tiny model's atlas may be too unlike the phantom
        panel.sections["batchSection"].onLoad(0)
        assert slicer.util.getNode("AXON anna").GetImageData() is not None
    panel.sections["batchSection"].onLoad(1)
    assert panel.ui.messageLabel.text


def test_a_folder_without_studies_is_reported(host, panel, ui, tmp_path):
    (tmp_path / "empty").mkdir()
    ui.batchSourceEdit.currentPath = str(tmp_path / "empty")
    host.click(ui.batchButton)
    assert host.wait_until(lambda: panel.ui.messageFrame.visible, 60)
    assert "holds no X-ray and no CT" in panel.ui.messageLabel.text
    assert ui.batchButton.enabled and ui.batchButton.text == "Start batch"
