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
        def report(step, total, similarity=None, stage="register"):
            if job.cancelled():
                raise backend.load("errors").Cancelled("cancelled during registration")
            job.report(stage=stage, step=step, total=total, similarity=similarity)

        place = backend.load("registration.place")
        ct, frame = reference.ct, reference.frame

        def registerPlanar(xray, pose):
            return place.place_view(
                xray,
                ct,
                frame,
                size=REGISTRATION_SIZE,
                stretch=reference.isAtlas,
                seed=seed,
                pose=pose,
                cancelled=job.cancelled,
            )

        def placeAt(xray, matrix, pose):
            return place.place_with(xray, ct, frame, matrix, pose=pose, size=REGISTRATION_SIZE)

        placed = {}
        for number, (role, xray) in enumerate(xrays.items()):
            report(number, len(xrays))
            known = accepted.get(role)
            if known is None:
                placed[role] = registerPlanar(xray, pose)
            else:
                placed[role] = placeAt(xray, known, pose)
        report(len(xrays), len(xrays))
        if method == "planar":
            return placed, pose, [], []
        found = backend.load("registration.rigid").register_pose(
            placed,
            ct,
            frame,
            start=pose,
            progress=lambda step, total, similarity: report(step, total, similarity, "pose"),
            cancelled=job.cancelled,
            seed=seed,
            device=backend.load("inference.model_cache").choose_device("auto"),
            hold=[role for role in xrays if accepted.get(role) is not None],
            find_sid=method == "pose_sid",
        )
        for role, xray in xrays.items():
            # The search optimises the pose and the in-plane placements jointly.
            matrix = found.matrices.get(role, placed[role].registration.matrix)
            placed[role] = placeAt(xray, matrix, found.pose)
        return placed, found.pose, found.history, _poseWarnings(found, accepted)

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
        place_with = backend.load("registration.place").place_with
        placed = place_with(xray, reference.ct, frame, matrix, pose=pose, size=ASSESS_SIZE)
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
        exposure = backend.load("physics.geometry").AcquisitionGeometry.of_frame(frame, xray.view)
        fit = backend.load("registration.landmarks").fit_landmarks(
            _apply(toView, drrPoints)[:, :2],
            _apply(np.linalg.inv(place), xrayPoints)[:, :2],
            aspect=exposure.extent_mm[0] / exposure.extent_mm[1],
        )
        place_with = backend.load("registration.place").place_with
        return place_with(xray, reference.ct, frame, fit.matrix, pose=pose, size=ASSESS_SIZE)

    def finish(placed):
        return _result(xrayNode, xray, placed, reference.frame)

    return tasks.run(work, finish, **callbacks)


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
