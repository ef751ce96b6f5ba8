"""From files to what the networks see: reading, checking, choosing the frame, placing the views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.standardise import standardise_view
from axon_backend.imaging.view import View
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.model import atlas_ct
from axon_backend.physics.drr import render_view
from axon_backend.physics.geometry import DEFAULT_SOD_MM, beam_parameter
from axon_backend.registration.place import PlacedView, place_view

VIEW_SIZE = 1024
PathLike = str | Path
Tell = Callable[[str, int, int], None]


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
        """The ``inputs`` of ``result.json``."""
        rows: list[dict] = [
            {
                "role": role,
                "path": str(xray.source) if xray is not None else "DRR of the CT",
                "view": views[role].view.value,
                "pixel_mm": xray.pixel_mm if xray is not None else None,
                "assumptions": list(xray.assumptions) if xray is not None else [],
            }
            for role, xray in self.xrays.items()
        ]
        if self.ct is not None:
            notes = list(self.ct.assumptions)
            rows.append({"role": "ct", "path": str(self.ct.source), "assumptions": notes})
        return rows


def read_case(
    frontal: PathLike | Radiograph | None,
    lateral: PathLike | Radiograph | None,
    ct: PathLike | CTVolume | None,
    *,
    frontal_view: View | None = None,
    render_lateral: bool = False,
) -> CaseInputs:
    """Read what ``reconstruct`` was given; see there for the arguments.

    Raises:
        AxonInputError: a file cannot be used, or nothing to start from was given.
    """
    volume = read_ct(ct) if isinstance(ct, str | Path) else ct
    front = _as_radiograph(frontal, frontal_view)
    side = _as_radiograph(lateral, None if lateral is None else _lateral_view(lateral))
    if front is None and volume is None:
        raise AxonInputError("Neither a frontal X-ray nor a CT was given; one of them is needed.")
    _check_roles(front, side)
    xrays = {"frontal": front}
    if side is not None or (render_lateral and volume is not None):
        xrays["lateral"] = side
    return CaseInputs(xrays, volume)


def place_case(
    case: CaseInputs,
    bundle: Bundle,
    tell: Tell,
    *,
    device: torch.device,
    register: bool,
    seed: int,
) -> tuple[dict[str, PlacedView], ThoraxFrame, list[str]]:
    """Register every view to the CT's DRR or the atlas's; DRRs are rendered in place.

    Returns:
        The placed views by role, the frame in LPS millimetres, and warnings in plain words.
    """
    warnings: list[str] = []
    if case.ct is not None:
        reference, frame = case.ct, find_thorax_frame(case.ct)
    else:
        reference, frame = atlas_ct(bundle), ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    views: dict[str, PlacedView] = {}
    for number, (role, xray) in enumerate(case.xrays.items()):
        tell("register", number, len(case.xrays))
        if xray is None:
            view = View.pa if role == "frontal" else View.lateral_left
            picture = render_view(reference, frame, view, VIEW_SIZE, device=device)
            views[role] = PlacedView.of_drr(picture, view)
        else:
            views[role] = place_view(
                xray,
                reference,
                frame,
                size=VIEW_SIZE,
                register=register,
                stretch=case.ct is None,
                seed=seed,
            )
        warnings += [f"{role}: {w}" for w in views[role].warnings]
    tell("register", len(case.xrays), len(case.xrays))
    if case.ct is None:
        frame, note = _frame_from_views(frame, views)
        warnings += [note] if note else []
    return views, frame, warnings


def network_views(views: dict[str, PlacedView], frame: ThoraxFrame) -> RegisteredViews:
    """Standardised pictures and beam parameters, (1, 1, S, S) and (1, 2)."""
    pictures: dict[str, torch.Tensor] = {}
    beam = []
    for role, axis, default in (("frontal", 1, View.pa), ("lateral", 0, View.lateral_left)):
        placed = views.get(role)
        view = placed.view if placed is not None else default
        beam.append(beam_parameter(frame.size_mm[axis], DEFAULT_SOD_MM, view))
        if placed is not None:
            pictures[role] = standardise_view(
                torch.as_tensor(placed.pixels)[None, None],
                torch.as_tensor(placed.valid)[None, None],
            )
    return RegisteredViews(pictures["frontal"], pictures.get("lateral"), torch.tensor([beam]))


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


def _as_radiograph(value: PathLike | Radiograph | None, view: View | None) -> Radiograph | None:
    if value is None or isinstance(value, Radiograph):
        return value
    return read_radiograph(value, view=view)


def _check_roles(frontal: Radiograph | None, lateral: Radiograph | None) -> None:
    if frontal is not None and not frontal.view.is_frontal:
        raise AxonInputError(
            f"{frontal.source} is a lateral X-ray ({frontal.view.value}), a frontal (PA or AP) one "
            "is needed as --frontal. Give the lateral one as --lateral."
        )
    if lateral is not None and lateral.view.is_frontal:
        raise AxonInputError(
            f"{lateral.source} is a frontal X-ray ({lateral.view.value}), a lateral one is needed "
            "as --lateral."
        )


def _lateral_view(lateral: PathLike | Radiograph) -> View | None:
    """Files without tags given as the lateral X-ray are left laterals; DICOM speaks for itself."""
    if isinstance(lateral, Radiograph):
        return None
    try:
        found = read_radiograph(lateral)
    except AxonInputError:
        return View.lateral_left  # read again with the view: it may be the view that was missing
    stated = not any("view is not stated" in a for a in found.assumptions)
    return None if stated else View.lateral_left
