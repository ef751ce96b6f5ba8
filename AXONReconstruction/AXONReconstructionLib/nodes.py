"""Pictures and volumes of the backend as MRML nodes, and back.

The backend speaks LPS millimetres, MRML speaks RAS millimetres; the two meet in this file only.
Whole voxel and pixel coordinates are centres, in both.
"""

from __future__ import annotations

import json

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib import arguments, backend
from AXONReconstructionLib.volumes import (
    LPS_TO_RAS,
    fill,
    greyWindow,
    ijkToWorld,
    setAttributes,
    sourceOf,
    unchangedFile,
)


def radiographNode(radiograph, name, node=None, frame=None, centreRas=(0.0, 0.0, 0.0)):
    """An X-ray as a one-slice volume that stands upright in the patient.

    Frontal views lie in the coronal plane with the patient's right on the viewer's left, lateral
    ones in the sagittal plane with the front on the viewer's left.

    Args:
        radiograph: the backend's `Radiograph`.
        name: of the node.
        node: updated in place of making one; keeps its transform.
        frame: whose field of view an X-ray without pixel size fills; None is the average chest's.
        centreRas: where the picture's middle lies, before any transform.
    """
    height, width = radiograph.pixels.shape
    known = radiograph.pixel_mm is not None
    if known:
        rowMm, columnMm = radiograph.pixel_mm
    else:
        fieldWidth, fieldHeight = _exposure(frame or averageFrame(), radiograph.view).extent_mm
        rowMm = columnMm = max(fieldWidth / width, fieldHeight / height)
    ijkToRas = _standing(radiograph.view, columnMm, rowMm)
    middle = ijkToRas[:3, :3] @ [(width - 1) / 2, (height - 1) / 2, 0]
    ijkToRas[:3, 3] = np.asarray(centreRas, float) - middle
    pixels = np.asarray(radiograph.pixels, np.float32)
    node = fill(node, pixels[None], ijkToRas, name, greyWindow(pixels))
    setAttributes(
        node,
        View=radiograph.view.value,
        Role="frontal" if radiograph.view.is_frontal else "lateral",
        PixelSizeKnown=str(known).lower(),
        PixelMm=json.dumps([rowMm, columnMm]),
        Source=radiograph.source,
        Assumptions=json.dumps(list(radiograph.assumptions)),
        Warnings=json.dumps(list(radiograph.warnings)),
    )
    return node


def radiographOf(node, view=None, invert=None, assumed=None):
    """The backend's `Radiograph` of a node.

    A node that AXON made gives back its pixels as they were read. Another flat volume of the scene
    is read again from its file, because its header says more than the scene keeps; without an
    unchanged file its pixels are taken as shown.

    Args:
        view, invert, assumed: for a node that AXON did not make, what is known; see
            `loadRadiograph`.

    Raises:
        AxonInputError: the volume is not flat, or is no X-ray.
    """
    if arguments.volumeNode(node, "An X-ray").GetAttribute("AXON.View"):
        known = node.GetAttribute("AXON.PixelSizeKnown") == "true"
        return backend.load("imaging.radiograph").Radiograph(
            np.array(slicer.util.arrayFromVolume(node)[0], np.float32),
            tuple(json.loads(node.GetAttribute("AXON.PixelMm"))) if known else None,
            backend.load("imaging.view").View(node.GetAttribute("AXON.View")),
            node.GetAttribute("AXON.Source") or node.GetName(),
            tuple(json.loads(node.GetAttribute("AXON.Assumptions") or "[]")),
            warnings=tuple(json.loads(node.GetAttribute("AXON.Warnings") or "[]")),
        )
    assumed = assumed or backend.load("imaging.view").View.pa
    pixels = None if node.GetImageData() is None else slicer.util.arrayFromVolume(node)
    # Flat is one slice, in whatever direction; a line of pixels is no picture either.
    if pixels is None or sum(n > 1 for n in pixels.shape[:3]) != 2:
        shape = "" if pixels is None else " x ".join(str(n) for n in pixels.shape[2::-1])
        raise backend.load("errors").AxonInputError(
            _(
                "{name} is not flat ({shape} voxels), an X-ray is. Choose an X-ray; a CT belongs "
                "under CT of the same patient."
            ).format(name=node.GetName(), shape=shape or _("no"))
        )
    file = unchangedFile(node)
    if file:
        read = backend.load("imaging.radiograph").read_radiograph
        return read(file, view=view, invert=invert, assumed=assumed)
    picture, pixelMm, seen, turned, note = _asShown(node, pixels, view)
    return backend.load("imaging.scene").radiograph_from_pixels(
        picture,
        pixelMm,
        seen,
        source=node.GetName(),
        assumptions=(note,),
        invert=invert,
        assumed=assumed,
        turned=turned,
    )


def ctOf(node):
    """The backend's `CTVolume` of a node, where it stands in the world.

    Raises:
        AxonInputError: it is no chest CT, or it lies under a transform that bends.
    """
    return ctFromArrays(*ctArrays(node))


def ctArrays(node):
    """A copy of a node's voxels and geometry: what `ctFromArrays` makes a CT of, on any thread."""
    if node.GetImageData() is None:
        raise backend.load("errors").AxonInputError(
            _("{name} is empty. Choose a chest CT.").format(name=node.GetName())
        )
    hu = np.array(slicer.util.arrayFromVolume(node), np.float32)
    assumptions = tuple(json.loads(node.GetAttribute("AXON.Assumptions") or "[]"))
    return hu, LPS_TO_RAS @ ijkToWorld(node), sourceOf(node), assumptions


