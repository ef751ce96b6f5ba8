"""Results of a scene: every run is kept, and any two are shown side by side."""

import json

import numpy as np
import pytest


@pytest.fixture
def section(panel):
    for name in ("reconstructSection", "compareSection"):
        panel.container(name).collapsed = False
    return panel.sections["reconstructSection"]


@pytest.fixture
def ui(panel, section):
    return panel.ui


def run(host, section, **settings):
    for name, value in settings.items():
        setattr(section.parameterNode, name, value)
    host.click(section.ui.reconstructButton)
    assert host.wait_until(lambda: section.state == "idle", 240)


def choose(host, combo, index):
    combo.setCurrentIndex(index)
    combo.activated.emit(index)
    host.process_events(0.05)


def texts(combo):
    return [combo.itemText(index) for index in range(combo.count)]


def composite(slicer, tag):
    node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
    return slicer.mrmlScene.GetNodeByID(node.GetBackgroundVolumeID() or "")


def test_two_runs_side_by_side(host, slicer, case, section, ui, panel, tmp_path):
    run(host, section, seed=0)
    first = {stage: slicer.util.arrayFromVolume(n).copy() for stage, n in case.volumes.items()}
    kept, truth = dict(case.volumes), case.truthVolume
    assert texts(ui.otherCombo) == ["CT"]
    run(host, section, seed=1)
    names = [f"1 view, seed {seed}, axon-tiny 0.0.1" for seed in (0, 1)]
    assert texts(ui.resultCombo) == names and ui.resultCombo.currentIndex == 1
    assert texts(ui.otherCombo) == ["CT", names[0]]
    # A name is whole where the panel is too narrow for it.
    assert ui.resultCombo.toolTip.startswith(names[1]) and ui.otherCombo.toolTip.startswith("CT")
    assert ui.resultCombo.view().minimumWidth >= ui.resultCombo.view().sizeHintForColumn(0) > 0
    for stage, hu in first.items():
        assert np.array_equal(slicer.util.arrayFromVolume(kept[stage]), hu)
    assert case.truthVolume is truth  # the CT is the same, so it is there once

    choose(host, ui.otherCombo, 1)
    assert case.comparedResult.GetName() == names[0]
    choose(host, ui.viewsCombo, 1)
    assert composite(slicer, "Red") is case.volumes["sr"]
    assert composite(slicer, "AXONRed") is kept["sr"]
    choose(host, ui.slicesCombo, ui.slicesCombo.findData("difference"))
    assert host.wait_until(lambda: ui.metricsTable.item(0, 2).text() != "", 30)
    shown = composite(slicer, "Green")
    expected = slicer.util.arrayFromVolume(case.volumes["sr"]) - first["sr"]
    assert np.allclose(slicer.util.arrayFromVolume(shown), expected)
    table = ui.metricsTable
    assert [table.horizontalHeaderItem(c).text() for c in range(3)] == ["A", "B", "A with B"]
    mae = float(np.abs(np.clip(expected, -1900, 1900)).mean())
    assert float(table.item(0, 2).text()) == pytest.approx(mae, abs=0.6)
    assert "A minus B" in ui.legendLabel.text

    choose(host, ui.resultCombo, 0)  # the one that was beside it: the two change sides
    assert case.volumes["sr"] is kept["sr"] and json.loads(case.record)["seed"] == 0
    assert case.comparedResult.GetName() == names[1]

    host.save_scene(tmp_path / "case.mrb")
    host.close_scene()
    assert ui.resultCombo.count == 0 or not ui.compareBox.visible
    host.load_scene(tmp_path / "case.mrb")
    assert texts(ui.resultCombo) == names
    assert panel.parameterNode.comparedResult.GetName() == names[1]


def test_results_lie_in_one_folder_of_the_case(host, slicer, case, section, ui):
    import vtk

    run(host, section, seed=0)
    run(host, section, seed=1)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    made = (*case.volumes.values(), case.differenceVolume, case.metricsTable)
    parents = [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in made]
    (run_item,) = set(parents)
    case_item = hierarchy.GetItemParent(run_item)
    assert hierarchy.GetItemName(case_item) == "AXON: phantom PA"
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(case_item, items)
    names = [hierarchy.GetItemName(items.GetId(i)) for i in range(items.GetNumberOfIds())]
    runs = [f"1 view, seed {seed}, axon-tiny 0.0.1" for seed in (0, 1)]
    assert [name for name in names if "seed" in name] == runs
    assert sum(n.startswith("CT in the thorax frame") for n in names) == 1
    # Deleting a folder removes its result from the lists.
    hierarchy.RemoveItem(run_item)
    host.process_events(0.05)
    assert texts(ui.resultCombo)[-1] == "1 view, seed 0, axon-tiny 0.0.1"
    assert "1 view, seed 1, axon-tiny 0.0.1" not in texts(ui.otherCombo)


