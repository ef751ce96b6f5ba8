"""The Compare layout: arrangement, shared rendering preset, cameras, slices."""

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


def camera(slicer, tag):
    view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
    return slicer.modules.cameras.logic().GetViewActiveCameraNode(view)


def image(host, view, path):
    from PIL import Image

    host.view_screenshot(view, path, 200, 200)
    return np.asarray(Image.open(path).convert("L"), np.float32)


def centre(mask):
    """(row, column) of the centre of a mask, in [0, 1]."""
    rows, columns = np.nonzero(mask)
    return rows.mean() / mask.shape[0], columns.mean() / mask.shape[1]


def test_each_volume_has_its_own_view_and_both_share_a_preset(host, slicer, ui, node):
    assert not ui.nothingLabel.visible
    host.click(ui.showButton)
    assert slicer.app.layoutManager().layout == -5731
    views = {}
    for name, volume in (("sr", node.volumes["sr"]), ("truth", node.truthVolume)):
        display = rendering(slicer, volume)
        assert display.GetVisibility() and display.GetNumberOfViewNodeIDs() == 1
        views[name] = slicer.mrmlScene.GetNodeByID(display.GetNthViewNodeID(0)).GetLayoutName()
    assert views == {"sr": "AXONRecon", "truth": "AXONTruth"}
    assert rendering(slicer, node.volumes["coarse"]) is None
    shared = rendering(slicer, node.volumes["sr"]).GetVolumePropertyNode()
    assert shared is rendering(slicer, node.truthVolume).GetVolumePropertyNode()
    for preset in ("bone", "lung", "soft", "xray"):
        before = (
            shared.GetScalarOpacity().GetValue(120.0),
            shared.GetScalarOpacity().GetValue(-500.0),
        )
        choose(host, ui.presetCombo, preset)
        assert node.preset == preset
        now = shared.GetScalarOpacity().GetValue(120.0), shared.GetScalarOpacity().GetValue(-500.0)
        assert now != before
        cropped = rendering(slicer, node.truthVolume).GetCroppingEnabled()
        assert bool(cropped) == (preset == "lung")


def test_the_presets_exist_in_slicer(slicer, axon):
    from AXONReconstructionLib.views.rendering import PRESETS

    logic = slicer.modules.volumerendering.logic()
    assert all(logic.GetPresetByName(preset.name) is not None for preset in PRESETS.values())


def test_cameras_are_anterior_head_up_and_linked(host, slicer, ui, node):
    host.click(ui.showButton)
    for tag in ("AXONRecon", "AXONTruth"):
        found = camera(slicer, tag)
        # RAS: the frame's centre with x and y turned round, and the eye in front of it.
        assert np.allclose(found.GetFocalPoint(), (-10, 20, 30), atol=1e-3)
        assert np.allclose(found.GetViewUp(), (0, 0, 1))
        position = np.array(found.GetPosition())
        assert np.allclose(position[[0, 2]], (-10, 30), atol=1e-3) and position[1] > 500
        assert slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode").GetLinkedControl()
    moved, other = camera(slicer, "AXONRecon"), camera(slicer, "AXONTruth")
    # As by mouse: only user interaction is propagated to linked views.
    moved.SetInteractionFlags(moved.CameraInteractionFlag)
    moved.InteractingOn()
    moved.SetPosition(600.0, 0.0, 30.0)
    moved.InteractingOff()
    assert np.allclose(other.GetPosition(), (600, 0, 30))
    host.click(ui.showButton)
    assert np.allclose(moved.GetPosition(), other.GetPosition())
    assert moved.GetPosition()[1] > 500


def test_in_a_narrow_view_the_camera_is_further_away(host, slicer, ui, tmp_path):
    """Half the width requires twice the distance where the width limits: 280 of 300 mm here."""

    def distance(width, height):
        """Distance of the camera from the volume's front face, in views of this size."""
        for tag in ("AXONRecon", "AXONTruth"):
            view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
            host.view_screenshot(view, tmp_path / "view.png", width, height)
        host.click(ui.showButton)
        return camera(slicer, "AXONRecon").GetPosition()[1] - (20.0 + 240.0 / 2)

    host.click(ui.showButton)
    narrow, square = distance(200, 400), distance(200, 200)
    assert narrow / square == pytest.approx(2 * 280 / 300)


