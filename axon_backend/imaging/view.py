"""The views of a chest radiograph."""

from __future__ import annotations

from enum import Enum
from typing import TypedDict

# A view whose beam is rotated further than this from front, back and side is oblique.
OBLIQUE_DEG = 20.0
PARTS = ("left", "right", "top", "bottom")  # of an image that shows two X-rays


class View(str, Enum):
    """Projection, by the direction of the beam.

    ``pa`` back to front, ``ap`` front to back, ``lateral_left`` (LL) with the left side at the
    detector, ``lateral_right`` (RL) with the right side at the detector.
    """

    pa = "pa"
    ap = "ap"
    lateral_left = "ll"
    lateral_right = "rl"

    @property
    def is_frontal(self) -> bool:
        """True for PA and AP."""
        return self in (View.pa, View.ap)


# How the user can override a refusal, for the messages.
INSIST = 'with --force, "force" in a manifest, or *Use it anyway* in Slicer'


class Stated(TypedDict, total=False):
    """Options that a user may state for an X-ray; see ``read_radiograph``."""

    invert: bool
    flip: bool
    rotate: int
    part: str
    force: bool


def parse_view(text: str | None) -> View | None:
    """The view with a name on the command line; ``lateral`` is the left lateral."""
    return None if text is None else View({"lateral": "ll"}.get(text, text))
