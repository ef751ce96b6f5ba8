"""Registration of X-rays to the reference: planar, pose, landmarks, and quality metrics."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.console import arguments
from AXONReconstructionLib.console.reading import requireOwn
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.placement_state import placementTransform
from AXONReconstructionLib.scene.results import RegistrationResult, RegistrationResults
from AXONReconstructionLib.scene.volumes import ijkToWorld
from AXONReconstructionLib.setup import backend

# Image size in pixels at which a placement is registered and assessed.
REGISTRATION_SIZE = 512
ASSESS_SIZE = 256
ROLE = "xray"  # of a single X-ray


def register(tasks, reference, xrayNodes, method, pose, seed, accepted, **callbacks):
    """See `AXONReconstructionLogic.register`. `xrayNodes`: nodes by role."""
    if method not in ("planar", "pose", "pose_sid"):
        raise ValueError(f"method must be 'planar', 'pose' or 'pose_sid', got {method!r}")
    if not xrayNodes:
        raise backend.load("errors").AxonInputError(
            _("There is no X-ray to register. Select one under Inputs.")
        )
    if method != "planar" and reference.isAtlas:
        raise backend.load("errors").AxonInputError(
            _(
                "Estimating the pose requires a CT of the same patient. Select it under Inputs, or "
                "use 2-D registration."
            )
        )
    for node in xrayNodes.values():
        requireOwn(node)
    xrays = {role: nodes.radiographOf(node) for role, node in xrayNodes.items()}

    def work(job):
        def report(stage, step, total, similarity=None):
            if job.cancelled():
                raise backend.load("errors").Cancelled("cancelled during registration")
            job.report(stage=stage, step=step, total=total, similarity=similarity)

        device = "cpu"
        if method != "planar":
            device = backend.load("inference.model_loading").choose_device("auto")
        found = backend.load("registration").register(
            xrays,
            reference.ct,
            reference.frame,
            method=method,
            placements={role: accepted[role] for role in xrays if accepted.get(role) is not None},
            pose=pose,
            size=REGISTRATION_SIZE,
            seed=seed,
            device=device,
            progress=report,
            cancelled=job.cancelled,
        )
        if found.search is None:
            return found.views, pose, [], []
        warnings = _poseWarnings(found.search, accepted)
        return found.views, found.pose, found.search.history, warnings

    def finish(found):
        placed, foundPose, history, warnings = found
        results = {
            role: _result(xrayNodes[role], xrays[role], view, reference.frame)
            for role, view in placed.items()
        }
        return RegistrationResults(results, foundPose, history, warnings)

    return tasks.run(work, finish, **callbacks)


def _poseWarnings(found, accepted):
    """Warnings about an estimated pose."""
    warnings = []
    if not found.improved:
        warnings.append(
            _("No pose agrees better than the initial one; the pose of the CT is unchanged.")
        )
    held = [role for role in found.quality if accepted.get(role) is not None]
    if len(held) == len(found.quality):
        warnings.append(
            _(
                "The placements of accepted X-rays were kept fixed, which restricts the pose "
                "search. Move or reset the X-rays to optimise them together with the CT."
            )
        )
    return warnings


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
        arguments.requireMarkupsNode(points, name)
    xrayPoints = slicer.util.arrayFromMarkupsControlPoints(xrayLandmarks, world=True)
    drrPoints = slicer.util.arrayFromMarkupsControlPoints(drrLandmarks, world=True)
    if len(xrayPoints) != len(drrPoints):
        raise backend.load("errors").AxonInputError(
            _(
                "There are {a} landmarks on the X-ray and {b} on the DRR; they must correspond "
                "pairwise, in the same order. Add or delete points."
            ).format(a=len(xrayPoints), b=len(drrPoints))
        )

    def work(job):
        frame = reference.frame
        toView = np.linalg.inv(nodes.viewToRas(frame, xray.view))
        pairs = backend.load("registration").Landmarks(
            _apply(toView, drrPoints)[:, :2], _apply(np.linalg.inv(place), xrayPoints)[:, :2]
        )
        return _place(xray, reference, pose, landmarks={ROLE: pairs})

    def finish(placed):
        return _result(xrayNode, xray, placed, reference.frame)

    return tasks.run(work, finish, **callbacks)


def _place(xray, reference, pose, **known):
    """One X-ray at a known placement; only its quality and its matrix are used."""
    found = backend.load("registration").register(
        {ROLE: xray}, reference.ct, reference.frame, pose=pose, size=ASSESS_SIZE, **known
    )
    return found.views[ROLE]


def _result(xrayNode, registered, placed, frame):
    """Apply a placement to the X-ray; `registered` is the image it was computed for."""
    if not slicer.mrmlScene.IsNodePresent(xrayNode):
        raise backend.load("errors").AxonInputError(
            _("{name} was deleted during its registration. Select an X-ray and try again.").format(
                name=xrayNode.GetName()
            )
        )
    now = nodes.radiographOf(xrayNode)
    same = (now.view, now.pixel_mm) == (registered.view, registered.pixel_mm)
    if not (same and np.array_equal(now.pixels, registered.pixels)):
        raise backend.load("errors").AxonInputError(
            _(
                "{name} was corrected during its registration, so the result no longer applies. "
                "Click Auto-register again."
            ).format(name=xrayNode.GetName())
        )
    transformNode = placementTransform(xrayNode)
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
    """Apply a (4, 4) transform to (n, 3) points."""
    points = np.asarray(points, float).reshape(-1, 3)
    return points @ matrix[:3, :3].T + matrix[:3, 3]