def ctFromArrays(hu, ijkToLps, source, assumptions):
    """The `CTVolume` of what `ctArrays` copied. No MRML: may run on the worker."""
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
        inversePose: (4, 4) LPS, from the beam's frame to the CT's own place; None where they are
            one.
        node: updated in place of making one.
    """
    n = hu.shape[0]
    ijkToLps = np.diag([*frame.spacing_mm(n), 1.0])
    ijkToLps[:3, 3] = frame.origin_mm(n)
    if inversePose is not None:
        ijkToLps = np.asarray(inversePose) @ ijkToLps
    return fill(node, hu, LPS_TO_RAS @ ijkToLps, name, (-1000.0, 500.0))


def drrNode(picture, frame, view, name, node=None):
    """A DRR (S, S) on the canonical grid, on the plane through the frame's centre.

    The node is an X-ray like any other: `radiographOf` gives it back.
    """
    view = backend.load("imaging.view").View(view)
    height, width = picture.shape
    exposure = _exposure(frame, view)
    radiograph = backend.load("imaging.radiograph").Radiograph(
        np.asarray(picture, np.float32),
        (exposure.extent_mm[1] / height, exposure.extent_mm[0] / width),
        view,
        name,
        (_("a radiograph computed from a CT, not an X-ray"),),
    )
    centre = (LPS_TO_RAS @ [*frame.center_mm, 1.0])[:3]
    return radiographNode(radiograph, name, node, frame, centre)


def matrixOf(xrayNode, frame, view):
    """Where an X-ray lies now, with its transform, in the canonical view of a frame.

    Returns:
        (3, 3): canonical view in [0, 1]^2 (x to the viewer's right, y down) to pixels (column,
        row) of the X-ray. A place beside the plane counts as projected onto it.

    Raises:
        AxonInputError: the X-ray lies under a transform that bends, or across the view's plane.
    """
    return matrixOfPlace(ijkToWorld(xrayNode), frame, view)


def matrixOfPlace(pixelToRas, frame, view):
    """`matrixOf` of a copied `volumes.ijkToWorld`. No MRML: may run on the worker."""
    toView = np.linalg.inv(viewToRas(frame, view)) @ pixelToRas
    flat = np.array([toView[0, [0, 1, 3]], toView[1, [0, 1, 3]], [0, 0, 1]])
    if abs(np.linalg.det(flat[:2, :2])) < 1e-12:
        raise backend.load("errors").AxonInputError(
            _(
                "The X-ray stands across the plane of the view, so it shows nothing there. Check "
                "its view (frontal or lateral) and reset its placement."
            )
        )
    return np.linalg.inv(flat)


def placeByMatrix(xrayNode, transformNode, matrix, frame, view):
    """Set a transform so that the X-ray lies as `matrix` says (see `matrixOf`), and apply it."""
    toView = np.linalg.inv(np.asarray(matrix, float))
    lifted = np.eye(4)
    lifted[:2, :2], lifted[:2, 3] = toView[:2, :2], toView[:2, 2]
    ijkToRas = ijkToWorld(xrayNode, withTransform=False)
    thickness = np.diag([1, 1, np.linalg.norm(ijkToRas[:3, 2]), 1])
    place = viewToRas(frame, view) @ lifted @ thickness @ np.linalg.inv(ijkToRas)
    slicer.util.updateTransformMatrixFromArray(transformNode, place, toWorld=True)
    xrayNode.SetAndObserveTransformNodeID(transformNode.GetID())


def averageFrame(bundle=None):
    """The thorax frame of a bundle's atlas, around 0; None or "" is the shipped bundle."""
    bundle = backend.load("bundle").load_bundle(bundle or None)
    return backend.load("imaging.frame").ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])


def _exposure(frame, view):
    return backend.load("physics.geometry").AcquisitionGeometry.of_frame(frame, view)


def _standing(view, columnMm, rowMm):
    """(4, 4) IJK to RAS without origin: columns to the viewer's right, rows down."""
    frame = backend.load("imaging.frame").ThoraxFrame((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    exposure = _exposure(frame, view)
    column, row = np.asarray(exposure.column, float), np.asarray(exposure.row, float)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([column * columnMm, row * rowMm, np.cross(column, row)], 1)
    return LPS_TO_RAS @ matrix


def viewToRas(frame, view):
    """(4, 4): (x, y in [0, 1], millimetres behind the plane) of the canonical view to RAS."""
    exposure = _exposure(frame, view)
    matrix = _standing(view, *exposure.extent_mm)
    centre = LPS_TO_RAS @ [*exposure.isocentre_mm, 1.0]
    matrix[:3, 3] = centre[:3] - matrix[:3, :3] @ [0.5, 0.5, 0]
    return matrix


def _asShown(node, pixels, view):
    """Picture [row, column], its pixel size (row, column), its view if that is known, whether it
    was turned, and what was done, of a flat volume.

    As the backend reads a flat file: upright planes are turned by their geometry, others are taken
    as rows and columns.
    """
    if pixels.ndim == 4:
        pixels = pixels[..., :3].astype(np.float32) @ np.float32([0.299, 0.587, 0.114])
    affine = LPS_TO_RAS @ ijkToWorld(node, withTransform=False)
    known = backend.load("imaging.radiograph").known_view(view)
    upright = backend.load("imaging.flat_volume").upright_plane(
        np.asarray(pixels, np.float32), affine, node.GetName(), known
    )
    if upright is not None:
        picture, pixelMm, seen = upright
        note = _("turned as the volume's geometry in the scene says")
        return picture, pixelMm, known or seen, True, note
    steps = [mm for mm, n in zip(node.GetSpacing(), pixels.shape[::-1], strict=False) if n > 1]
    picture = pixels.reshape([n for n in pixels.shape if n > 1])
    note = _("the volume lies flat in the scene: rows are taken top to bottom as stored")
    return picture, (steps[1], steps[0]), known, False, note
