"""The single samples of a result as a sequence, which Slicer's sequence browser shows too."""

from __future__ import annotations

import slicer

from AXONReconstructionLib.scene.volumes import setAttributes, setWindow


def browserOf(samples, like, name: str):
    """A sequence of volumes, and a browser for it.

    Args:
        samples: (number, z, y, x) in HU.
        like: volume node with the geometry of the samples.
        name: of both nodes.

    Returns:
        The browser node and the sequence node.
    """
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("sample")
    sequence.SetIndexUnit("")
    for number, hu in enumerate(samples, start=1):
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.CopyOrientation(like)
        volume.SetName(name)
        slicer.util.updateVolumeFromArray(volume, hu)
        sequence.SetDataNodeAtValue(volume, str(number))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", name)
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    setAttributes(sequence, ResearchUseOnly=like.GetAttribute("AXON.ResearchUseOnly"))
    return browser, sequence


def count(browser) -> int:
    """Number of samples."""
    return 0 if browser is None else browser.GetNumberOfItems()


def show(browser, number: int):
    """Select a sample, from 1; returns the volume node that shows the selected one."""
    sequence = browser.GetMasterSequenceNode()
    browser.SetSelectedItemNumber(number - 1)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    volume = browser.GetProxyNode(sequence)
    if volume.GetDisplayNode() is None:
        volume.CreateDefaultDisplayNodes()
        setWindow(volume, -1000.0, 500.0)
    return volume
