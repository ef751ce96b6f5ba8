"""Options that describe X-rays: ``--invert``, ``--flip``, ``--rotate``, ``--part``, ``--force``."""

from __future__ import annotations

import argparse
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.view import PARTS, Stated

ROLES = ("frontal", "lateral")
CT = "ct"
_WORDS = (
    ("invert", "bones are dark as displayed", "bones are bright as displayed"),
    ("flip", "mirror the image left/right", "do not mirror the image"),
)


def add_arguments(one: argparse.ArgumentParser, *, cases: bool = False) -> None:
    """Add the options; with ``cases``, for a command on many cases, where ID/ names one case."""
    named = "XRAY is frontal or lateral" + (", or ID/frontal of one case" if cases else "")
    default = "" if cases else "; every X-ray if none is named"
    # Required with `axon prepare`, whose SOURCE would otherwise be taken for the X-ray's name.
    value_count: dict[str, Any] = {} if cases else {"nargs": "?", "const": ""}
    for name, yes, no in _WORDS:
        for prefix, text in (("", yes), ("no-", no)):
            one.add_argument(
                f"--{prefix}{name}",
                action="append",
                default=[],
                metavar="XRAY",
                help=f"{text}; overrides the tags and AXON's own finding ({named}{default})",
                **value_count,
            )
    one.add_argument(
        "--rotate",
        action="append",
        default=[],
        metavar="DEG",
        help="rotate the image clockwise by 0, 90, 180 or 270 degrees, before it is mirrored; for "
        f"one X-ray, {'ID/' if cases else ''}lateral=90. 0 keeps the orientation as displayed",
    )
    one.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="SIDE",
        help="of an image that shows two X-rays, use the left, right, top or bottom one; for one "
        f"X-ray, {'ID/' if cases else ''}lateral=right",
    )
    one.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="IMAGE",
        help="use an image even if it does not look like a chest X-ray, or shows the other view; "
        "or a CT even if its orientation contradicts its header (IMAGE is frontal, lateral or ct"
        f"{', or ID/frontal of one case' if cases else default})",
        **value_count,
    )


def stated(chosen: argparse.Namespace, *, cases: bool = False) -> dict[str, Stated]:
    """What the options state, by role or, with ``cases``, by ``role`` or ``ID/role``.

    Raises:
        AxonInputError: an option names no X-ray, angle or part, or two contradict each other.
    """
    by_role: dict[str, Stated] = {}

    def put(which: str, name: str, value: bool | int | str, option: str) -> None:
        known = (*ROLES, CT) if name == "force" else ROLES
        if not which and not cases:
            targets: tuple[str, ...] = known
        elif which.rpartition("/")[2] in known and (cases or "/" not in which):
            targets = (which,)
        else:
            form = "frontal, lateral or ID/frontal" if cases else "frontal or lateral"
            raise AxonInputError(f"{option} is given for {which!r}; name an X-ray: {form}.")
        for role in targets:
            values = by_role.setdefault(role, Stated())
            if values.get(name, value) != value:
                raise AxonInputError(f"{option} contradicts another option for {role}.")
            values[name] = value  # type: ignore[literal-required]

    for name, _, _ in _WORDS:
        for prefix, value in (("", True), ("no_", False)):
            option = f"--{prefix}{name}".replace("_", "-")
            for which in getattr(chosen, f"{prefix}{name}"):
                put(which, name, value, option)
    for text in chosen.rotate:
        which, _, degrees = text.rpartition("=")
        if degrees not in ("0", "90", "180", "270"):
            raise AxonInputError(
                f"--rotate is {text!r}; give 0, 90, 180 or 270 degrees, or for one X-ray "
                "lateral=90."
            )
        put(which, "rotate", int(degrees), "--rotate")
    for text in chosen.part:
        which, _, side = text.rpartition("=")
        if side not in PARTS:
            raise AxonInputError(
                f"--part is {text!r}; give {', '.join(PARTS[:-1])} or {PARTS[-1]}, or for one "
                "X-ray lateral=right."
            )
        put(which, "part", side, "--part")
    for which in chosen.force:
        put(which, "force", True, "--force")
    return by_role
