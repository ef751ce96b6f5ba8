"""The Register section: when it computes, what it shows, and when it changes the layout."""

import numpy as np


def test_nothing_is_computed_before_the_section_is_opened(panel, section, frontal, settle):
    settle()
    assert panel.parameterNode.frontalDrr is None and section.quality.scores == {}


def test_opening_centres_the_xray_and_assesses_it(opened, ui, frontal, composite):
    assert opened.drr is not None and ui.horizontalSlider.value == ui.rotationSlider.value == 0
    assert ui.scaleSlider.value == 100
    quality = opened.quality.scores["frontal"]
    assert quality["verdict"] == "good" and ui.verdictLabel.text == "Good registration."
    assert f"{quality['ncc']:.2f}" in ui.numbersLabel.text
    assert composite.GetBackgroundVolumeID() == frontal.GetID()
    assert composite.GetForegroundVolumeID() == opened.drr.GetID()
    assert composite.GetForegroundOpacity() == 0.5
    assert not opened.parameterNode.frontalAccepted and "Not accepted" in ui.acceptedLabel.text


def test_accepting_a_poor_registration_shows_a_warning(host, opened, ui, settle, message):
    ui.horizontalSlider.value, ui.rotationSlider.value, ui.verticalSlider.value = 90.0, 40.0, 70.0
    settle()
    assert opened.quality.scores["frontal"]["verdict"] == "poor"
    assert ui.verdictLabel.text.startswith("Poor registration") and ui.warningLabel.text
    host.click(ui.acceptButton)
    assert "poor registration" in message() and opened.parameterNode.frontalAccepted


def test_every_assessment_is_logged_and_plotted(host, slicer, opened, ui, settle):
    assert len(opened.quality.log.rows("frontal")) == 1
    ui.horizontalSlider.value = 25.0
    settle()
    rows = opened.quality.log.rows("frontal")
    assert [row[0] for row in rows] == [1.0, 2.0] and rows[1][1] < rows[0][1]
    ui.moveBox.collapsed = False
    host.click(ui.plotButton)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    chart = slicer.mrmlScene.GetNodeByID(selection.GetActivePlotChartID())
    series = chart.GetNthPlotSeriesNode(0)
    assert series.GetTableNode() is opened.parameterNode.similarityTable
    assert (series.GetXColumnName(), series.GetYColumnName()) == ("Step", "Similarity")


def test_the_pose_sliders_require_a_ct(opened, ui):
    assert not ui.rotationLRSlider.enabled and "Requires a CT" in ui.rotationLRSlider.toolTip
    ui.methodBox.currentIndex = 1
    assert not ui.registerButton.enabled and "CT" in ui.registerButton.toolTip


def test_the_drr_follows_the_pose_and_undo_restores_it(host, slicer, opened, ui, ct, settle):
    settle()
    assert ui.rotationSISlider.enabled
    host.click(ui.acceptButton)
    first = slicer.util.arrayFromVolume(opened.drr).copy()
    arrivals = []
    shown = opened.drrs._arrived
    opened.drrs._arrived = lambda role, fast: (arrivals.append(fast), shown(role, fast))
    for value in (2.0, 5.0, 10.0):
        ui.rotationSISlider.value = value
        host.process_events(0.15)
    assert not opened.parameterNode.frontalAccepted
    settle()
    assert True in arrivals and arrivals[-1] is False  # fewer voxels in motion, all at rest
    turned = slicer.util.arrayFromVolume(opened.drr)
    assert turned.shape == first.shape and np.abs(turned - first).max() > 0.1 * first.max()
    host.click(ui.undoButton)
    settle()
    assert opened.parameterNode.poseRotationSI == ui.rotationSISlider.value == 0
    assert np.allclose(slicer.util.arrayFromVolume(opened.drr), first, atol=1e-4)
    assert opened.parameterNode.frontalAccepted


def test_missing_packages_are_reported_and_nothing_is_computed(host, panel, section, ui, frontal):
    with host.without("torch"):
        panel.container("registerSection").collapsed = False
        host.process_events(0.1)
        assert "torch" in ui.referenceLabel.text
        assert not ui.registerButton.enabled and "torch" in ui.registerButton.toolTip
        assert panel.parameterNode.frontalDrr is None


def test_the_section_fits_400_pixels(host, axon, opened, ui, tmp_path):
    for box in (ui.moveBox, ui.poseBox, ui.landmarksBox):
        box.collapsed = False
    host.screenshot(axon[1], tmp_path / "panel.png")
    assert opened.widget.minimumSizeHint.width() <= 380


def test_the_layout_of_another_step_is_not_changed(slicer, opened, ui, ct, settle):
    """Late results do not change the layout; user actions in this section do."""
    settle()
    manager = slicer.app.layoutManager()
    other = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView
    manager.setLayout(other)
    opened.parameterNode.groundTruth = None
    settle()
    assert manager.layout == other
    ui.overlayModeBox.currentIndex = 1
    settle()
    assert manager.layout != other


def test_a_ct_with_a_nonlinear_transform_is_refused(host, slicer, opened, ct, settle, message):
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bent")
    opened.parameterNode.groundTruth = None
    settle()
    ct.SetAndObserveTransformNodeID(bent.GetID())
    opened.parameterNode.groundTruth = ct
    settle()
    assert "nonlinear transform" in message() and not host.slot_errors


def test_nothing_is_shown_while_another_module_is(host, slicer, axon, opened, ct, settle):
    settle()
    axon[1].exit()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView)
    opened.parameterNode.poseRotationSI = 7.0
    opened._drrArrived("frontal", False)
    settle()
    assert not opened.isOpen
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUp3DView
    axon[1].enter()
    assert opened.isOpen


def test_an_xray_deleted_during_its_registration_is_reported(
    host, slicer, opened, ui, frontal, message
):
    host.click(ui.registerButton)
    slicer.mrmlScene.RemoveNode(frontal)
    assert host.wait_until(lambda: not opened.logic.busy and not opened.auto.running, 60)
    assert "was deleted" in message()
    transforms = slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")
    assert sum("placement" in node.GetName() for node in transforms) == 1
