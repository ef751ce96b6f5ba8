"""The Inputs section: loading, description, correction, display and refusal of inputs."""

import numpy as np
import pytest

CONTROLS = ("QPush", "QCheck", "QRadio", "QCombo", "QDouble", "ctk", "qMRMLNode")


@pytest.fixture
def panel(axon):
    made = axon[1].panel
    made.ui.frontalCorrections.collapsed = made.ui.lateralCorrections.collapsed = False
    return made


@pytest.fixture
def ui(panel):
    return panel.ui


def settle(host, panel):
    host.process_events(0.05)
    assert host.wait_until(lambda: not panel.logic.busy, 60)
    host.process_events(0.05)


def open_file(host, panel, path, role="frontal"):
    if role == "frontal":
        host.answer_next((str(path),))
        host.click(panel.ui.openFilesButton)
    else:  # no name says that it is one
        panel.sections["inputsSection"].dropped(role, [str(path)])
    settle(host, panel)
    return getattr(panel.parameterNode, role)


@pytest.fixture
def frontal(host, panel, phantom_xray_file):
    return open_file(host, panel, phantom_xray_file)


def message(panel):
    return panel.ui.messageLabel.text if panel.ui.messageFrame.visible else ""


def background(slicer, view):
    composite = slicer.mrmlScene.GetSingletonNode(view, "vtkMRMLSliceCompositeNode")
    return composite.GetBackgroundVolumeID()


def test_an_opened_xray_is_described_and_shown(host, slicer, panel, ui, frontal):
    assert frontal is not None and ui.frontalSelector.currentNode() is frontal
    lines = ui.frontalAssumed.text.splitlines()
    assert lines[0] == "PA view, pixel size unknown, not inverted."
    assert any("PA is assumed" in line for line in lines[1:])
    assert ui.frontalPixelBox.text == "unknown" and ui.frontalViewBox.currentText.startswith("PA")
    assert background(slicer, "Green") == frontal.GetID()
    assert host.dialogs[0]["kind"] == "file:open many"


def test_the_view_shows_the_image_upright_with_r_on_the_left(
    host, slicer, panel, frontal, tmp_path
):
    """The phantom's lungs differ, so that no mirrored image matches as well."""
    from PIL import Image

    from AXONReconstructionLib.views import side_labels

    assert side_labels.shared().texts("Green") == {
        "left": "R",
        "right": "L",
        "top": "S",
        "bottom": "I",
    }
    pixels = slicer.util.arrayFromVolume(frontal)[0]
    host.view_screenshot("Green", tmp_path / "green.png")
    with Image.open(tmp_path / "green.png") as screenshot:
        grey = np.asarray(screenshot.convert("L").resize(pixels.shape[::-1]), float)

    def correlation(other):
        return np.corrcoef(grey.ravel(), other.ravel())[0, 1]

    assert correlation(pixels) > 0.97
    mirrored = max(correlation(pixels[:, ::-1]), correlation(pixels[::-1]))
    assert correlation(pixels) > 0.01 + mirrored


def test_a_lateral_xray_without_a_stated_view_is_a_left_lateral(
    host, slicer, panel, ui, phantom_xray_file
):
    from AXONReconstructionLib.views import side_labels

    lateral = open_file(host, panel, phantom_xray_file, "lateral")
    assert lateral.GetAttribute("AXON.View") == "ll" and panel.parameterNode.frontal is None
    assert ui.lateralAssumed.text.startswith("Left lateral view")
    assert background(slicer, "Yellow") == lateral.GetID()
    texts = side_labels.shared().texts("Yellow")
    assert (texts["left"], texts["right"], texts["top"]) == ("A", "P", "S")


def test_two_xrays_in_one_image_are_refused_until_one_is_selected(host, panel, ui, tmp_path):
    from axon_backend.cli.demo import DATA
    from axon_backend.errors import AxonInputError
    from axon_backend.imaging.layout import thumbnail
    from axon_backend.imaging.radiograph import read_radiograph, require_chest
    from axon_backend.imaging.write import write_png
    from AXONReconstructionLib.scene.nodes import radiographOf

    images = []
    for name in ("xray_pa.jpg", "drr_lidc0306_lateral.nrrd"):
        pixels = thumbnail(read_radiograph(DATA / name, flip=False).pixels, 220)
        images.append((pixels - pixels.min()) / np.ptp(pixels))
    height, width = np.min([image.shape for image in images], 0)
    both = np.hstack([image[:height, :width] for image in images])
    file = write_png(tmp_path / "both.png", both, bits=16)
    node = open_file(host, panel, file)
    assert "two chest X-rays in one image" in ui.frontalAssumed.text and ui.frontalRefused.visible
    with pytest.raises(AxonInputError, match="does not look like a chest X-ray"):
        require_chest(radiographOf(node))
    ui.frontalPartBox.setCurrentIndex(1)
    assert abs(node.GetImageData().GetDimensions()[0] - width) <= 2
    assert "the left part of the image is used" in ui.frontalAssumed.text
    require_chest(radiographOf(node))
    assert not ui.frontalRefused.visible


