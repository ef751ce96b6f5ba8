"""``axon register``: its options, and what it does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

from axon_backend import DISCLAIMER, xray_options
from axon_backend.errors import AxonInputError, Cancelled

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.registration.place import PlacedView
    from axon_backend.registration.rigid import PoseRegistration

DONE, REFUSED = 0, 1


def add_arguments(one: argparse.ArgumentParser) -> None:
    """The options, without those for output."""
    one.add_argument("--xray", required=True, metavar="FILE")
    reference = one.add_mutually_exclusive_group()
    reference.add_argument("--ct", metavar="PATH", help="CT of the same patient")
    reference.add_argument(
        "--bundle",
        metavar="DIR",
        help="the bundle whose atlas is the reference (default: the shipped)",
    )
    one.add_argument(
        "--view", choices=("pa", "ap", "lateral", "ll", "rl"), help="overrules the file's own tags"
    )
    xray_options.add_arguments(one)
    one.add_argument(
        "--warp",
        action="store_true",
        help="also bend the X-ray gently onto the reference (B-spline, at most 3 %% of its width)",
    )
    one.add_argument(
        "--pose",
        action="store_true",
        help="also find how the patient stood (six degrees of freedom); needs --ct",
    )
    one.add_argument(
        "--lateral", metavar="FILE", help="with --pose: a lateral X-ray of the same standing"
    )
    one.add_argument(
        "--sid",
        type=_distance,
        metavar="MM",
        help="distance of the tube (default: the DICOM tag DistanceSourceToDetector, else 1800); "
        "with --pose also 'auto', which looks for it",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S")


def _distance(text: str) -> float | Literal["auto"]:
    """The value of ``--sid``."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of mm, nor 'auto'") from None


def register(chosen: argparse.Namespace) -> int:
    """``axon register``; 1 where a registration is refused. Its pictures are written all the same,
    to be looked at."""
    from axon_backend.case_pictures import VIEW_FILES, write_view
    from axon_backend.console import stop_on_signal
    from axon_backend.imaging.radiograph import View, read_radiograph
    from axon_backend.imaging.view import parse_view
    from axon_backend.imaging.write import write_json
    from axon_backend.output_folder import output_folder
    from axon_backend.physics.pose import Pose
    from axon_backend.registration.place import place_view, place_with
    from axon_backend.registration.rigid import register_pose

    if (chosen.pose or chosen.lateral) and chosen.ct is None:
        raise AxonInputError(
            "A pose was asked for without a CT; it is found by the CT's radiographs. Give --ct."
        )
    if chosen.lateral and not chosen.pose:
        raise AxonInputError(
            "--lateral was given without --pose; two X-rays are only registered together to find "
            "the pose. Add --pose, or register the lateral X-ray by itself with --xray."
        )
    stated = xray_options.stated(chosen)
    find_sid = chosen.sid == "auto"
    if find_sid and not chosen.pose:
        raise AxonInputError(
            "--sid auto was given without --pose; the tube's distance is only looked for together "
            "with the pose. Add --pose, or give the distance in mm."
        )
    with (
        stop_on_signal() as wish,
        output_folder(chosen.output, (*VIEW_FILES, "result.json"), chosen.overwrite) as folder,
    ):
        view = parse_view(chosen.view)
        role = "lateral" if view is not None and not view.is_frontal else "frontal"
        xrays = [read_radiograph(chosen.xray, view=view, **stated.get(role, {}))]
        if not xrays[0].view.is_frontal and role == "frontal" and stated:  # by its tags
            xrays = [read_radiograph(chosen.xray, **stated.get("lateral", {}))]
        if chosen.lateral:
            more = stated.get("lateral", {})
            xrays.append(read_radiograph(chosen.lateral, assumed=View.lateral_left, **more))
            if xrays[0].view.is_frontal == xrays[1].view.is_frontal:
                seen = "frontal" if xrays[0].view.is_frontal else "lateral"
                raise AxonInputError(
                    f"{chosen.xray} and {chosen.lateral} are both {seen} X-rays; a pose needs one "
                    "from the front as --xray and one from the side as --lateral."
                )
        reference, frame, named = _reference(chosen)
        sid_mm = xrays[0].sid_mm if chosen.sid is None or find_sid else chosen.sid
        start = Pose() if sid_mm is None else Pose(sid_mm=sid_mm)
        placed = {
            "frontal" if xray.view.is_frontal else "lateral": place_view(
                xray,
                reference,
                frame,
                stretch=chosen.ct is None,
                seed=chosen.seed,
                pose=start,
                warp=chosen.warp and not chosen.pose,
                cancelled=wish.is_set,
            )
            for xray in xrays
        }
        found: PoseRegistration | None = None
        if chosen.pose:
            found = register_pose(
                placed,
                reference,
                frame,
                start=start,
                seed=chosen.seed,
                cancelled=wish.is_set,
                find_sid=find_sid,
            )
            for (role, old), xray in zip(list(placed.items()), xrays, strict=True):
                assert old.registration is not None
                matrix = found.matrices.get(role, old.registration.matrix)
                placed[role] = place_with(xray, reference, frame, matrix, pose=found.pose)
        if wish.is_set():
            raise Cancelled("stopped after the registration")
        records = [write_view(folder, role, view) for role, view in placed.items()]
        write_json(
            folder / "result.json",
            {
                "inputs": [
                    {
                        "path": xray.source,
                        "view": xray.view,
                        "pixel_mm": xray.pixel_mm,
                        "assumptions": xray.assumptions,
                    }
                    for xray in xrays
                ],
                "reference": named,
                "frame": frame.as_dict(),
                "seed": chosen.seed,
                "registration": records[0],
                "registrations": records,
                "sid_mm": start.sid_mm if found is None else found.pose.sid_mm,
                "pose": None if found is None else found.pose.as_dict(),
                "disclaimer": DISCLAIMER,
            },
        )
    return _tell(chosen, placed, found)


def _reference(chosen: argparse.Namespace) -> tuple[CTVolume, ThoraxFrame, dict[str, Any]]:
    """The CT or the atlas, its frame, and how the record names it."""
    from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame

    if chosen.ct is not None:
        from axon_backend.imaging.ct import read_ct

        ct = read_ct(chosen.ct)
        return ct, find_thorax_frame(ct), {"ct": str(chosen.ct)}
    from axon_backend.bundle import load_bundle
    from axon_backend.model import atlas_ct

    bundle = load_bundle(chosen.bundle)
    frame = ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    return atlas_ct(bundle), frame, {"atlas": bundle.name, "bundle_sha256": bundle.sha256}


def _tell(
    chosen: argparse.Namespace, placed: dict[str, PlacedView], found: PoseRegistration | None
) -> int:
    refused = False
    for role, view in placed.items():
        assert view.registration is not None
        quality = view.registration.quality
        refused = refused or quality.refused
        print(f"Registered {role} X-ray: {chosen.output} (verdict: {quality.verdict})")
        for warning in view.warnings:
            print(f"Warning: {warning}")
    if found is not None:
        turn, shift = found.pose.rotation_deg, found.pose.translation_mm
        print(
            "Pose: turned by {:.1f}, {:.1f}, {:.1f} degrees, moved by {:.1f}, {:.1f}, {:.1f} mm "
            "(left-right, antero-posterior, superior-inferior axis)".format(*turn, *shift)
        )
        if chosen.sid == "auto":
            print(f"Distance of the tube: about {found.pose.sid_mm:.0f} mm, as found")
    if refused:
        print("Refused: look at overlay.png, and do not use this registration as it is.")
    print(DISCLAIMER)
    return REFUSED if refused else DONE
