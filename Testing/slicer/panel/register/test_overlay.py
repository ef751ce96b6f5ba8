"""The overlay of X-ray and DRR: blend, checkerboard, flicker, difference."""

import numpy as np
import pytest


def test_the_overlay_geometry_matches_the_logic(opened, ui, frontal):
    """Two ways to compute the matrix: from the nodes of the scene, and from the frame."""
    from AXONReconstructionLib.scene.image_geometry import imageFromField

    ui.rotationSlider.value, ui.verticalSlider.value, ui.scaleSlider.value = 7.0, 12.0, 90.0
    expected = opened.logic.matrixOf(frontal, None, opened.parameterNode.bundle)
    assert np.allclose(imageFromField(frontal, opened.drr), expected, atol=1e-6)


def test_the_checkerboard_shows_each_image_in_its_tiles(slicer, opened, ui, frontal, settle):
    from AXONReconstructionLib.views.overlay import COMPOSITE_PIXELS, TILES

    pixels = slicer.util.arrayFromVolume(frontal)
    slicer.util.updateVolumeFromArray(frontal, pixels.max() - pixels)  # so that they differ
    ui.overlayModeBox.currentIndex = 1
    settle()
    shown = slicer.util.arrayFromVolume(opened.parameterNode.overlayVolume)[0]
    assert shown.shape == (COMPOSITE_PIXELS,) * 2
    drr = slicer.util.arrayFromVolume(opened.drr)[0]
    tile = COMPOSITE_PIXELS // TILES
    for row, column in ((3, 2), (3, 3), (4, 2), (4, 5)):
        part = np.s_[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
        like = np.corrcoef(shown[part].ravel(), drr[part].ravel())[0, 1]
        expected = 1 if (row + column) % 2 else -1
        assert like * expected > 0.9, (row, column)


def test_the_difference_of_equal_images_is_grey(slicer, opened, ui, settle):
    ui.overlayModeBox.currentIndex = 3
    settle()
    same = slicer.util.arrayFromVolume(opened.parameterNode.overlayVolume)[0].copy()
    ui.horizontalSlider.value = 15.0
    settle()
    moved = slicer.util.arrayFromVolume(opened.parameterNode.overlayVolume)[0]
    assert same.std() < 0.15 < 0.5 < moved.std()


def test_flicker_alternates_and_stops_with_the_section(host, panel, opened, ui, composite):
    ui.overlayModeBox.currentIndex = 2
    seen = set()
    for _ in range(14):
        host.process_events(0.1)
        seen.add(composite.GetForegroundOpacity())
    assert seen == {0.0, 1.0}
    panel.container("registerSection").collapsed = True
    still = composite.GetForegroundOpacity()
    for _ in range(14):
        host.process_events(0.1)
        assert composite.GetForegroundOpacity() == still


def test_opacity_fades_the_drr(host, opened, ui, composite):
    ui.opacitySlider.value = 80
    host.process_events(0.05)
    assert composite.GetForegroundOpacity() == pytest.approx(0.8)


def test_opacity_is_only_offered_in_blend_mode(host, opened, ui):
    box = ui.overlayModeBox
    seen = {}
    for index in range(box.count):
        box.setCurrentIndex(index)
        host.process_events(0.05)
        seen[opened.parameterNode.overlayMode] = ui.opacitySlider.visible
    assert [mode for mode, visible in seen.items() if visible] == ["blend"] and len(seen) == 4
