"""The X-ray check: a DRR of the result, compared with the X-ray it was reconstructed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.volumes import setAttributes, setWindow
from AXONReconstructionLib.setup import backend

SIZE = 512
ATTRIBUTE = "AXON.Check"


@dataclass(frozen=True)
class Check:
    """One view: the X-ray as used, a DRR of the result, and their agreement.

    Attributes:
        xray, drr: scalar volume nodes on one grid, in the plane of the view through the frame's
            centre.
        agreement: normalised cross-correlation after local contrast normalisation; 1 is perfect.
    """

    xray: Any
    drr: Any
    agreement: float


def check(tasks, result, volume, xrayNodes, onFinished=None, onError=None, onCancelled=None):
    """Project a volume of the result onto the planes of its X-rays; yields a `Check` by role.

    A view that was itself a DRR of the CT is compared with that DRR.

    Args:
        tasks: the logic's `Tasks`.
        result: `ReconstructionResult`; its record provides frame, pose and placements.
        volume: node of the stage to project.
        xrayNodes: X-rays by role; a role without one is skipped unless a DRR of the CT was used.
    """
    record = result.record
    wanted = {}
    for view in record.get("registration", ()):
        role, node = view["role"], xrayNodes.get(view["role"])
        if "matrix" not in view and result.truth is not None:
            wanted[role] = (view, None)
        elif "matrix" in view and node is not None:
            wanted[role] = (view, nodes.radiographOf(node))
    hu = np.array(slicer.util.arrayFromVolume(volume), np.float32)
    truth = None
    if any(xray is None for _view, xray in wanted.values()):
        truth = np.array(slicer.util.arrayFromVolume(result.truth), np.float32)

    def work(job):
        beams = _Beams(record)
        return beams.frame, {
            role: (view, *_pair(beams, view, xray, hu, truth))
            for role, (view, xray) in wanted.items()
        }

    def finish(found):
        frame, pairs = found
        return {
            role: Check(
                _node(xray, frame, view, "xray"),
                _node(drr, frame, view, "drr"),
                agreement,
            )
            for role, (view, xray, drr, agreement) in pairs.items()
        }

    return tasks.run(
        work, finish, onFinished=onFinished, onError=onError, onCancelled=onCancelled, key="check"
    )


class _Beams:
    """Frame and acquisition geometry of a recorded run."""

    def __init__(self, record: dict) -> None:
        frames, poses = backend.load("imaging.frame"), backend.load("physics.pose")
        self.frame = frames.ThoraxFrame(
            *(tuple(record["frame"][k]) for k in ("center_mm", "size_mm"))
        )
        pose = poses.Pose.from_dict(record["pose"]) if record.get("pose") else poses.Pose()
        # The volume is in the beam's frame already; only the source distance matters.
        self._pose = poses.Pose(sid_mm=pose.sid_mm)

    def project(self, hu: np.ndarray, view: str) -> np.ndarray:
        """(SIZE, SIZE) line integrals of a volume [z, y, x] that fills the frame."""
        beam = self._pose.geometry(self.frame, backend.load("imaging.view").View(view))
        volume = backend.load("physics.attenuation").AttenuationVolume.in_frame(hu, self.frame)
        return backend.load("physics.drr").render_drr(volume, beam, SIZE).numpy()


def _pair(beams, view, xray, hu, truth):
    """The X-ray and the DRR of the volume on the canonical grid, and their agreement."""
    made = beams.project(hu, view["view"])
    if xray is None:
        seen, valid = beams.project(truth, view["view"]), np.ones(made.shape, bool)
    else:
        resample = backend.load("registration.resample").resample_image
        matrix = np.asarray(view["matrix"], float)
        seen, valid = resample(xray.pixels, matrix, SIZE, valid=xray.valid)
        if valid.any():
            seen[~valid] = seen[valid].min()  # background outside the image
    similarity = backend.load("registration.similarity")
    local = backend.load("imaging.matching").local_contrast
    valid = valid & (made > 0)
    a, b = (local(image, valid) for image in (made, seen))
    return seen, made, float(similarity.ncc(a, b, valid))


def _node(image, frame, view, kind):
    role = view["role"]
    title = {
        ("xray", "frontal"): _("AXON check: frontal X-ray"),
        ("xray", "lateral"): _("AXON check: lateral X-ray"),
        ("drr", "frontal"): _("AXON check: frontal DRR of the result"),
        ("drr", "lateral"): _("AXON check: lateral DRR of the result"),
    }[kind, role]
    old = [
        n
        for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if n.GetAttribute(ATTRIBUTE) == f"{kind} {role}"
    ]
    node = nodes.drrNode(image, frame, view["view"], title, old[0] if old else None)
    setWindow(node, *np.percentile(image, (1.0, 99.5)))
    setAttributes(node, Check=f"{kind} {role}")
    return node