def test_what_does_not_look_like_a_chest_can_be_used_anyway(host, panel, ui, tmp_path):
    from axon_backend.errors import AxonInputError
    from axon_backend.imaging.radiograph import require_chest
    from axon_backend.imaging.write import write_png
    from AXONReconstructionLib.scene.nodes import radiographOf

    noise = np.random.default_rng(0).random((200, 180))
    node = open_file(host, panel, write_png(tmp_path / "noise.png", noise, bits=16))
    assert "does not look like a chest X-ray, but like" in ui.frontalAssumed.text
    with pytest.raises(AxonInputError, match=r"noise.png does not look like"):
        require_chest(radiographOf(node))
    for name in ("registerSection", "reconstructSection"):
        panel.container(name).collapsed = False
    settle(host, panel)
    for button in (ui.registerButton, ui.reconstructButton):
        assert not button.enabled and "click Use it anyway" in button.toolTip
    host.click(ui.frontalAcceptButton)
    require_chest(radiographOf(node))
    settle(host, panel)
    assert not ui.frontalRefused.visible
    assert ui.registerButton.enabled and ui.reconstructButton.enabled


def test_a_lateral_that_faces_the_other_way_is_turned_and_flip_overrules_it(
    host, slicer, panel, ui, tmp_path
):
    from axon_backend.cli.demo import DATA
    from axon_backend.imaging.radiograph import read_radiograph
    from axon_backend.imaging.write import write_png
    from AXONReconstructionLib.scene.nodes import radiographOf

    side = read_radiograph(DATA / "drr_lidc0306_lateral.nrrd", flip=False).pixels[::2, ::2]
    side = (side - side.min()) / np.ptp(side)
    file = write_png(tmp_path / "side.png", side[:, ::-1], bits=16)
    lateral = open_file(host, panel, file, "lateral")
    assert np.allclose(slicer.util.arrayFromVolume(lateral)[0], side, atol=1e-4)
    assert "front and back exchanged" in ui.lateralAssumed.text
    warned = radiographOf(lateral).warnings
    assert len(warned) == 1 and "reoriented" in warned[0]
    host.click(ui.lateralFlipButton)
    assert np.allclose(slicer.util.arrayFromVolume(lateral)[0], side[:, ::-1], atol=1e-4)
    assert radiographOf(lateral).warnings == ()
    assert "left and right were exchanged" in ui.lateralAssumed.text
    # As Slicer loads an image: one axial slice that nothing is known of.
    plain = slicer.util.addVolumeFromArray(side[None, :, ::-1].copy(), name="from the database")
    ui.lateralSelector.setCurrentNode(plain)
    settle(host, panel)
    made = panel.parameterNode.lateral
    assert made is not plain
    assert np.allclose(slicer.util.arrayFromVolume(made)[0], side, atol=1e-4)


def test_a_damaged_file_is_refused_and_the_selection_is_kept(host, panel, ui, frontal, tmp_path):
    damaged = tmp_path / "bad.png"
    damaged.write_bytes(b"nonsense")
    assert open_file(host, panel, damaged) is frontal
    assert "bad.png" in message(panel) and "export the X-ray again" in message(panel)
    assert ui.frontalBox.enabled and ui.frontalAssumed.text.startswith("PA view")


def test_a_ct_is_not_an_xray_and_an_xray_is_not_a_ct(host, panel, ui, frontal, phantom_ct_file):
    host.answer_next((str(phantom_ct_file),))
    host.click(ui.openFilesButton)
    settle(host, panel)
    ct = panel.parameterNode.groundTruth
    assert ui.groundTruthAssumed.text == "88 x 64 x 80 voxels, spacing 4.00 x 4.00 x 4.00 mm."
    ui.frontalSelector.setCurrentNode(ct)
    settle(host, panel)
    assert "not a 2-D image" in message(panel)
    assert panel.parameterNode.frontal is frontal and ui.frontalSelector.currentNode() is frontal
    ui.groundTruthSelector.setCurrentNode(frontal)
    assert "not a CT" in message(panel)
    assert panel.parameterNode.groundTruth is ct and ui.groundTruthSelector.currentNode() is ct