def test_a_cancelled_rerun_leaves_the_earlier_result(host, slicer, case, section, ui):
    run(host, section, seed=0)
    before, record = dict(case.volumes), case.record
    case.seed, case.steps = 1, {"coarse": 1, "fine": 1000}
    host.click(ui.reconstructButton)
    rows = section.stages.rows
    assert host.wait_until(lambda: " %" in rows["fine"].state.text, 60)
    assert composite(slicer, "Red") not in before.values()  # the new coarse volume is shown
    host.click(ui.reconstructButton)
    assert host.wait_until(lambda: section.state == "idle", 60)
    assert dict(case.volumes) == before and case.record == record
    assert composite(slicer, "Red") is before["sr"]
    assert "The earlier result is still shown" in ui.resultLabel.text
    assert texts(ui.resultCombo)[1] == "1 view, seed 1, axon-tiny 0.0.1 (cancelled)"
    choose(host, ui.resultCombo, 1)
    assert list(case.volumes) == ["coarse"] and json.loads(case.record)["cancelled"] == "fine"


def test_single_samples_are_browsed(host, slicer, case, section, ui, tmp_path):
    run(host, section, seed=3, samples=3)
    assert texts(ui.resultCombo) == ["1 view, seed 3, 3 samples, axon-tiny 0.0.1"]
    choose(host, ui.slicesCombo, ui.slicesCombo.findData("sample"))
    assert ui.sampleSlider.visible and ui.sampleSlider.maximum == 3
    seen = []
    for number in (1, 2, 3):
        ui.sampleSlider.value = number
        seen.append(slicer.util.arrayFromVolume(composite(slicer, "Red")).copy())
    assert not np.array_equal(seen[0], seen[1])
    assert np.allclose(np.mean(seen, 0), slicer.util.arrayFromVolume(case.volumes["sr"]), atol=0.1)
    spread = slicer.util.arrayFromVolume(case.deviationVolume)
    assert np.allclose(np.std(seen, 0, ddof=1), spread, atol=0.1)
    host.save_scene(tmp_path / "case.mrb")
    host.close_scene()
    host.load_scene(tmp_path / "case.mrb")
    choose(host, ui.slicesCombo, ui.slicesCombo.findData("sample"))
    host.click(ui.showButton)
    ui.sampleSlider.value = 2
    assert np.allclose(slicer.util.arrayFromVolume(composite(slicer, "Red")), seen[1])


def test_the_recommended_stage_is_shown_and_explained(host, slicer, compared):
    ui, node = compared.ui, compared.node
    assert "later stage" not in ui.metricsNote.text
    record = json.loads(node.record) | {"recommended_stage": "coarse"}
    record["metrics"]["sr"]["ssim3d_gauss11"] = 0.4
    node.record = json.dumps(record)
    host.click(ui.showButton)
    assert composite(slicer, "Red") is node.volumes["coarse"]
    assert ui.stageCombo.currentText == "CoarseDiff"
    assert "A later stage may measure worse" in ui.metricsNote.text
    assert "recommends CoarseDiff" in ui.metricsNote.text
    choose(host, ui.stageCombo, 1)  # the user's choice stays
    host.click(ui.showButton)
    assert composite(slicer, "Red") is node.volumes["sr"]


def test_the_shipped_model_recommends_a_stage(host):
    from axon_backend.bundle import load_bundle

    assert load_bundle().recommended_stage == "coarse"


def test_lungs_and_bones_are_segmented_and_compared_with_the_ct(host, slicer, case, section, ui):
    run(host, section)
    host.click(ui.segmentButton)
    assert host.wait_until(lambda: ui.segmentLabel.visible, 60)
    import re

    number = r"(\d+) ml \(CT: (\d+) ml, Dice (nan|\d\.\d\d)\)"
    assert re.search(f"^Lungs: {number}\nBones: {number}$", ui.segmentLabel.text)
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(i).GetName() for i in range(4)]
    assert names == ["Lungs", "Lungs (CT)", "Bones", "Bones (CT)"]
    lungs = slicer.util.arrayFromSegmentBinaryLabelmap(
        node, segmentation.GetSegmentIdBySegmentName("Lungs (CT)"), case.truthVolume
    )
    truth = slicer.util.arrayFromVolume(case.truthVolume)
    assert lungs.any() and truth[lungs > 0].max() <= -500
    host.click(ui.segmentButton)  # again: the segmentation is replaced
    assert host.wait_until(lambda: ui.segmentButton.enabled, 60)
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    host.click(ui.segmentButton)
    choose(host, ui.stageCombo, 0)  # the numbers would be those of another stage
    assert host.wait_until(lambda: ui.segmentButton.enabled, 60)
    assert not ui.segmentLabel.visible
