"""Landmark and automatic registration: result, cancelling, closing the scene."""

import numpy as np
import pytest


def test_landmarks_register_the_xray_to_its_points(
    host, slicer, panel, opened, ui, composite, settle
):
    from AXONReconstructionLib.scene.image_geometry import fieldOf

    field, node = fieldOf(opened.drr), opened.parameterNode
    spots = ((-60, 60), (70, 50), (0, -80))
    places = np.array([field.centre + a * field.right + b * field.up for a, b in spots])
    wanted = places + 12 * field.right - 7 * field.up
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    assert not ui.fitPointsButton.enabled
    ui.landmarksBox.collapsed = False
    host.click(ui.addXrayPointButton)
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert composite.GetBackgroundVolumeID() == opened.xray.GetID()
    assert composite.GetForegroundVolumeID() is None
    for point in places:
        node.xrayLandmarks.AddControlPointWorld(*point)
    assert "3 on the X-ray, 0" in ui.pairsLabel.text and not ui.fitPointsButton.enabled
    host.click(ui.addDrrPointButton)
    assert not ui.addXrayPointButton.checked
    assert composite.GetBackgroundVolumeID() == opened.drr.GetID()
    for point in wanted:
        node.drrLandmarks.AddControlPointWorld(*point)
    assert ui.pairsLabel.text == "3 pairs: ready to register."
    panel.setBusy(True)  # otherwise the click would wait for the other computation
    assert not ui.fitPointsButton.enabled
    panel.setBusy(False)
    host.click(ui.fitPointsButton)
    settle()
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert ui.horizontalSlider.value == pytest.approx(12, abs=0.2)
    assert ui.verticalSlider.value == pytest.approx(-7, abs=0.2)
    # The points on the X-ray move with it.
    found = slicer.util.arrayFromMarkupsControlPoints(node.xrayLandmarks, world=True)
    assert np.allclose(found, wanted, atol=0.5)
    host.click(ui.undoButton)
    assert ui.horizontalSlider.value == pytest.approx(0, abs=1e-6)
    host.click(ui.clearPointsButton)
    assert node.xrayLandmarks.GetNumberOfControlPoints() == 0


def test_auto_register_recovers_the_placement_in_one_undo_step(host, opened, ui, settle, place):
    ui.horizontalSlider.value, ui.verticalSlider.value = 25.0, 15.0
    settle()
    away, worse = place(), opened.quality.scores["frontal"]["ncc"]
    host.click(ui.registerButton)
    assert ui.registerButton.text == "Cancel" and ui.registerProgress.visible
    assert not ui.undoButton.enabled and not ui.acceptButton.enabled
    assert not ui.horizontalSlider.enabled
    settle()
    assert ui.registerButton.text == "Auto-register" and not ui.registerProgress.visible
    assert opened.quality.scores["frontal"]["ncc"] > max(worse, 0.9)
    assert abs(ui.horizontalSlider.value) < 3 and abs(ui.verticalSlider.value) < 3
    assert "automatic registration" in ui.undoButton.toolTip
    host.click(ui.undoButton)
    assert np.allclose(place(), away)


def test_a_cancelled_registration_keeps_the_placement(
    host, panel, opened, ui, ct, settle, place, message
):
    ui.methodBox.currentIndex = 1
    settle()
    before = place()
    host.click(ui.registerButton)
    host.process_events(0.05)
    host.click(ui.registerButton)
    settle()
    assert "cancelled" in message() and not panel.isBusy
    assert np.allclose(place(), before) and ui.registerButton.enabled


def test_an_xray_corrected_during_its_registration_keeps_its_placement(
    host, panel, opened, ui, ct, settle, place, message
):
    settle()
    before = place()
    host.click(ui.registerButton)
    host.process_events(0.02)
    panel.logic.correctRadiograph(panel.parameterNode.frontal, flip=True)
    settle()
    assert "was corrected during" in message() and "Click Auto-register again" in message()
    assert np.allclose(place(), before) and ui.registerButton.enabled


@pytest.mark.slow
@pytest.mark.parametrize(("index", "sid_mm"), [(1, 1800.0), (2, 1400.0)])
def test_six_dof_registration_recovers_a_rotated_patient(
    host, panel, opened, ui, ct, settle, index, sid_mm
):
    """The third method also estimates the source-to-image distance, from both views."""
    from axon_backend.physics.pose import Pose

    turned = Pose(rotation_deg=(0.0, 0.0, 6.0), sid_mm=sid_mm)
    panel.parameterNode.frontal = panel.logic.renderDRR(ct, "pa", pose=turned)
    if index == 2:
        panel.parameterNode.lateral = panel.logic.renderDRR(ct, "ll", pose=turned)
    ui.methodBox.currentIndex = index
    settle()
    host.click(ui.registerButton)
    settle()
    assert panel.parameterNode.poseRotationSI == pytest.approx(6, abs=1.5)
    assert panel.parameterNode.poseSID == pytest.approx(sid_mm, rel=0.15 if index == 2 else 0)
    assert len(opened.quality.log.rows("frontal")) > 3


def test_closing_the_scene_cancels_the_registration(host, panel, opened, ui, ct, settle, message):
    ui.methodBox.currentIndex = 1
    settle()
    host.click(ui.registerButton)
    host.process_events(0.05)
    host.close_scene()
    settle()
    assert not panel.isBusy and ui.registerButton.text == "Auto-register"
    assert message() == "" and panel.parameterNode.frontal is None


def test_deleting_points_or_images_stops_placing_points(host, slicer, opened, ui, settle):
    node = opened.parameterNode
    interaction = slicer.app.applicationLogic().GetInteractionNode()
    ui.landmarksBox.collapsed = False
    for side, button in (("xray", ui.addXrayPointButton), ("drr", ui.addDrrPointButton)):
        host.click(button)
        for place in ((0, 0, 0), (30, 0, 0)):
            getattr(node, f"{side}Landmarks").AddControlPointWorld(*place)
    assert ui.pairsLabel.text == "2 pairs: ready to register."
    slicer.mrmlScene.RemoveNode(node.drrLandmarks)
    assert "0 on the DRR" in ui.pairsLabel.text and not ui.fitPointsButton.enabled
    assert not ui.addDrrPointButton.checked and opened.landmarks.placing == ""
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    host.click(ui.addXrayPointButton)
    slicer.mrmlScene.RemoveNode(opened.xray)
    settle()
    assert not ui.addXrayPointButton.checked and not ui.addXrayPointButton.enabled
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
