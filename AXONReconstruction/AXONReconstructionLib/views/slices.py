"""What the slice views of the Compare layout show."""

from __future__ import annotations

import numpy as np
import slicer

from AXONReconstructionLib.views.layout import SLICE_VIEWS, TRUTH_SLICE_VIEWS

COLOURS_ATTRIBUTE = "AXON.ColourTable"
CT_WINDOW_HU = (1500.0, -350.0)  # width and level: lungs and bones in one picture
DIFFERENCE_HU = 500.0


def showLayers(background, foreground=None, opacity: float = 0.0, tags=None) -> None:
    """Put volumes into the linked slice views.

    Args:
        background, foreground: volume nodes or None.
        opacity: of the foreground, 0 to 1.
        tags: names of the slice views; None takes red, green and yellow.
    """
    for tag in tags or SLICE_VIEWS:
        composite = compositeNode(tag)
        if composite is None:
            continue
        wasModifying = composite.StartModify()
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
        composite.SetBackgroundVolumeID(None if background is None else background.GetID())
        composite.SetForegroundVolumeID(None if foreground is None else foreground.GetID())
        composite.SetForegroundOpacity(opacity if foreground is not None else 0.0)
        composite.SetLabelVolumeID(None)
        composite.EndModify(wasModifying)


def setForegroundOpacity(opacity: float, tags=None) -> None:
    """Fade the foreground of the slice views, 0 to 1."""
    for tag in tags or SLICE_VIEWS:
        composite = compositeNode(tag)
        if composite is not None:
            composite.SetForegroundOpacity(opacity)


def lookThrough(volume, tags=None) -> None:
    """Turn the slice views to axial, coronal and sagittal and fit them to a volume's middle."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    ways = SLICE_VIEWS | TRUTH_SLICE_VIEWS
    manager = slicer.app.layoutManager()
    for tag in tags or SLICE_VIEWS:
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        if node is None:
            continue
        node.SetOrientation(ways[tag])
        widget = None if manager is None else manager.sliceWidget(tag)
        if widget is not None:
            widget.sliceLogic().FitSliceToBackground()
        node.JumpSliceByCentering(*centre)


def compositeNode(tag: str):
    """The node that says which volumes a slice view shows, or None."""
    return slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")


def greyWindow(volume) -> None:
    """The same grey window for every CT volume, so that slices can be compared."""
    _window(volume, *CT_WINDOW_HU, "vtkMRMLColorTableNodeGrey")


def differenceColours(volume, limitHU: float = DIFFERENCE_HU) -> None:
    """Blue where the reconstruction is less dense than the CT, red where it is denser."""
    _window(volume, 2 * limitHU, 0.0, divergingColours().GetID())


def deviationColours(volume) -> None:
    """Bright where the samples disagree."""
    high = brightestDeviation(volume)
    _window(volume, high, high / 2, "vtkMRMLColorTableNodeIron")


def brightestDeviation(volume) -> float:
    """The standard deviation in HU from which on all is equally bright: the highest hundredth."""
    return max(float(np.percentile(slicer.util.arrayFromVolume(volume), 99)), 1.0)


def divergingColours():
    """The scene's colour table blue - white - red, with 0 in its white middle."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOURS_ATTRIBUTE) is not None:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "AXON difference")
    node.SetAttribute(COLOURS_ATTRIBUTE, "difference")
    node.SetTypeToUser()
    count = 255  # odd, so that one entry is exactly the middle
    node.SetNumberOfColors(count)
    low, middle, high = (0.13, 0.24, 0.67), (0.97, 0.97, 0.97), (0.70, 0.09, 0.12)
    for i in range(count):
        t = 2 * i / (count - 1) - 1
        end, part = (high, t) if t > 0 else (low, -t)
        node.SetColor(i, "", *[m + (e - m) * part for m, e in zip(middle, end, strict=True)], 1.0)
    return node


def _window(volume, width: float, level: float, colourID: str) -> None:
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    wasModifying = display.StartModify()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(width, level)
    display.SetAndObserveColorNodeID(colourID)
    display.EndModify(wasModifying)
