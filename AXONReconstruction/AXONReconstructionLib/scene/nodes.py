"""Conversion between images and volumes of the backend and MRML nodes.

The backend uses LPS millimetres, MRML uses RAS millimetres; they are converted here only.
Integer voxel and pixel coordinates are centres, in both.
"""

from __future__ import annotations

import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.volumes import (
    LPS_TO_RAS,
    fill,
    huArrays,
    ijkToWorld,
    intensityWindow,
    requireVolumeNode,
    setAttributes,
    sourceOf,
    unchangedFile,
)
from AXONReconstructionLib.setup import backend


def radiographNode(radiograph, name, node=None, frame=None, centreRas=(0.0, 0.0, 0.0)):
    """An X-ray as a single-slice volume, upright in patient coordinates.

    Frontal views lie in the coronal plane with the patient's right on the viewer's left, lateral
    views in the sagittal plane with anterior on the viewer's left.

    Args:
        radiograph: the backend's `Radiograph`.
        name: node name.
        node: node to update instead of creating one; keeps its transform.
        frame: an X-ray of unknown pixel size fills its field of view; None is the atlas's frame.
        centreRas: position of the image centre, before any transform.
    """
    height, width = radiograph.pixels.shape
    known = radiograph.pixel_mm is not None
    if known:
        rowMm, columnMm = radiograph.pixel_mm
    else:
        fieldWidth, fieldHeight = _exposure(frame or atlasFrame(), radiograph.view).extent_mm
        rowMm = columnMm = max(fieldWidth / width, fieldHeight / height)
    ijkToRas = _uprightAxes(radiograph.view, columnMm, rowMm)
    middle = ijkToRas[:3, :3] @ [(width - 1) / 2, (height - 1) / 2, 0]
    ijkToRas[:3, 3] = np.asarray(centreRas, float) - middle
    pixels = np.asarray(radiograph.pixels, np.float32)
    node = fill(node, pixels[None], ijkToRas, name, intensityWindow(pixels))
    setAttributes(
        node,
        View=radiograph.view.value,
        Role="frontal" if radiograph.view.is_frontal else "lateral",
        PixelSizeKnown=str(known).lower(),
        PixelMm=json.dumps([rowMm, columnMm]),
        Source=radiograph.source,
        Assumptions=json.dumps(list(radiograph.assumptions)),
        Warnings=json.dumps(list(radiograph.warnings)),
        LooksLike=radiograph.looks_like or None,
        Valid=backend.load("imaging.scene").mask_as_text(radiograph.valid),
    )
    return node


def radiographOf(node, view=None, invert=None, assumed=None):
    """The backend's `Radiograph` of a node.

    A node created by AXON yields the pixels as they were read. Any other single-slice volume is
    read again from its file, whose header contains more than the scene keeps; if the file is gone
    or the volume was modified, its pixels are used as displayed.

    Args:
        view, invert, assumed: as in `loadRadiograph`, for a node not created by AXON.

    Raises:
        AxonInputError: the volume has several slices, or is not an X-ray.
    """
    if requireVolumeNode(node, "An X-ray").GetAttribute("AXON.View"):
        known = node.GetAttribute("AXON.PixelSizeKnown") == "true"
        grey = np.array(slicer.util.arrayFromVolume(node)[0], np.float32)
        valid = backend.load("imaging.scene").mask_of_text(
            node.GetAttribute("AXON.Valid"), grey.shape
        )
        return backend.load("imaging.radiograph").Radiograph(
            grey,
            tuple(json.loads(node.GetAttribute("AXON.PixelMm"))) if known else None,
            backend.load("imaging.view").View(node.GetAttribute("AXON.View")),
            node.GetAttribute("AXON.Source") or node.GetName(),
            tuple(json.loads(node.GetAttribute("AXON.Assumptions") or "[]")),
            warnings=tuple(json.loads(node.GetAttribute("AXON.Warnings") or "[]")),
            looks_like=node.GetAttribute("AXON.LooksLike") or "",
            valid=valid,
        )
    assumed = assumed or backend.load("imaging.view").View.pa
    pixels = None if node.GetImageData() is None else slicer.util.arrayFromVolume(node)
    # A single slice, in any orientation; a line of pixels is not an image either.
    if pixels is None or sum(n > 1 for n in pixels.shape[:3]) != 2:
        shape = "" if pixels is None else " x ".join(str(n) for n in pixels.shape[2::-1])
        raise backend.load("errors").AxonInputError(
            _(
                "{name} is not a 2-D image ({shape} voxels). Select an X-ray here; select a CT "
                "under CT of the same patient."
            ).format(name=node.GetName(), shape=shape or _("no"))
        )
    file = unchangedFile(node)
    if file:
        read = backend.load("imaging.radiograph").read_radiograph
        return read(file, view=view, invert=invert, assumed=assumed)
    image, pixelMm, seen, oriented, note = _imageAsShown(node, pixels, view)
    return backend.load("imaging.scene").radiograph_from_pixels(
        image,
        pixelMm,
        seen,
        source=node.GetName(),
        assumptions=(note,),
        invert=invert,
        assumed=assumed,
        oriented=oriented,
    )


