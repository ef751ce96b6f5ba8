"""Content and colours of the slice views of the Compare layout."""

from __future__ import annotations

import numpy as np
import slicer

from AXONReconstructionLib.views.layout import SLICE_VIEWS, TRUTH_SLICE_VIEWS

COLOURS_ATTRIBUTE = "AXON.ColourTable"
CT_WINDOW_HU = (1500.0, -350.0)  # width and level that show both lungs and bones
DIFFERENCE_HU = 500.0


def showLayers(background, foreground=None, opacity: float = 0.0, tags=None) -> None:
    """Set the layers of linked slice views.

    Args:
        background, foreground: volume nodes or None.
        opacity: of the foreground, 0 to 1.
        tags: names of the slice views; None is red, green and yellow.
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
    """Set the foreground opacity of slice views, 0 to 1."""
    for tag in tags or SLICE_VIEWS:
        composite = compositeNode(tag)
        if composite is not None:
            composite.SetForegroundOpacity(opacity)


def fitViews(volume, tags=None) -> None:
    """Reset slice views to axial, coronal and sagittal through the centre of a volume."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    orientations = SLICE_VIEWS | TRUTH_SLICE_VIEWS
    manager = slicer.app.layoutManager()
    for tag in tags or SLICE_VIEWS:
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        if node is None:
            continue
        node.SetOrientation(orientations[tag])
        widget = None if manager is None else manager.sliceWidget(tag)
        if widget is not None:
            widget.sliceLogic().FitSliceToBackground()
        node.JumpSliceByCentering(*centre)


def compositeNode(tag: str):
    """The composite node of a slice view, or None."""
    return slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")


def setCTWindow(volume) -> None:
    """Set the same display window for every CT volume, so that slices can be compared."""
    _window(volume, *CT_WINDOW_HU, "vtkMRMLColorTableNodeGrey")


def differenceColours(volume, limitHU: float = DIFFERENCE_HU) -> None:
    """Colour a difference volume: blue is less dense than the reference, red is denser."""
    _window(volume, 2 * limitHU, 0.0, divergingColours().GetID())


def standardDeviationColours(volume) -> None:
    """Colour a standard deviation volume: bright where the samples differ most."""
    high = brightestStandardDeviation(volume)
    _window(volume, high, high / 2, "vtkMRMLColorTableNodeIron")


def brightestStandardDeviation(volume) -> float:
    """Upper end of the display window of a standard deviation volume: its 99th percentile, HU."""
    return max(float(np.percentile(slicer.util.arrayFromVolume(volume), 99)), 1.0)


def divergingColours():
    """The blue-white-red colour table of the scene, white at 0."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOURS_ATTRIBUTE) is not None:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "AXON difference")
    node.SetAttribute(COLOURS_ATTRIBUTE, "difference")
    node.SetTypeToUser()
    count = 255  # odd, so that one entry is exactly central
    node.SetNumberOfColors(count)
    low, middle, high = (0.13, 0.24, 0.67), (0.97, 0.97, 0.97), (0.70, 0.09, 0.12)
    for i in range(count):
        t = 2 * i / (count - 1) - 1
        end, weight = (high, t) if t > 0 else (low, -t)
        node.SetColor(i, "", *[m + (e - m) * weight for m, e in zip(middle, end, strict=True)], 1.0)
    return node


def _window(volume, width: float, level: float, colourID: str) -> None:
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    wasModifying = display.StartModify()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(width, level)
    display.SetAndObserveColorNodeID(colourID)
    display.EndModify(wasModifying)