def test_a_volume_of_the_scene_becomes_an_xray(host, slicer, panel, ui, frontal):
    """As Slicer loads a radiograph: an axial slice without further information."""
    pixels = slicer.util.arrayFromVolume(frontal).copy()
    plain = slicer.util.addVolumeFromArray(pixels, name="from the database")
    ui.frontalSelector.setCurrentNode(plain)
    settle(host, panel)
    made = panel.parameterNode.frontal
    assert made not in (plain, frontal) and made.GetAttribute("AXON.View") == "pa"
    # Blank columns at the edges may have been cropped.
    found = slicer.util.arrayFromVolume(made)
    cuts = range(pixels.shape[2] - found.shape[2] + 1)
    assert any(np.array_equal(found, pixels[:, :, i : i + found.shape[2]]) for i in cuts)
    assert ui.frontalSelector.currentNode() is made


def test_the_file_dialogs_offer_every_format(host, panel, ui, monkeypatch):
    from axon_backend.imaging.formats import ImageFormat, registry

    toy = ImageFormat("Toy", (".toy",), read_xray=lambda path, view_given: None)
    registry.registered_formats()
    monkeypatch.setitem(registry._FORMATS, "Toy", toy)
    offered = []

    def ask(_parent, _title, _folder, filters):
        offered.append(filters)
        return ""

    monkeypatch.setattr("qt.QFileDialog.getOpenFileNames", ask)
    host.click(ui.openFilesButton)
    (filters,) = offered
    assert filters.startswith("X-rays and CTs (*.dcm *.dicom *.ima *.png ")
    assert "*.nii.gz" in filters and filters.endswith(" *.mhd *.toy);;All files (*)")


def test_all_files_of_a_patient_are_opened_at_once(
    host, panel, ui, phantom_xray_file, phantom_ct_file, tmp_path
):
    """Which is which is found out: by their headers, slices and names."""
    import shutil

    for source, name in (
        (phantom_xray_file, "anna_pa.png"),
        (phantom_xray_file, "anna_lat.png"),
        (phantom_xray_file, "anna_lat_2.png"),
        (phantom_ct_file, "ct.nii.gz"),
    ):
        shutil.copy(source, tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    host.answer_next(str(tmp_path))
    host.click(ui.openFolderButton)
    settle(host, panel)
    node = panel.parameterNode
    names = [getattr(node, role).GetName() for role in ("frontal", "lateral")]
    assert names == ["anna_pa", "anna_lat"] and node.groundTruth is not None
    assert node.lateral.GetAttribute("AXON.View") == "ll"
    assert message(panel).endswith("is used: anna_lat_2.png.")


def test_a_folder_without_images_is_refused(host, panel, ui, tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    host.answer_next(str(tmp_path))
    host.click(ui.openFolderButton)
    settle(host, panel)
    assert "no chest X-ray and no CT" in message(panel) and ui.openFilesButton.enabled


def test_a_dropped_file_is_opened(host, panel, ui, phantom_xray_file):
    from PySide6 import QtCore, QtGui

    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(phantom_xray_file))])
    for kind in (QtGui.QDragEnterEvent, QtGui.QDropEvent):
        place = QtCore.QPoint(5, 5) if kind is QtGui.QDragEnterEvent else QtCore.QPointF(5, 5)
        event = kind(
            place,
            QtCore.Qt.CopyAction,
            data,
            QtCore.Qt.LeftButton,
            QtCore.Qt.NoModifier,
        )
        QtCore.QCoreApplication.sendEvent(ui.frontalBox, event)
        assert event.isAccepted()
    settle(host, panel)
    assert panel.parameterNode.frontal.GetName() == "pa"


def test_corrections_are_applied_shown_and_revoke_the_acceptance(host, slicer, panel, ui, frontal):
    before = slicer.util.arrayFromVolume(frontal).copy()
    panel.parameterNode.frontalAccepted = True
    ui.frontalInvertBox.checked = True
    assert not panel.parameterNode.frontalAccepted
    assert np.allclose(
        slicer.util.arrayFromVolume(frontal), before.max() + before.min() - before, atol=1e-5
    )
    assert ui.frontalAssumed.text.splitlines()[0].endswith(", inverted.")
    ui.frontalInvertBox.checked = False
    host.click(ui.frontalFlipButton)
    assert np.allclose(slicer.util.arrayFromVolume(frontal), before[:, :, ::-1], atol=1e-5)
    ui.frontalPixelBox.value = 1.2
    assert np.allclose(frontal.GetSpacing()[:2], 1.2)
    assert "pixel size 1.200 mm" in ui.frontalAssumed.text
    ui.frontalPixelBox.value = 0.0
    assert "pixel size unknown" in ui.frontalAssumed.text
    assert frontal.GetAttribute("AXON.PixelSizeKnown") == "false"
    ui.frontalViewBox.currentIndex = 1
    assert ui.frontalAssumed.text.startswith("AP view")


def test_an_impossible_pixel_size_is_refused(host, panel, ui, frontal):
    ui.frontalPixelBox.value = 4.9
    assert "120 to 700 mm" in message(panel)
    assert ui.frontalPixelBox.value == 0.0 and "pixel size unknown" in ui.frontalAssumed.text


