"""The views of a case: DRRs of its CT, and its X-rays registered to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from axon_backend.dataset.choose import Xray
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.dataset.tags import read_tags
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph, other_view, read_radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.imaging.write import RESEARCH_NOTE, atomic_path, write_image
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.physics.pose import Pose
from axon_backend.registration import register
from axon_backend.registration.place import PlacedView
from axon_backend.registration.quality import RegistrationQuality

VIEWS = {"frontal": View.pa, "lateral": View.lateral_left}
# A view or mirroring that is not stated is decided by how well the image fits the DRRs: the score
# must exceed that of the alternative by at least this much.
MARGIN = 0.06


@dataclass(frozen=True)
class PlacedXray:
    """An X-ray registered to the canonical view.

    `image` is the image that the placement refers to, as read or mirrored; `notes` are remarks for
    the reports.
    """

    xray: Xray
    role: str
    image: Radiograph
    placed: PlacedView
    notes: tuple[str, ...]

    @property
    def quality(self) -> RegistrationQuality:
        """The quality of its registration."""
        assert self.placed.registration is not None
        return self.placed.registration.quality


def poses(settings: PrepareSettings, seed: int) -> list[Pose]:
    """The poses of the DRRs: the canonical one, then small random variations."""
    rng = np.random.default_rng([settings.seed, seed])
    found = [Pose()]
    for _ in range(settings.drrs - 1):
        turn = rng.normal(0, settings.turn_deg, 3).round(3).tolist()
        shift = rng.normal(0, settings.shift_mm, 3).round(3).tolist()
        sid_mm = round(float(rng.uniform(*settings.sid_mm)), 1)
        found.append(Pose(tuple(turn), tuple(shift), sid_mm))
    return found


def render(
    attenuation: AttenuationVolume, frame: ThoraxFrame, view: View, pose: Pose, n: int
) -> np.ndarray:
    """(n, n) DRR, float32 line integrals."""
    return render_drr(attenuation, pose.geometry(frame, view), n).numpy()


def place_xray(
    xray: Xray,
    ct: CTVolume,
    frame: ThoraxFrame,
    settings: PrepareSettings,
    taken: set[str],
    case: str = "",
) -> PlacedXray:
    """Register an X-ray to its view; a view that is not stated is decided from the image.

    Args:
        case: id of the case, for which the settings may state the orientation.
        taken: roles that are already filled; only the others are accepted.

    Raises:
        AxonInputError: the X-ray cannot be read, does not show a chest, or fits no free view.
    """
    size, seed = settings.view_size, settings.seed

    def placed(image: Radiograph) -> PlacedView:
        role = "frontal" if image.view.is_frontal else "lateral"
        return register({role: image}, ct, frame, size=size, seed=seed).views[role]

    if xray.role is None:
        stated = {role: settings.stated_for(case, role) for role in VIEWS}
        return _of_unknown_view(xray, taken, placed, stated)
    if xray.role in taken:
        raise AxonInputError(f"there is already a {xray.role} X-ray")
    view = None if xray.view is None else View(xray.view)
    if view is None and xray.role == "lateral" and not _states_view(xray.file):
        view = View.lateral_left
    known = settings.stated_for(case, xray.role)
    image = read_radiograph(xray.file, view=view, **known)
    if image.view.is_frontal != (xray.role == "frontal"):
        raise AxonInputError(
            f"it was given as the {xray.role} X-ray, but its tags say {image.view.value.upper()}"
        )
    found, notes = placed(image), image.assumptions
    if xray.role == "lateral" and not (_oriented(xray) or _settles_orientation(known)):
        mirrored = placed(_mirrored(image))
        if _score(mirrored) > _score(found) + MARGIN:
            found, image = mirrored, _mirrored(image)
            notes += ("the patient faces the other way in the image: it was mirrored",)
    return PlacedXray(xray, xray.role, image, found, notes)


def _of_unknown_view(
    xray: Xray,
    taken: set[str],
    placed: Callable[[Radiograph], PlacedView],
    stated: dict[str, Stated],
) -> PlacedXray:
    tried: list[tuple[float, str, PlacedView, Radiograph]] = []
    for role, view in VIEWS.items():
        image = read_radiograph(xray.file, view=view, **stated[role])
        if image.looks_like == other_view(view):  # registration decides
            image = replace(image, looks_like="")
        images = [image]
        if role == "lateral" and not (xray.oriented or _settles_orientation(stated[role])):
            images.append(_mirrored(image))
        for one in images:
            found = placed(one)
            tried.append((_score(found), role, found, one))
    tried.sort(key=lambda t: -t[0])
    score, role, found, image = tried[0]
    other = max(s for s, r, _, _ in tried if r != role)
    assert found.registration is not None
    if score < other + MARGIN or found.registration.quality.verdict == "poor":
        raise AxonInputError(
            f"no tag states its view, and the image does not show it clearly (the score is "
            f"{score:.2f} as {role}, {other:.2f} otherwise). Name it as frontal or lateral in a "
            "manifest"
        )
    if role in taken:
        raise AxonInputError(
            f"judging by the image it is a {role} view, of which there is already one"
        )
    note = f"no tag states the view: the image fits the {role} DRR best ({score:.2f}, else "
    notes = (*image.assumptions, f"{note}{other:.2f})")
    return PlacedXray(xray, role, image, found, notes)


def _score(placed: PlacedView) -> float:
    assert placed.registration is not None
    return placed.registration.quality.score


def _mirrored(image: Radiograph) -> Radiograph:
    valid = None if image.valid is None else np.ascontiguousarray(image.valid[:, ::-1])
    pixels = np.ascontiguousarray(image.pixels[:, ::-1])
    return replace(image, pixels=pixels, valid=valid, warnings=())


def _settles_orientation(stated: Stated) -> bool:
    return "flip" in stated or "rotate" in stated


def _tags(file: str) -> dict[str, object]:
    try:
        return read_tags(Path(file)) or {}
    except AxonInputError:
        return {}


def _states_view(file: str) -> bool:
    return bool(_tags(file).get("view"))


def _oriented(xray: Xray) -> bool:
    return xray.oriented or bool(_tags(xray.file).get("oriented"))


def with_air(placed: PlacedView) -> np.ndarray:
    """The registered pixels; those outside the X-ray get its darkest grey, which is that of air."""
    shown = placed.covered
    inside = placed.pixels[shown]
    dark = float(np.quantile(inside, 0.01)) if inside.size else 0.0
    return np.where(shown, placed.pixels, np.float32(dark)).astype(np.float32)


def write_view(path: Path, pixels: np.ndarray, frame: ThoraxFrame, view: View) -> None:
    """Write a view as 2-D NIfTI, float32, with the pixel size in the plane through the centre."""
    width = frame.size_mm[0] if view.is_frontal else frame.size_mm[1]
    image = sitk.GetImageFromArray(np.ascontiguousarray(pixels, np.float32))
    n = pixels.shape[0]
    image.SetSpacing((FIELD_OF_VIEW * width / n, FIELD_OF_VIEW * frame.size_mm[2] / n))
    image.SetMetaData("ITK_FileNotes", RESEARCH_NOTE)
    with atomic_path(path) as temporary:
        write_image(image, temporary)