def ctArrays(node):
    """A copy of a node's voxels and world geometry, for `ctFromArrays` on any thread.

    Raises:
        AxonInputError: the node is empty, or has a nonlinear transform.
    """
    if node.GetImageData() is None:
        raise backend.load("errors").AxonInputError(
            _("{name} is empty. Select a chest CT.").format(name=node.GetName())
        )
    assumptions = tuple(json.loads(node.GetAttribute("AXON.Assumptions") or "[]"))
    return *huArrays(node), sourceOf(node), assumptions


def ctFromArrays(hu, ijkToLps, source, assumptions):
    """The `CTVolume` of the arrays copied by `ctArrays`. Does not use MRML: any thread.

    Raises:
        AxonInputError: it is not a chest CT.
    """
    return backend.load("imaging.scene").ct_from_array(hu, ijkToLps, source, assumptions)


def ctNode(ct, name, node=None):
    """A CT of the backend as a scalar volume node in HU."""
    ijkToLps = np.diag([*ct.spacing_mm, 1.0])
    ijkToLps[:3, 3] = ct.origin_mm
    node = fill(node, ct.hu, LPS_TO_RAS @ ijkToLps, name, (-1000.0, 500.0))
    setAttributes(node, Source=ct.source, Assumptions=json.dumps(list(ct.assumptions)))
    return node


def volumeNode(hu, frame, name, inversePose=None, node=None):
    """A volume [z, y, x] that fills the thorax frame, as a scalar volume node in HU.

    Args:
        inversePose: (4, 4) LPS transform from the beam's frame to the CT's; None if they coincide.
        node: node to update instead of creating one.
    """
    ijkToRas = frameToRas(hu.shape[0], frame, inversePose)
    return fill(node, hu, ijkToRas, name, (-1000.0, 500.0))


def frameToRas(n, frame, inversePose=None):
    """(4, 4) IJK to RAS of an n^3 volume that fills the thorax frame; see `volumeNode`."""
    ijkToLps = np.diag([*frame.spacing_mm(n), 1.0])
    ijkToLps[:3, 3] = frame.origin_mm(n)
    if inversePose is not None:
        ijkToLps = np.asarray(inversePose) @ ijkToLps
    return LPS_TO_RAS @ ijkToLps


def drrNode(image, frame, view, name, node=None):
    """A DRR (S, S) on the canonical grid, in the plane through the frame's centre.

    The node is an X-ray like any other: `radiographOf` accepts it.
    """
    view = backend.load("imaging.view").View(view)
    height, width = image.shape
    exposure = _exposure(frame, view)
    radiograph = backend.load("imaging.radiograph").Radiograph(
        np.asarray(image, np.float32),
        (exposure.extent_mm[1] / height, exposure.extent_mm[0] / width),
        view,
        name,
        (_("digitally reconstructed radiograph (DRR) of a CT, not an acquired X-ray"),),
    )
    centre = (LPS_TO_RAS @ [*frame.center_mm, 1.0])[:3]
    return radiographNode(radiograph, name, node, frame, centre)