def test_an_xray_corrected_to_lateral_moves_to_the_lateral_input(host, slicer, panel, ui, frontal):
    ui.frontalViewBox.currentIndex = 2
    node = panel.parameterNode
    assert node.frontal is None and node.lateral is frontal
    assert "lateral" in message(panel) and ui.lateralAssumed.text.startswith("Left lateral")
    assert background(slicer, "Yellow") == frontal.GetID()


def test_an_occupied_input_is_not_overwritten(host, panel, ui, frontal, phantom_xray_file):
    lateral = open_file(host, panel, phantom_xray_file, "lateral")
    ui.frontalViewBox.currentIndex = 3
    node = panel.parameterNode
    assert (node.frontal, node.lateral) == (frontal, lateral)
    assert "is already selected" in message(panel)
    assert frontal.GetAttribute("AXON.View") == "pa" and ui.frontalViewBox.currentIndex == 0


def test_selecting_nothing_clears_the_input_and_keeps_the_volume(slicer, panel, ui, frontal):
    ui.frontalSelector.setCurrentNode(None)
    assert panel.parameterNode.frontal is None and slicer.mrmlScene.IsNodePresent(frontal)
    assert ui.frontalAssumed.text.startswith("No X-ray selected")


def test_every_widget_has_a_tooltip(panel):
    """All buttons, sliders, boxes and selectors have tooltips."""
    silent = []
    for section in ("inputsSection", "registerSection"):
        for name, widget in vars(panel.sections[section].ui).items():
            kind = widget.className() if hasattr(widget, "className") else ""
            known = kind.startswith(
                ("QPush", "QCheck", "QRadio", "QCombo", "QDouble", "ctk", "qMRMLNode")
            )
            if known and name and not widget.toolTip:
                silent.append(f"{section}.{name} ({kind})")
    assert not silent


def test_the_panel_fits_400_pixels(host, axon, panel, frontal, tmp_path):
    host.screenshot(axon[1], tmp_path / "panel.png")
    widget = panel.sections["inputsSection"].widget
    assert widget.minimumSizeHint.width() <= 380


def test_a_deleted_input_is_cleared(host, slicer, panel, ui, frontal, phantom_ct_file):
    """Qt would select the neighbour of a removed entry."""
    node = panel.parameterNode
    node.groundTruth = panel.logic.loadCT(phantom_ct_file)
    node.frontal = frontal
    for name, selector in (("groundTruth", "groundTruthSelector"), ("frontal", "frontalSelector")):
        slicer.mrmlScene.RemoveNode(getattr(node, name))
        host.process_events(0.05)
        assert getattr(node, name) is None and getattr(ui, selector).currentNode() is None
        assert not ui.messageFrame.visible


def test_a_colour_image_of_the_scene_can_be_selected(slicer, panel, ui):
    """Slicer loads a colour PNG as a vector volume."""
    grey = np.random.default_rng(0).integers(0, 255, (1, 80, 70, 1), dtype=np.uint8)
    photo = slicer.util.addVolumeFromArray(
        np.repeat(grey, 3, axis=3), name="photo", nodeClassName="vtkMRMLVectorVolumeNode"
    )
    ui.frontalSelector.setCurrentNode(photo)
    taken = panel.parameterNode.frontal
    assert taken is not None and taken.GetImageData().GetNumberOfScalarComponents() == 1
    assert not ui.messageFrame.visible


def test_a_line_of_voxels_is_not_an_xray(slicer, panel, ui):
    line = slicer.util.addVolumeFromArray(np.zeros((1, 1, 200), np.float32), name="line")
    ui.frontalSelector.setCurrentNode(line)
    assert panel.parameterNode.frontal is None
    assert "line is not a 2-D image (200 x 1 x 1 voxels)" in ui.messageLabel.text


def test_a_scene_can_be_added_to_another(host, panel, frontal, tmp_path):
    """The parameter node is read before the X-rays it references, and those before their voxels."""
    panel.parameterNode.frontal = frontal
    host.save_scene(tmp_path / "case.mrb")
    host.load_scene(tmp_path / "case.mrb")
    assert panel.parameterNode.frontal.GetName() == frontal.GetName()
    assert panel.parameterNode.frontal.GetImageData() is not None


def test_a_selected_volume_that_is_not_an_xray_is_reported(host, slicer, panel, ui):
    """For example, set by a script."""
    tiny = slicer.util.addVolumeFromArray(np.zeros((1, 8, 8), np.float32), name="stamp")
    panel.parameterNode.frontal = tiny
    assert "stamp is too small" in ui.frontalAssumed.text and not ui.frontalCorrections.visible
    assert not host.slot_errors
