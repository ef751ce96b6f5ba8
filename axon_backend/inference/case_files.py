"""The images of a case, read from files and checked; without PyTorch, which takes time to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.view import Stated, View
from axon_backend.util.plain_text import recorded

if TYPE_CHECKING:
    from axon_backend.registration.place import PlacedView

PathLike = str | Path


@dataclass(frozen=True)
class CaseInputs:
    """The images of one case.

    Attributes:
        xrays: by role (``frontal``, ``lateral``); None where a DRR of ``ct`` is used instead.
        ct: the patient's CT, or None.
    """

    xrays: dict[str, Radiograph | None]
    ct: CTVolume | None

    def describe(self, views: Mapping[str, PlacedView | Radiograph]) -> list[dict]:
        """``inputs`` of ``result.json``, with the projections of ``views``; for the paths, see
        ``util.plain_text.recorded``."""
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
    """Read the images of a case; the arguments are those of ``reconstruct``.

    Raises:
        AxonInputError: a file cannot be used, or neither a frontal X-ray nor a CT was given.
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