def matrixOf(xrayNode, frame, view):
    """Current placement of an X-ray, with its transform, in the canonical view of a frame.

    Returns:
        (3, 3): canonical view in [0, 1]^2 (x to the viewer's right, y down) to pixels (column,
        row) of the X-ray, projected onto the view's plane.

    Raises:
        AxonInputError: the X-ray has a nonlinear transform, or is perpendicular to the view.
    """
    return matrixOfPlace(ijkToWorld(xrayNode), frame, view)


def matrixOfPlace(pixelToRas, frame, view):
    """`matrixOf` from a copied `volumes.ijkToWorld`. Does not use MRML: any thread."""
    toView = np.linalg.inv(viewToRas(frame, view)) @ pixelToRas
    flat = np.array([toView[0, [0, 1, 3]], toView[1, [0, 1, 3]], [0, 0, 1]])
    if abs(np.linalg.det(flat[:2, :2])) < 1e-12:
        raise backend.load("errors").AxonInputError(
            _(
                "The X-ray is perpendicular to the plane of the view. Check its view (frontal or "
                "lateral) and reset its placement."
            )
        )
    return np.linalg.inv(flat)


def placeByMatrix(xrayNode, transformNode, matrix, frame, view):
    """Set a transform that places the X-ray according to `matrix` (see `matrixOf`); apply it."""
    toView = np.linalg.inv(np.asarray(matrix, float))
    lifted = np.eye(4)
    lifted[:2, :2], lifted[:2, 3] = toView[:2, :2], toView[:2, 2]
    ijkToRas = ijkToWorld(xrayNode, withTransform=False)
    thickness = np.diag([1, 1, np.linalg.norm(ijkToRas[:3, 2]), 1])
    place = viewToRas(frame, view) @ lifted @ thickness @ np.linalg.inv(ijkToRas)
    slicer.util.updateTransformMatrixFromArray(transformNode, place, toWorld=True)
    xrayNode.SetAndObserveTransformNodeID(transformNode.GetID())


def atlasFrame(bundle=None):
    """The thorax frame of a bundle's atlas, centred at 0; None or "" is the shipped bundle."""
    bundle = backend.load("bundle").load_bundle(bundle or None)
    return backend.load("imaging.frame").ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])


def _exposure(frame, view):
    return backend.load("physics.geometry").AcquisitionGeometry.of_frame(frame, view)


def _uprightAxes(view, columnMm, rowMm):
    """(4, 4) IJK to RAS without origin: columns to the viewer's right, rows downwards."""
    frame = backend.load("imaging.frame").ThoraxFrame((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    exposure = _exposure(frame, view)
    column, row = np.asarray(exposure.column, float), np.asarray(exposure.row, float)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([column * columnMm, row * rowMm, np.cross(column, row)], 1)
    return LPS_TO_RAS @ matrix


def viewToRas(frame, view):
    """(4, 4): (x, y in [0, 1], millimetres behind the plane) of the canonical view to RAS."""
    exposure = _exposure(frame, view)
    matrix = _uprightAxes(view, *exposure.extent_mm)
    centre = LPS_TO_RAS @ [*exposure.isocentre_mm, 1.0]
    matrix[:3, 3] = centre[:3] - matrix[:3, :3] @ [0.5, 0.5, 0]
    return matrix


def _imageAsShown(node, pixels, view):
    """Image [row, column], pixel size (row, column), view if known, whether its geometry states the
    orientation, and a note on that, of a single-slice volume.

    Like the backend for single-slice files: coronal and sagittal slices are oriented by their
    geometry, others are used as rows and columns.
    """
    if pixels.ndim == 4:
        pixels = pixels[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    affine = LPS_TO_RAS @ ijkToWorld(node, withTransform=False)
    known = backend.load("imaging.radiograph").known_view(view)
    upright = backend.load("imaging.flat_volume").upright_plane(
        np.asarray(pixels, np.float32), affine, node.GetName(), known
    )
    if upright is not None:
        image, pixelMm, seen = upright
        note = _("oriented by the geometry of the volume in the scene")
        return image, pixelMm, known or seen, True, note
    steps = [mm for mm, n in zip(node.GetSpacing(), pixels.shape[::-1], strict=False) if n > 1]
    image = pixels.reshape([n for n in pixels.shape if n > 1])
    note = _("the volume is axial in the scene: rows are used from top to bottom as stored")
    return image, (steps[1], steps[0]), known, False, note