def test_the_rendering_has_right_on_the_viewers_left_and_the_head_up(
    host, slicer, ui, node, tmp_path
):
    """The dense block of the phantom is right, anterior and superior."""
    host.click(ui.showButton)
    choose(host, ui.presetCombo, "bone")
    view = slicer.mrmlScene.GetSingletonNode("AXONTruth", "vtkMRMLViewNode")
    grey = image(host, view, tmp_path / "3d.png")
    grey[:20] = grey[-20:] = 0  # the view's title and note
    row, column = centre(grey > 0.7 * grey.max())
    assert row < 0.45 and column < 0.45


def test_slices_follow_the_radiological_convention(host, slicer, ui, node, tmp_path):
    import vtk

    host.click(ui.showButton)
    ijkToRas = vtk.vtkMatrix4x4()
    node.volumes["sr"].GetIJKToRASMatrix(ijkToRas)
    place = ijkToRas.MultiplyPoint((11.0, 10.0, 22.5, 1.0))[:3]  # the middle of the block
    for tag, row, column in (
        ("Red", 0.35, 0.36),  # axial: anterior up, the patient's right on the left
        ("Green", 0.28, 0.36),  # coronal: head up
        ("Yellow", 0.28, 0.35),  # sagittal: anterior on the left
    ):
        sliceNode = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        sliceNode.JumpSliceByOffsetting(*place)
        grey = image(host, tag, tmp_path / f"{tag}.png")
        found = centre(grey > 240)
        assert np.allclose(found, (row, column), atol=0.06), tag


def test_without_a_ct_there_is_one_3d_view(host, slicer, ui, node):
    node.truthVolume = node.differenceVolume = None
    host.click(ui.showButton)
    assert slicer.app.layoutManager().layout == -5732
    assert ui.slicesCombo.findData("difference") < 0
    assert not ui.viewsCombo.enabled and not ui.fadeSlider.visible


def test_another_stage_replaces_the_one_shown(host, slicer, ui, node):
    host.click(ui.showButton)
    assert [ui.stageCombo.itemData(i) for i in range(ui.stageCombo.count)] == ["coarse", "sr"]
    choose(host, ui.stageCombo, "coarse")
    assert node.shownStage == "coarse"
    assert rendering(slicer, node.volumes["coarse"]).GetVisibility()
    assert not rendering(slicer, node.volumes["sr"]).GetVisibility()
    assert composite(slicer, "Green").GetBackgroundVolumeID() == node.volumes["coarse"].GetID()


def test_the_users_layout_is_restored_when_the_scene_closes(host, slicer, ui, node):
    manager = slicer.app.layoutManager()
    manager.setLayout(2)
    host.click(ui.showButton)
    host.click(ui.showButton)
    host.close_scene()
    assert manager.layout == 2


def test_slices_side_by_side(host, slicer, ui, node):
    choose(host, ui.viewsCombo, "slices")
    assert slicer.app.layoutManager().layout == -5733
    for tag in ("Red", "Green", "Yellow"):
        assert composite(slicer, tag).GetBackgroundVolumeID() == node.volumes["sr"].GetID()
        assert composite(slicer, f"AXON{tag}").GetBackgroundVolumeID() == node.truthVolume.GetID()


def test_every_slice_view_has_orientation_labels(host, ui):
    from AXONReconstructionLib.views import side_labels

    host.click(ui.showButton)
    choose(host, ui.viewsCombo, "slices")
    sides = {
        tag: "".join(side_labels.shared().texts(tag)[side] for side in ("left", "right", "top"))
        for tag in ("Red", "Green", "Yellow", "AXONRed", "AXONGreen", "AXONYellow")
    }
    assert list(sides.values()) == ["RLA", "RLS", "APS"] * 2


def test_the_3d_views_have_titles(host, slicer, ui):
    host.click(ui.showButton)
    manager = slicer.app.layoutManager()
    widgets = [manager.threeDWidget(i) for i in range(manager.threeDViewCount)]
    said = {
        w.mrmlViewNode().GetLayoutName(): [
            w.threeDView().cornerAnnotation().GetText(i) for i in (2, 0)
        ]
        for w in widgets
    }
    note = "Research use only, not for diagnosis"
    assert said["AXONRecon"] == ["Reconstruction: SR-Net", note]
    assert said["AXONTruth"] == ["CT", note]
