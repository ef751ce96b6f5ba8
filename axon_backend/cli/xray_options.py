"""What a user states about X-rays, on the command line: ``--invert``, ``--flip``, ``--rotate``,
``--part``, ``--force``."""

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
    """The options; ``cases``: for many cases, so that one of them can be named."""
    named = "XRAY is frontal or lateral" + (", or ID/frontal of one case" if cases else "")
    default = "" if cases else "; every X-ray where none is named"
    # SOURCE of `axon prepare` must not be taken for the X-ray's name, so there it is needed.
    more: dict[str, Any] = {} if cases else {"nargs": "?", "const": ""}
    for name, yes, no in _WORDS:
        for prefix, text in (("", yes), ("no-", no)):
            one.add_argument(
                f"--{prefix}{name}",
                action="append",
                default=[],
                metavar="XRAY",
                help=f"{text}; overrules tags and AXON ({named}{default})",
                **more,
            )
    one.add_argument(
        "--rotate",
        action="append",
        default=[],
        metavar="DEG",
        help="rotate the image clockwise by 0, 90, 180 or 270 degrees, before it is mirrored; one "
        f"X-ray as {'ID/' if cases else ''}lateral=90. 0 keeps the orientation as displayed",
    )
    one.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="SIDE",
        help="of an image that shows two X-rays, use the left, right, top or bottom one; of one "
        f"X-ray as {'ID/' if cases else ''}lateral=right",
    )
    one.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="IMAGE",
        help="use an image even if it does not look like a chest X-ray, or a CT even if it does "
        "not lie as its header says (IMAGE is frontal, lateral or ct"
        f"{', or ID/frontal of one case' if cases else default})",
        **more,
    )


def stated(chosen: argparse.Namespace, *, cases: bool = False) -> dict[str, Stated]:
    """By role, or with ``cases`` by ``role`` or ``ID/role``.

    Raises:
        AxonInputError: an option names no X-ray, angle or part, or two contradict each other.
    """
    found: dict[str, Stated] = {}

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
            values = found.setdefault(role, Stated())
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
                f"--rotate is {text!r}; give 0, 90, 180 or 270 degrees, for one X-ray as "
                "lateral=90."
            )
        put(which, "rotate", int(degrees), "--rotate")
    for text in chosen.part:
        which, _, side = text.rpartition("=")
        if side not in PARTS:
            raise AxonInputError(
                f"--part is {text!r}; give {', '.join(PARTS[:-1])} or {PARTS[-1]}, for one X-ray "
                "as lateral=right."
            )
        put(which, "part", side, "--part")
    for which in chosen.force:
        put(which, "force", True, "--force")
    return found
