"""Laying X-rays over the reference: search, pose, landmarks, and the score of a placement."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.console import arguments
from AXONReconstructionLib.console.reading import requireOwn
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.results import RegistrationResult, RegistrationResults
from AXONReconstructionLib.scene.volumes import ijkToWorld
from AXONReconstructionLib.setup import backend

# Pixels along each side of the picture that a placement is looked at with.
PLACED_SIZE = 512
ASSESS_SIZE = 256
ROLE = "xray"  # of an X-ray that is registered by itself
_XRAY = "AXON.Xray"  # role of a placement's reference to its X-ray


def register(tasks, reference, xrayNodes, method, pose, seed, accepted, **callbacks):
    """See `AXONReconstructionLogic.register`. `xrayNodes`: nodes by role."""
    if method not in ("planar", "pose", "pose_sid"):
        raise ValueError(f"method is 'planar', 'pose' or 'pose_sid', got {method!r}")
    if not xrayNodes:
        raise backend.load("errors").AxonInputError(
            _("There is no X-ray to register. Choose one under Inputs.")
        )
    if method != "planar" and reference.isAtlas:
        raise backend.load("errors").AxonInputError(
            _(
                "How the patient stood can only be found with a CT of the same patient. Choose it "
                "under Inputs, or use the flat registration."
            )
        )
    for node in xrayNodes.values():
        requireOwn(node)
    xrays = {role: nodes.radiographOf(node) for role, node in xrayNodes.items()}

    def work(job):
        def tell(stage, step, total, similarity=None):
            if job.cancelled():
                raise backend.load("errors").Cancelled("stopped during the registration")
            job.report(stage=stage, step=step, total=total, similarity=similarity)

        device = "cpu"
        if method != "planar":
            device = backend.load("inference.model_cache").choose_device("auto")
        found = backend.load("registration").register(
            xrays,
            reference.ct,
            reference.frame,
            method=method,
            placements={role: accepted[role] for role in xrays if accepted.get(role) is not None},
            pose=pose,
            size=PLACED_SIZE,
            seed=seed,
            device=device,
            progress=tell,
            cancelled=job.cancelled,
        )
        if found.search is None:
            return found.views, pose, [], []
        return found.views, found.pose, found.search.history, _poseNotes(found.search, accepted)

    def finish(found):
        placed, foundPose, history, notes = found
        results = {
            role: _result(xrayNodes[role], xrays[role], view, reference.frame)
            for role, view in placed.items()
        }
        return RegistrationResults(results, foundPose, history, notes)

    return tasks.run(work, finish, **callbacks)


def _poseNotes(found, accepted):
    """What a user should know about a pose that was searched for."""
    notes = []
    if not found.improved:
        notes.append(
            _("No pose agrees better than the one it started from; the CT stays as it was.")
        )
    held = [role for role in found.quality if accepted.get(role) is not None]
    if len(held) == len(found.quality):
        notes.append(
            _(
                "The accepted X-rays stayed in their place, which leaves the search little room. "
                "Take the acceptance back to let them move with the CT."
            )
        )
    return notes


def assess(tasks, reference, xrayNode, pose, **callbacks):
    """See `AXONReconstructionLogic.assess`."""
    requireOwn(xrayNode)
    xray = nodes.radiographOf(xrayNode)
    place = ijkToWorld(xrayNode)

    def work(job):
        frame = reference.frame
        matrix = nodes.matrixOfPlace(place, frame, xray.view)
        placed = _place(xray, reference, pose, placements={ROLE: matrix})
        return {**_quality(placed), "warnings": list(placed.warnings)}

    key = ("assess", xrayNode.GetID()) if callbacks.get("onFinished") else None
    return tasks.run(work, key=key, **callbacks)


def registerByLandmarks(tasks, reference, xrayNode, xrayLandmarks, drrLandmarks, pose, **callbacks):
    """See `AXONReconstructionLogic.registerByLandmarks`."""
    requireOwn(xrayNode)
    xray = nodes.radiographOf(xrayNode)
    place = ijkToWorld(xrayNode)
    for points, name in ((xrayLandmarks, "xrayLandmarks"), (drrLandmarks, "drrLandmarks")):
        arguments.markupsNode(points, name)
    onPicture = slicer.util.arrayFromMarkupsControlPoints(xrayLandmarks, world=True)
    onView = slicer.util.arrayFromMarkupsControlPoints(drrLandmarks, world=True)
    if len(onPicture) != len(onView):
        raise backend.load("errors").AxonInputError(
            _(
                "There are {a} landmarks on the X-ray and {b} on the computed picture; each needs "
                "its partner, in the same order. Add or delete points."
            ).format(a=len(onPicture), b=len(onView))
        )

    def work(job):
        frame = reference.frame
        toView = np.linalg.inv(nodes.viewToRas(frame, xray.view))
        pairs = backend.load("registration").Landmarks(
            _apply(toView, onView)[:, :2], _apply(np.linalg.inv(place), onPicture)[:, :2]
        )
        return _place(xray, reference, pose, landmarks={ROLE: pairs})

    def finish(placed):
        return _result(xrayNode, xray, placed, reference.frame)

    return tasks.run(work, finish, **callbacks)


def _place(xray, reference, pose, **known):
    """One X-ray in a known place; only its scores and its matrix are of use."""
    found = backend.load("registration").register(
        {ROLE: xray}, reference.ct, reference.frame, pose=pose, size=ASSESS_SIZE, **known
    )
    return found.views[ROLE]


def placementOf(xrayNode):
    """The X-ray's own linear transform, made when it has none; others' transforms are left alone.

    A transform made here carries the attribute AXON.Placement.
    """
    present = xrayNode.GetParentTransformNode()
    # The reference follows the X-ray when a scene is added to another and its nodes are renumbered.
    if present is not None and present.GetNodeReferenceID(_XRAY) == xrayNode.GetID():
        return present
    made = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLLinearTransformNode", _("{name} placement").format(name=xrayNode.GetName())
    )
    made.SetAttribute("AXON.Placement", xrayNode.GetID())
    made.SetNodeReferenceID(_XRAY, xrayNode.GetID())
    return made


def _result(xrayNode, searched, placed, frame):
    """Put the X-ray in the place found; `searched` is the picture that was looked at."""
    if not slicer.mrmlScene.IsNodePresent(xrayNode):
        raise backend.load("errors").AxonInputError(
            _(
                "{name} was deleted while its place was searched. Choose an X-ray and try again."
            ).format(name=xrayNode.GetName())
        )
    now = nodes.radiographOf(xrayNode)
    same = (now.view, now.pixel_mm) == (searched.view, searched.pixel_mm)
    if not (same and np.array_equal(now.pixels, searched.pixels)):
        raise backend.load("errors").AxonInputError(
            _(
                "{name} was corrected while its place was searched; the place found belongs to the "
                "picture of before. Press Auto-register again."
            ).format(name=xrayNode.GetName())
        )
    transformNode = placementOf(xrayNode)
    matrix = placed.registration.matrix
    nodes.placeByMatrix(xrayNode, transformNode, matrix, frame, placed.view)
    return RegistrationResult(transformNode, matrix, _quality(placed), list(placed.warnings))


def _quality(placed):
    quality = placed.registration.quality
    return {
        "ncc": quality.ncc,
        "gradient_ncc": quality.gradient_ncc,
        "mutual_information": quality.mutual_information,
        "verdict": quality.verdict,
    }


def _apply(matrix, points):
    """(4, 4) applied to (n, 3)."""
    points = np.asarray(points, float).reshape(-1, 3)
    return points @ matrix[:3, :3].T + matrix[:3, 3]
