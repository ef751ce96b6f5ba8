"""The Compare section: layers, colours, metrics, X-ray check, scene events."""

import json

import numpy as np
import pytest


@pytest.fixture
def ui(compared):
    return compared.ui


@pytest.fixture
def node(compared):
    return compared.node


def choose(host, combo, value):
    index = combo.findData(value)
    assert index >= 0, value
    combo.setCurrentIndex(index)
    combo.activated.emit(index)
    host.process_events(0.02)


def rendering(slicer, volume):
    logic = slicer.modules.volumerendering.logic()
    return logic.GetFirstVolumeRenderingDisplayNode(volume)


def composite(slicer, tag):
    return slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")


def test_without_a_result_a_hint_is_shown(axon):
    panel = axon[1].panel
    panel.container("compareSection").collapsed = False
    ui = panel.sections["compareSection"].ui
    assert ui.nothingLabel.visible and not ui.compareBox.visible


def test_the_slider_fades_to_the_ground_truth(host, slicer, ui, node):
    host.click(ui.showButton)
    ui.fadeSlider.value = 40
    for tag in ("Red", "Green", "Yellow"):
        found = composite(slicer, tag)
        assert found.GetLinkedControl() and found.GetHotLinkedControl()
        assert found.GetForegroundVolumeID() == node.truthVolume.GetID()
        assert found.GetForegroundOpacity() == pytest.approx(0.4)
    windows = {
        (d.GetWindow(), d.GetLevel())
        for d in (v.GetScalarVolumeDisplayNode() for v in (node.volumes["sr"], node.truthVolume))
    }
    assert len(windows) == 1


def test_the_fade_is_reset_when_the_content_changes(host, slicer, ui, node):
    host.click(ui.showButton)
    ui.fadeSlider.value = 40
    choose(host, ui.viewsCombo, "slices")
    assert ui.fadeSlider.value == 0 and composite(slicer, "Red").GetForegroundOpacity() == 0
    ui.fadeSlider.value = 40
    choose(host, ui.slicesCombo, "difference")
    choose(host, ui.slicesCombo, "reconstruction")
    assert ui.fadeSlider.value == 0 and composite(slicer, "Red").GetForegroundOpacity() == 0


def test_the_difference_is_white_at_zero_and_symmetric(host, slicer, ui, node):
    host.click(ui.showButton)
    choose(host, ui.slicesCombo, "difference")
    display = node.differenceVolume.GetScalarVolumeDisplayNode()
    assert display.GetLevel() == 0 and display.GetWindow() == 1000
    table = display.GetColorNode()
    low, middle, high = ([0.0] * 4 for _ in range(3))
    for index, colour in ((0, low), (127, middle), (254, high)):
        table.GetColor(index, colour)
    assert min(middle[:3]) > 0.95
    assert low[2] > 2 * low[0] and high[0] > 2 * high[2]
    assert "Blue: less dense than the CT" in ui.legendLabel.text and not ui.fadeSlider.visible
    assert composite(slicer, "Red").GetBackgroundVolumeID() == node.differenceVolume.GetID()


def test_the_standard_deviation_is_shown_with_its_range(host, slicer, ui, node):
    host.click(ui.showButton)
    choose(host, ui.slicesCombo, "deviation")
    assert "brightest at 50 HU" in ui.legendLabel.text  # |-1000| / 20
    display = node.deviationVolume.GetScalarVolumeDisplayNode()
    assert display.GetLevel() - display.GetWindow() / 2 == pytest.approx(0)


def test_the_metrics_table_shows_all_stages_and_the_atlas(ui, node):
    table = ui.metricsTable

    def cells(row):
        return [table.item(row, c).text() for c in range(table.columnCount)]

    titles = [table.horizontalHeaderItem(c).text() for c in range(3)]
    assert titles == ["CoarseDiff", "SR-Net", "Atlas"]
    assert cells(0) == ["190", "95", "380"]  # 0.1, 0.05 and 0.2 of a window of 1900 HU
    assert cells(1) == ["0.0200", "0.0300", "0.0400"]
    assert cells(2) == ["17.0", "15.2", "14.0"] and cells(3) == ["0.500", "0.750", "0.800"]
    bold = [[c for c in range(3) if table.item(r, c).font().bold()] for r in range(4)]
    assert bold == [[1], [0], [0], [2]]  # the atlas may be best
    assert ui.metricsBox.visible


def test_a_metric_of_a_plugin_has_a_row(ui, node, compared, monkeypatch):
    from axon_backend.metrics import Metric, registry

    toy = Metric("toy", "Toy score", "a toy", lambda pair, region: 0.0, "higher", "mm", digits=1)
    registry.registered_metrics()
    monkeypatch.setitem(registry._METRICS, "toy", toy)
    record = json.loads(node.record)
    for stage, value in (("coarse", 3.25), ("sr", 7.0)):
        record["metrics"][stage]["toy"] = value
    node.record = json.dumps(record)
    table = ui.metricsTable
    assert table.rowCount == 5 and table.verticalHeaderItem(4).text() == "Toy score (mm)"
    assert [table.item(4, c).text() for c in range(3)] == ["3.2", "7.0", ""]
    assert table.item(4, 1).font().bold() and table.item(4, 1).toolTip() == "a toy"


