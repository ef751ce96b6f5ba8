"""Loading X-rays and CTs into the scene, and correcting assumptions about them."""

from __future__ import annotations

import os
from numbers import Real
from typing import get_args

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.results import RadiographDescription
from AXONReconstructionLib.scene.volumes import (
    ijkToWorld,
    intensityWindow,
    requireVolumeNode,
    setAttributes,
    setWindow,
)
from AXONReconstructionLib.setup import backend

_POSE = (
    "poseRotationLR",
    "poseRotationAP",
    "poseRotationSI",
    "poseTranslationX",
    "poseTranslationY",
    "poseTranslationZ",
    "poseSID",
)


def loadRadiograph(tasks, source, view, pixelSizeMm, invert, name, assumedView, **callbacks):
    """See `AXONReconstructionLogic.loadRadiograph`."""
    isPath = isinstance(source, (str, os.PathLike))
    if not isPath and not isinstance(source, slicer.vtkMRMLVolumeNode):
        raise TypeError(f"source must be a path or a volume node, got {type(source).__name__}")
    view, assumed = viewName(view), viewName(assumedView or "pa")
    size = _pixelSize(pixelSizeMm)
    own = not isPath and bool(source.GetAttribute("AXON.View"))
    inScene = None if isPath else nodes.radiographOf(source, view, invert, assumed)

    def work(job):
        if isPath:
            read = backend.load("imaging.radiograph").read_radiograph
            radiograph = read(source, view=view, invert=invert, assumed=assumed)
        else:
            radiograph = inScene
        if own:
            radiograph = _corrected(radiograph, view, size, invert, None)
        elif size is not None:
            radiograph = _corrected(radiograph, None, size, None, None)
        return radiograph, nodes.atlasFrame()

    def finish(found):
        radiograph, frame = found
        title = name or (_fileTitle(source) if isPath else source.GetName())
        node = nodes.radiographNode(radiograph, title, frame=frame)
        inverted = any("inverted" in note for note in radiograph.assumptions)
        setAttributes(node, Inverted=str(inverted).lower())
        return node

    return tasks.run(work, finish, **callbacks)


def describeRadiograph(node):
    """See `AXONReconstructionLogic.describeRadiograph`."""
    radiograph = nodes.radiographOf(node)
    return RadiographDescription(
        radiograph.view.value,
        radiograph.pixel_mm,
        node.GetAttribute("AXON.Inverted") == "true",
        list(radiograph.assumptions),
        radiograph.looks_like,
    )


def correctRadiograph(node, view, pixelSizeMm, invert, flip, part, accept):
    """See `AXONReconstructionLogic.correctRadiograph`."""
    requireOwn(node)
    before = nodes.radiographOf(node)
    size = _pixelSize(pixelSizeMm)
    after = _corrected(before, viewName(view), size, invert, flip, part, accept)
    columns, rows = node.GetImageData().GetDimensions()[:2]
    middle = ijkToWorld(node, withTransform=False) @ [(columns - 1) / 2, (rows - 1) / 2, 0, 1]
    nodes.radiographNode(after, node.GetName(), node, centreRas=middle[:3])
    setWindow(node, *intensityWindow(after.pixels))
    if invert:
        was = node.GetAttribute("AXON.Inverted") == "true"
        setAttributes(node, Inverted=str(not was).lower())
    if flip or part or after.view is not before.view or after.pixel_mm != before.pixel_mm:
        node.SetAndObserveTransformNodeID(None)  # it belongs to the uncorrected image
    return node


def loadCT(tasks, path, name, **callbacks):
    """See `AXONReconstructionLogic.loadCT`."""

    def work(job):
        return backend.load("imaging.ct").read_ct(path)

    def finish(ct):
        return nodes.ctNode(ct, name or _fileTitle(path))

    return tasks.run(work, finish, **callbacks)


def requireOwn(node):
    """Check that an X-ray node was created by AXON.

    Raises:
        AxonInputError: it was not; its pixels may differ from those the backend would read.
    """
    if not requireVolumeNode(node, "An X-ray").GetAttribute("AXON.View"):
        raise backend.load("errors").AxonInputError(
            _(
                "{name} has not been loaded as an X-ray. Select it under Inputs, or pass it to "
                "loadRadiograph."
            ).format(name=node.GetName())
        )


def viewName(view):
    """The backend's `View` of ``pa``, ``ap``, ``ll`` or ``rl`` (any case); None of None.

    Raises:
        AxonInputError: unknown view.
    """
    return None if view is None else requiredView(view)


def requiredView(view):
    """The same, where a view must be given."""
    views = backend.load("imaging.view").View
    name = str(getattr(view, "value", view)).lower()
    if name not in [v.value for v in views]:
        raise backend.load("errors").AxonInputError(
            _("Unknown view {view}; choose one of {views}.").format(
                view=view, views=", ".join(v.value for v in views)
            )
        )
    return views(name)


def _corrected(radiograph, view, pixelMm, invert, flip, part=None, accept=None):
    return backend.load("imaging.scene").corrected(
        radiograph,
        view=view,
        pixel_mm=pixelMm,
        invert=invert,
        flip_lr=flip,
        part=part,
        force=accept,
    )


def _pixelSize(value):
    """One number or (row, column) in millimetres -> (row, column), or None."""
    if value is None or (isinstance(value, Real) and value == 0):
        return value  # 0: unknown
    try:
        row, column = (value, value) if isinstance(value, Real) else value
        return float(row), float(column)
    except (TypeError, ValueError):
        raise TypeError(f"pixelSizeMm must be a number or (row, column), got {value!r}") from None


def _fileTitle(path):
    """File name without its extension, as a node name."""
    name = os.path.basename(os.path.normpath(os.fspath(path)))
    title = backend.load("imaging.formats").without_extension(name)
    return (title if title != name else os.path.splitext(name)[0]) or name


def poseOf(parameterNode):
    """See `AXONReconstructionLogic.poseOf`."""
    values = [parameterNode.getValue(name) for name in _POSE]
    return backend.load("physics.pose").Pose(tuple(values[:3]), tuple(values[3:6]), values[6])


def setPose(parameterNode, pose):
    """See `AXONReconstructionLogic.setPose`."""
    pose = pose or backend.load("physics.pose").Pose()
    values = (*pose.rotation_deg, *pose.translation_mm, pose.sid_mm)
    with slicer.util.NodeModify(parameterNode):
        for name, value in zip(_POSE, values, strict=True):
            limits = _rangeOf(parameterNode, name)
            parameterNode.setValue(name, min(max(value, limits.minimum), limits.maximum))


def _rangeOf(parameterNode, name):
    """The `WithinRange` of a parameter."""
    return next(a for a in get_args(parameterNode.dataType(name)) if hasattr(a, "maximum"))
