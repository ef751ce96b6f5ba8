"""The Batch section: a folder of studies, with a table of results."""

import json
import shutil
import sys

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
    Image.new("L", (40, 40), 7).save(tmp_path / "in" / "bert" / "pa.png")
    node = panel.parameterNode
    node.bundle, node.device, node.registerAutomatically = str(tiny_bundle.path), "cpu", False
    node.skippedStages = ["fine", "sr"]
    assert not panel.ui.batchButton.enabled
    panel.ui.batchSourceEdit.currentPath = str(tmp_path / "in")
    panel.ui.batchOutputEdit.currentPath = str(tmp_path / "out")
    return panel.ui


def cells(table):
    return [
        [table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)
    ]


@pytest.mark.slow
def test_studies_are_reconstructed_while_another_scene_is_open(host, slicer, panel, ui, tmp_path):
    host.click(ui.batchButton)
    assert ui.batchButton.text == "Stop batch" and not panel.isBusy
    host.close_scene()  # the batch goes on
    assert host.wait_until(lambda: "studies reconstructed" in ui.batchState.text, 240)
    assert ui.batchState.text.startswith("1 of 2 ") and "index.html" in ui.batchState.text
    (anna, bert) = cells(ui.batchTable)
    assert anna[:3] == ["anna", "done", "1"] and float(anna[5]) <= 1
    assert bert[:2] == ["bert", "refused"] and ui.batchTable.item(1, 0).toolTip()
    section = panel.sections["batchSection"]
    section.onLoad(0)
    assert slicer.util.getNode("AXON anna").GetImageData() is not None
    section.onLoad(1)
    assert panel.ui.messageLabel.text == ui.batchTable.item(1, 0).toolTip()


def test_the_settings_of_step_3_are_those_of_the_command_line(panel, ui, tiny_bundle, tmp_path):
    from axon_backend.cli.main import parser

    node = panel.parameterNode
    node.seed, node.samples = 4, 2
    words = panel.sections["batchSection"]._arguments()
    chosen = parser().parse_args(words)
    assert (chosen.run, chosen.source) == ("cohort_reconstruct", str(tmp_path / "in"))
    assert (chosen.stages, chosen.seed, chosen.samples) == ("coarse", 4, 2)
    assert chosen.no_register and chosen.bundle == str(tiny_bundle.path)
    node.skippedStages, node.bundle = [], ""  # the shipped model, which recommends its first stage
    assert stages_of(panel) == "coarse"
    node.addedStages = ["fine", "sr"]
    assert stages_of(panel) == "coarse,fine,sr"


def stages_of(panel):
    from axon_backend.cli.main import parser

    return parser().parse_args(panel.sections["batchSection"]._arguments()).stages


def test_failures_are_reported_and_a_batch_is_stopped(host, panel, ui, tmp_path, monkeypatch):
    """With processes that end as those of the command line do."""
    import subprocess

    from AXONReconstructionLib.jobs import processes

    def launch(arguments, backendFolder, log, *, survive=False):
        with open(log, "wb") as output:
            return subprocess.Popen([sys.executable, "-c", code], stdout=output)

    monkeypatch.setattr(processes, "launch", launch)
    code = "print('axon: x holds no X-ray.'); raise SystemExit(2)"
    host.click(ui.batchButton)
    assert host.wait_until(lambda: panel.ui.messageFrame.visible, 60)
    assert (
        panel.ui.messageLabel.text == "x holds no X-ray." and ui.batchButton.text == "Start batch"
    )
    code = "import time; time.sleep(60)"
    host.click(ui.batchButton)
    case = tmp_path / "out" / "cases" / "anna"
    case.mkdir(parents=True)
    record = {"status": "done", "views": 2, "metrics": {"psnr": 20.25, "ssim3d_gauss11": 0.5}}
    (case / "case.json").write_text(json.dumps(record | {"reprojection": {"frontal": 0.875}}))
    assert host.wait_until(lambda: ui.batchTable.rowCount == 1, 60)
    assert cells(ui.batchTable) == [["anna", "done", "2", "20.2", "0.500", "0.88"]]
    host.click(ui.batchButton)
    assert host.wait_until(lambda: ui.batchState.text.startswith("Stopped"), 60)