def test_the_check_of_the_ground_truth_with_itself_is_perfect(host, slicer, ui, node, compared):
    """The frontal view is a DRR of the CT, so using the CT as the result gives full agreement."""
    node.volumes = {**node.volumes, "sr": node.truthVolume}
    host.click(ui.showButton)
    choose(host, ui.slicesCombo, "xray")
    assert host.wait_until(lambda: "frontal 1.00" in ui.legendLabel.text, 30)
    green = composite(slicer, "Green")
    under = slicer.mrmlScene.GetNodeByID(green.GetBackgroundVolumeID())
    over = slicer.mrmlScene.GetNodeByID(green.GetForegroundVolumeID())
    assert under.GetAttribute("AXON.Check") == "xray frontal"
    assert over.GetAttribute("AXON.Check") == "drr frontal"
    images = [slicer.util.arrayFromVolume(v)[0] for v in (under, over)]
    assert np.allclose(*images)
    ui.fadeSlider.value = 70
    assert green.GetForegroundOpacity() == pytest.approx(0.7)
    # Repeating it creates no new nodes.
    count = len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"))
    choose(host, ui.slicesCombo, "reconstruction")
    choose(host, ui.slicesCombo, "xray")
    assert host.wait_until(lambda: not compared.panel.logic.busy, 30)
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == count


def test_the_check_uses_the_recorded_placement(host, slicer, ui, node, compared):
    """The X-ray is a DRR of the ground truth inside a larger image; the record has its position."""
    from axon_backend.imaging.radiograph import Radiograph
    from axon_backend.imaging.view import View
    from axon_backend.physics.attenuation import AttenuationVolume
    from axon_backend.physics.drr import render_drr
    from axon_backend.physics.geometry import AcquisitionGeometry
    from AXONReconstructionLib.scene import nodes

    beam = AcquisitionGeometry.of_frame(compared.frame, View.pa)
    volume = AttenuationVolume.in_frame(compared.hu, compared.frame)
    small = render_drr(volume, beam, 300).numpy()
    large = np.zeros((400, 420), np.float32)
    large[60:360, 80:380] = small
    xray = Radiograph(large, (1.0, 1.0), View.pa, "test", ())
    node.frontal = nodes.radiographNode(xray, "xray")
    record = json.loads(node.record)
    matrix = [[300.0, 0.0, 79.5], [0.0, 300.0, 59.5], [0.0, 0.0, 1.0]]
    record["registration"] = [
        {"role": "frontal", "view": "pa", "verdict": "good", "matrix": matrix}
    ]
    node.record = json.dumps(record)
    node.volumes = {**node.volumes, "sr": node.truthVolume}
    host.click(ui.showButton)
    choose(host, ui.slicesCombo, "xray")
    assert host.wait_until(lambda: "frontal 1.00" in ui.legendLabel.text, 30), ui.legendLabel.text


def test_a_new_run_starts_with_the_reconstruction(host, ui, node):
    host.click(ui.showButton)
    choose(host, ui.slicesCombo, "difference")
    node.record = json.dumps(json.loads(node.record) | {"seed": 1})
    assert ui.slicesCombo.itemData(ui.slicesCombo.currentIndex) == "reconstruction"
    assert ui.fadeSlider.value == 0 and not ui.legendLabel.visible


def test_the_scene_closes(host, ui, node, compared):
    host.click(ui.showButton)
    host.close_scene()
    assert ui.nothingLabel.visible and not ui.compareBox.visible
    assert not compared.panel.sections["compareSection"].result.volumes


def test_a_saved_scene_is_restored(host, slicer, ui, node, compared, tmp_path):
    host.click(ui.showButton)
    choose(host, ui.presetCombo, "lung")
    host.save_scene(tmp_path / "case.mrb")
    host.close_scene()
    host.load_scene(tmp_path / "case.mrb")
    again = compared.panel.parameterNode
    assert again.preset == "lung" and again.volumes["sr"] is not None
    assert ui.compareBox.visible and ui.metricsTable.item(0, 0).text() == "190"
    host.click(ui.showButton)
    display = rendering(slicer, again.volumes["sr"])
    assert display.GetVisibility() and display.GetNumberOfViewNodeIDs() == 1
    presets = [
        n
        for n in slicer.util.getNodesByClass("vtkMRMLVolumePropertyNode")
        if n.GetAttribute("AXON.Look") is not None
    ]
    assert len(presets) == 1


def test_every_widget_has_a_tooltip(ui, node):
    for name, widget in vars(ui).items():
        if hasattr(widget, "toolTip") and not name.startswith("qt_") and name != "Compare":
            assert widget.toolTip, name


def test_nothing_is_wider_than_the_panel(host, ui, node, compared, tmp_path):
    host.click(ui.showButton)
    host.screenshot(compared.panel.widget, tmp_path / "compared.panel.png")
    assert compared.panel.widget.minimumSizeHint.width() <= 400


def test_a_stage_deleted_during_its_check_is_not_shown(host, slicer, ui, node, compared):
    host.click(ui.showButton)
    combo = ui.slicesCombo
    combo.setCurrentIndex(combo.findData("xray"))
    combo.activated.emit(combo.currentIndex)
    slicer.mrmlScene.RemoveNode(node.volumes["sr"])
    assert host.wait_until(lambda: not compared.panel.logic.busy, 30)
    host.process_events(0.1)
    assert ui.stageCombo.count == 1 and not host.slot_errors
    assert not ui.legendLabel.text.startswith("Agreement")
