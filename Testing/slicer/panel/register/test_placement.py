"""Manual adjustment, undo, reset and acceptance."""

import numpy as np
import pytest


def test_slider_changes_become_one_undo_step_after_a_pause(host, opened, ui, settle, place):
    for value in (2.0, 4.0, 6.0):
        ui.horizontalSlider.value = value
    ui.verticalSlider.value = -3.0
    settle()
    start = opened.placement.start("frontal")
    # In a frontal view, the viewer's right is the patient's left, -x in RAS.
    assert np.allclose(place()[:3, 3] - start[:3, 3], [-6, 0, -3])
    host.click(ui.undoButton)
    assert np.allclose(place(), start)
    assert ui.horizontalSlider.value == 0 and not ui.undoButton.enabled


def test_moving_revokes_the_acceptance_and_undo_restores_it(
    host, slicer, opened, ui, settle, place
):
    host.click(ui.acceptButton)
    assert opened.parameterNode.frontalAccepted and ui.acceptButton.text == "Accepted"
    before = place()
    matrix = before.copy()
    matrix[0, 3] += 15
    matrix[1, 3] += 40  # towards the viewer: out of the image plane
    transform = opened.parameterNode.frontalTransform
    slicer.util.updateTransformMatrixFromArray(transform, matrix, toWorld=True)
    assert not opened.parameterNode.frontalAccepted
    settle()
    assert np.allclose(place()[:3, 3] - before[:3, 3], [15, 0, 0])
    assert ui.horizontalSlider.value == pytest.approx(-15)
    host.click(ui.undoButton)
    assert np.allclose(place(), before)
    assert opened.parameterNode.frontalAccepted and ui.acceptButton.text == "Accepted"


def test_reset_is_undoable(host, opened, ui, settle, place):
    ui.rotationSlider.value = 10.0
    settle()
    turned = place()
    ui.moveBox.collapsed = False
    host.click(ui.resetButton)
    assert np.allclose(place(), opened.placement.start("frontal"))
    host.click(ui.undoButton)
    assert np.allclose(place(), turned)
    assert ui.rotationSlider.value == pytest.approx(10.0)


def test_handles_rotate_about_the_centre_of_the_field_in_one_view_only(
    host, slicer, opened, ui, settle
):
    from AXONReconstructionLib.scene.image_geometry import fieldOf

    ui.moveBox.collapsed = False
    transform = opened.parameterNode.frontalTransform
    display = transform.GetDisplayNode()
    green = slicer.mrmlScene.GetSingletonNode("Green", "vtkMRMLSliceNode")
    assert display.GetEditorVisibility() and not display.GetEditorVisibility3D()
    assert [display.GetNthViewNodeID(i) for i in range(display.GetNumberOfViewNodeIDs())] == [
        green.GetID()
    ]
    ui.verticalSlider.value = 20.0
    settle()
    centre = [0.0] * 3
    transform.GetTransformToParent().TransformPoint(transform.GetCenterOfTransformation(), centre)
    assert np.allclose(centre, fieldOf(opened.drr).centre)
    assert ui.undoButton.enabled
    ui.moveBox.collapsed = True
    assert not display.GetEditorVisibility()


def test_another_xray_does_not_inherit_the_acceptance(
    host, panel, opened, ui, settle, computed_xray
):
    host.click(ui.acceptButton)
    panel.parameterNode.frontal = computed_xray("another")
    assert not panel.parameterNode.frontalAccepted
    settle()
    assert opened.quality.scores["frontal"]["verdict"] == "good" and not ui.undoButton.enabled


def test_a_ct_initialises_the_placement_on_its_own_field(opened, ui, ct, settle):
    from AXONReconstructionLib.scene.image_geometry import fieldOf

    settle()
    middle = fieldOf(opened.drr).centre
    assert abs(middle[2]) > 100  # the phantom is far from the origin of the scene
    bounds = [0.0] * 6
    opened.xray.GetRASBounds(bounds)
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    assert np.allclose(centre, middle, atol=1e-3)
    assert ct.GetName() in ui.referenceLabel.text


def test_leaving_and_reentering_the_module_keeps_the_undo_history(host, axon, opened, ui, settle):
    ui.horizontalSlider.value = 20.0
    settle()
    axon[1].exit()
    axon[1].enter()
    settle()
    assert ui.undoButton.enabled and ui.horizontalSlider.value == pytest.approx(20.0)
    host.click(ui.undoButton)
    assert ui.horizontalSlider.value == pytest.approx(0)


def test_placement_and_acceptance_are_saved_with_the_scene(
    host, panel, opened, ui, tmp_path, settle, place
):
    ui.rotationSlider.value = 4.0
    settle()
    host.click(ui.acceptButton)
    before = place()
    host.save_scene(tmp_path / "case.mrb")
    host.close_scene()
    host.process_events(0.1)
    assert panel.parameterNode.frontal is None and not opened.quality.scores
    host.load_scene(tmp_path / "case.mrb")
    settle()
    assert np.allclose(place(), before)
    assert panel.parameterNode.frontalAccepted and ui.acceptButton.text == "Accepted"
    assert ui.rotationSlider.value == pytest.approx(4.0, abs=1e-4)
    ui.rotationSlider.value = 0.0
    settle()
    assert not panel.parameterNode.frontalAccepted


def test_deleting_the_transform_revokes_the_acceptance_and_reinitialises(
    host, slicer, opened, ui, settle
):
    ui.horizontalSlider.value = 20.0
    settle()
    host.click(ui.acceptButton)
    slicer.mrmlScene.RemoveNode(opened.parameterNode.frontalTransform)
    settle()
    assert not opened.parameterNode.frontalAccepted
    assert opened.parameterNode.frontalTransform is not None
    assert ui.horizontalSlider.enabled and ui.horizontalSlider.value == pytest.approx(0, abs=1e-6)


def test_two_requests_for_a_drr_create_one_node(host, slicer, panel, section, frontal, ct):
    """The CT is selected while the DRR of the atlas is pending."""
    node, ct_node = panel.parameterNode, panel.parameterNode.groundTruth
    node.groundTruth = None
    panel.container("registerSection").collapsed = False
    node.groundTruth = ct_node
    assert host.wait_until(lambda: not panel.logic.busy, 60)
    host.process_events(0.1)
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    drrs = [v.GetName() for v in volumes if v.GetName().startswith("DRR")]
    assert drrs == [node.frontalDrr.GetName()]
