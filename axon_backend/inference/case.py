"""From the images of a case to network inputs: choose its frame, register its views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.standardise import standardise_view
from axon_backend.imaging.view import View
from axon_backend.inference.case_files import CaseInputs
from axon_backend.inference.memory_fallback import is_out_of_memory
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry, beam_parameter
from axon_backend.physics.pose import Pose
from axon_backend.registration import register as register_xrays
from axon_backend.registration.place import PlacedView, check_placement, check_role
from axon_backend.util.run_context import RunContext

VIEW_SIZE = 1024


@dataclass(frozen=True)
class PlacedCase:
    """A case whose views are registered to the thorax frame.

    Attributes:
        case: the images.
        views: the registered views by role.
        frame: the frame, in LPS millimetres; with a pose, the canonical beam frame.
        pose: pose of the patient, or None to leave the CT where it is.
        accepted: the roles whose placement was given instead of searched for.
        warnings: messages for the user.
    """

    case: CaseInputs
    views: dict[str, PlacedView]
    frame: ThoraxFrame
    pose: Pose | None = None
    accepted: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> list[str]:
        """The roles whose registration is poor and was not accepted by the user."""
        registrations = {role: view.registration for role, view in self.views.items()}
        return [
            role
            for role, registration in registrations.items()
            if registration is not None
            and registration.quality.refused
            and role not in self.accepted
        ]

    @property
    def ct_motion(self) -> np.ndarray | None:
        """(4, 4), from a point of the CT to its position in the frame; None for the identity."""
        if self.pose is None or not self.pose.moves_patient:
            return None
        return self.pose.matrix(self.frame.center_mm)

    def exposure(self, role: str) -> AcquisitionGeometry:
        """Geometry in which a view sees the frame: the canonical beam, at the pose's distance."""
        return _beam(self.frame, self.views[role].view, self.pose)


def check_placements(
    case: CaseInputs, placements: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """The accepted placements as (3, 3) float64 by role.

    Raises:
        AxonInputError: one is not a valid placement, or belongs to an X-ray that was not given.
    """
    placements = placements or {}
    given = [role for role, xray in case.xrays.items() if xray is not None]
    for role in placements:
        check_role(role, given)
    return {role: check_placement(matrix) for role, matrix in placements.items()}


def place_case(
    case: CaseInputs,
    bundle: Bundle,
    context: RunContext,
    *,
    device: torch.device,
    register: bool,
    placements: Mapping[str, np.ndarray] | None = None,
    pose: Pose | None = None,
) -> PlacedCase:
    """Register every X-ray to a DRR of the CT or, without a CT, of the atlas. Views without an
    X-ray are rendered from the CT, already in place.

    Args:
        placements: accepted registrations by role, used instead of a search (see
            ``registration.register``).
        pose: pose of the patient relative to the CT or, without a CT, to the atlas.

    Raises:
        AxonInputError: an X-ray, a placement or the frame cannot be used.
        Cancelled: ``context.cancelled()`` returned True.
    """
    accepted = check_placements(case, placements)
    warnings: list[str] = []
    if case.ct is not None:
        warnings += case.ct.warnings
        reference, frame = case.ct, find_thorax_frame(case.ct)
    else:
        reference, frame = atlas_ct(bundle), ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    xrays = {role: xray for role, xray in case.xrays.items() if xray is not None}
    views: dict[str, PlacedView] = {}
    if xrays:
        views = register_xrays(
            xrays,
            reference,
            frame,
            method="planar" if register else "none",
            placements=accepted,
            pose=pose,
            size=VIEW_SIZE,
            seed=context.seed,
            progress=lambda _stage, step, *_: context.report("register", step, len(case.xrays)),
            cancelled=context.cancelled,
        ).views
    for role, xray in case.xrays.items():
        if xray is None:
            context.report("register", len(views), len(case.xrays))
            view = View.pa if role == "frontal" else View.lateral_left
            image = _drr(reference, frame, view, pose, device, warnings)
            views[role] = PlacedView.from_drr(image, view)
        elif role in accepted and not views[role].valid.any():
            raise AxonInputError(
                f"The accepted placement contains no part of the {role} X-ray. Register it again."
            )
        warnings += [f"{role}: {w}" for w in views[role].warnings]
    views = {role: views[role] for role in case.xrays}
    context.report("register", len(case.xrays), len(case.xrays))
    if case.ct is None:
        frame, note = _frame_from_views(frame, views)
        warnings += [note] if note else []
    return PlacedCase(case, views, frame, pose, tuple(accepted), tuple(warnings))


def network_views(placed: PlacedCase) -> RegisteredViews:
    """The standardised images (1, 1, S, S) and beam parameters (1, 2) of a case."""
    views, frame = placed.views, placed.frame
    images: dict[str, torch.Tensor] = {}
    beam = []
    for role, axis, default in (("frontal", 1, View.pa), ("lateral", 0, View.lateral_left)):
        shown = views.get(role)
        view = shown.view if shown is not None else default
        sod_mm = _beam(frame, view, placed.pose).sod_mm
        beam.append(beam_parameter(frame.size_mm[axis], sod_mm, view))
        if shown is not None:
            images[role] = standardise_view(
                torch.as_tensor(shown.pixels)[None, None],
                torch.as_tensor(shown.covered)[None, None],
            )
    return RegisteredViews(images["frontal"], images.get("lateral"), torch.tensor([beam]))


def _beam(frame: ThoraxFrame, view: View, pose: Pose | None) -> AcquisitionGeometry:
    if pose is None:
        return AcquisitionGeometry.of_frame(frame, view)
    return Pose(sid_mm=pose.sid_mm).geometry(frame, view)


def _drr(
    ct: CTVolume,
    frame: ThoraxFrame,
    view: View,
    pose: Pose | None,
    device: torch.device,
    warnings: list[str],
) -> np.ndarray:
    """(S, S) DRR of the posed CT, computed on the CPU if the memory of the GPU does not suffice."""

    def render(where: torch.device) -> np.ndarray:
        geometry = (pose or Pose()).geometry(frame, view)
        return render_drr(ct, geometry, VIEW_SIZE, device=where).cpu().numpy()

    try:
        return render(device)
    except Exception as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    warnings.append("the GPU ran out of memory: the DRR was computed on the CPU")
    return render(torch.device("cpu"))


def _frame_from_views(
    atlas: ThoraxFrame, views: dict[str, PlacedView]
) -> tuple[ThoraxFrame, str | None]:
    """The frame with its size from the pixel sizes of the X-rays, else from the atlas; and a note
    on what was assumed."""
    x, y, z = atlas.size_mm
    front, side = views["frontal"].size_mm, None
    if "lateral" in views:
        side = views["lateral"].size_mm
    if front is None and side is None:
        return atlas, (
            "no X-ray has a pixel size: the scale of the volume is that of the atlas (an average "
            "chest)"
        )
    heights = [s[1] for s in (front, side) if s is not None]
    height = sum(heights) / len(heights)
    width = front[0] if front is not None else x * height / z
    depth = side[0] if side is not None else y * (width / x * height / z) ** 0.5
    note = None
    if side is None:
        note = "no lateral X-ray: the depth in millimetres is derived from the average chest"
    return ThoraxFrame((0.0, 0.0, 0.0), (width, depth, height)), note
