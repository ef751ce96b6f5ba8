"""From files to what the networks see: reading, checking, choosing the frame, placing the views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.standardise import standardise_view
from axon_backend.imaging.view import Stated, View
from axon_backend.inference.memory_fallback import is_out_of_memory
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry, beam_parameter
from axon_backend.physics.pose import Pose
from axon_backend.registration import register as register_xrays
from axon_backend.registration.place import PlacedView, check_placement, check_role
from axon_backend.util.plain_text import recorded
from axon_backend.util.run_context import RunContext

VIEW_SIZE = 1024
PathLike = str | Path


@dataclass(frozen=True)
class CaseInputs:
    """The files of one case, read.

    Attributes:
        xrays: by role (``frontal``, ``lateral``); None where the DRR of ``ct`` stands in.
        ct: the patient's CT, or None.
    """

    xrays: dict[str, Radiograph | None]
    ct: CTVolume | None

    def describe(self, views: dict[str, PlacedView]) -> list[dict]:
        """The ``inputs`` of ``result.json``; see ``util.plain_text.recorded`` for the paths."""
        rows: list[dict] = [
            {
                "role": role,
                "path": recorded(xray.source) if xray is not None else "DRR of the CT",
                "view": views[role].view.value,
                "pixel_mm": xray.pixel_mm if xray is not None else None,
                "assumptions": list(xray.assumptions) if xray is not None else [],
            }
            for role, xray in self.xrays.items()
        ]
        if self.ct is not None:
            notes = list(self.ct.assumptions)
            rows.append({"role": "ct", "path": recorded(self.ct.source), "assumptions": notes})
        return rows


def read_case(
    frontal: PathLike | Radiograph | None,
    lateral: PathLike | Radiograph | None,
    ct: PathLike | CTVolume | None,
    *,
    frontal_view: View | None = None,
    render_lateral: bool = False,
    stated: Mapping[str, Stated] | None = None,
) -> CaseInputs:
    """Read what ``reconstruct`` was given; see there for the arguments.

    Raises:
        AxonInputError: a file cannot be used, or nothing to start from was given.
    """
    stated = stated or {}
    forced = stated.get("ct", {}).get("force", False)
    volume = read_ct(ct, force=forced) if isinstance(ct, str | Path) else ct
    front = _as_radiograph(frontal, frontal_view, View.pa, stated.get("frontal", {}))
    side = _as_radiograph(lateral, None, View.lateral_left, stated.get("lateral", {}))
    if front is None and volume is None:
        raise AxonInputError("Neither a frontal X-ray nor a CT was given; one of them is needed.")
    _check_roles(front, side)
    xrays = {"frontal": front}
    if side is not None or (render_lateral and volume is not None):
        xrays["lateral"] = side
    return CaseInputs(xrays, volume)


@dataclass(frozen=True)
class PlacedCase:
    """A case whose views are in the frame.

    Attributes:
        case: what was read.
        views: the registered views by role.
        frame: LPS millimetres; the canonical beam frame where there is a pose.
        pose: how the patient stood, or None for the CT as it lies.
        accepted: the roles whose placement was given, not searched for.
        warnings: in plain words.
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
        found = {role: view.registration for role, view in self.views.items()}
        return [
            role
            for role, registration in found.items()
            if registration is not None
            and registration.quality.refused
            and role not in self.accepted
        ]

    @property
    def ct_motion(self) -> np.ndarray | None:
        """(4, 4), from a point of the CT to its place in the frame; None where it stays."""
        if self.pose is None or not self.pose.moves_patient:
            return None
        return self.pose.matrix(self.frame.center_mm)

    def exposure(self, role: str) -> AcquisitionGeometry:
        """How the frame's volume is seen in a view: the canonical beam, at the pose's distance."""
        return _beam(self.frame, self.views[role].view, self.pose)


def check_placements(
    case: CaseInputs, placements: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """The accepted placements as (3, 3) float64 by role.

    Raises:
        AxonInputError: one is no placement, or belongs to an X-ray that was not given.
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
    """Register every view to the CT's DRR or the atlas's; DRRs are rendered in place.

    Args:
        placements: accepted registrations by role, used instead of a search (see
            ``registration.register``).
        pose: how the patient stood against the CT, or against the atlas where there is no CT.

    Raises:
        AxonInputError: an X-ray, a placement or the frame cannot be used.
        Cancelled: ``context.cancelled()`` was true.
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
                f"The accepted placement shows nothing of the {role} X-ray. Register it again."
            )
        warnings += [f"{role}: {w}" for w in views[role].warnings]
    views = {role: views[role] for role in case.xrays}
    context.report("register", len(case.xrays), len(case.xrays))
    if case.ct is None:
        frame, note = _frame_from_views(frame, views)
        warnings += [note] if note else []
    return PlacedCase(case, views, frame, pose, tuple(accepted), tuple(warnings))


def network_views(placed: PlacedCase) -> RegisteredViews:
    """Standardised images and beam parameters, (1, 1, S, S) and (1, 2)."""
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
    """(S, S) DRR of the posed CT, on the CPU where the GPU's memory does not suffice."""

    def made(where: torch.device) -> np.ndarray:
        geometry = (pose or Pose()).geometry(frame, view)
        return render_drr(ct, geometry, VIEW_SIZE, device=where).cpu().numpy()

    try:
        return made(device)
    except Exception as error:
        if device.type == "cpu" or not is_out_of_memory(error):
            raise
    warnings.append("the GPU ran out of memory: the DRR was computed on the CPU")
    return made(torch.device("cpu"))


def _frame_from_views(
    atlas: ThoraxFrame, views: dict[str, PlacedView]
) -> tuple[ThoraxFrame, str | None]:
    """The frame's size in millimetres from the X-rays' pixel sizes, else the atlas's."""
    x, y, z = atlas.size_mm
    front, side = views["frontal"].size_mm, None
    if "lateral" in views:
        side = views["lateral"].size_mm
    if front is None and side is None:
        return atlas, (
            "no X-ray carries a pixel size: the volume's millimetres are those of the atlas "
            "(an average chest)"
        )
    heights = [s[1] for s in (front, side) if s is not None]
    height = sum(heights) / len(heights)
    width = front[0] if front is not None else x * height / z
    depth = side[0] if side is not None else y * (width / x * height / z) ** 0.5
    note = None
    if side is None:
        note = "no lateral X-ray: the depth in millimetres follows the average chest"
    return ThoraxFrame((0.0, 0.0, 0.0), (width, depth, height)), note


def _as_radiograph(
    value: PathLike | Radiograph | None, view: View | None, assumed: View, stated: Stated
) -> Radiograph | None:
    if value is None or isinstance(value, Radiograph):
        return value
    return read_radiograph(value, view=view, assumed=assumed, **stated)


def _check_roles(frontal: Radiograph | None, lateral: Radiograph | None) -> None:
    if frontal is not None and not frontal.view.is_frontal:
        raise AxonInputError(
            f"{frontal.source} is a lateral X-ray ({frontal.view.value}); a frontal (PA or AP) one "
            "is needed as --frontal. Give the lateral one as --lateral."
        )
    if lateral is not None and lateral.view.is_frontal:
        raise AxonInputError(
            f"{lateral.source} is a frontal X-ray ({lateral.view.value}); a lateral one is needed "
            "as --lateral."
        )
