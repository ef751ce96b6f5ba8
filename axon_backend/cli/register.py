"""The command ``axon register``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

from axon_backend import DISCLAIMER
from axon_backend.cli import xray_options
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.util.plain_text import recorded

if TYPE_CHECKING:
    from axon_backend.imaging.ct import CTVolume
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.registration import Registration

DONE, REFUSED = 0, 1


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options other than those for output."""
    from axon_backend.imaging.formats import list_formats, volume_formats

    one.add_argument("--xray", required=True, metavar="FILE", help=f"the X-ray: {list_formats()}")
    reference = one.add_mutually_exclusive_group()
    reference.add_argument(
        "--ct",
        metavar="PATH",
        help="CT of the same patient: a folder of DICOM slices, or a file "
        f"({list_formats(volume_formats())})",
    )
    reference.add_argument(
        "--bundle",
        metavar="DIR",
        help="bundle whose atlas is the reference (default: the bundle that comes with AXON)",
    )
    one.add_argument(
        "--view",
        choices=("pa", "ap", "lateral", "ll", "rl"),
        help="projection; overrides the tags of the file",
    )
    xray_options.add_arguments(one)
    one.add_argument(
        "--warp",
        action="store_true",
        help="also deform the X-ray slightly onto the reference (B-spline, at most 3 %% of its "
        "width); without --pose only",
    )
    one.add_argument(
        "--pose",
        action="store_true",
        help="also estimate the patient's pose (six degrees of freedom); requires --ct",
    )
    one.add_argument(
        "--lateral", metavar="FILE", help="with --pose: a lateral X-ray taken in the same position"
    )
    one.add_argument(
        "--sid",
        type=_distance,
        metavar="MM",
        help="source-to-image distance (default: the DICOM tag DistanceSourceToDetector, else "
        "1800); with --pose also 'auto', which estimates it",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default 0)")


def _distance(text: str) -> float | Literal["auto"]:
    """The value of ``--sid``."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of mm nor 'auto'") from None


def register(chosen: argparse.Namespace) -> int:
    """Run ``axon register``; returns 1 if a registration is refused. Its images are still written,
    so that they can be checked."""
    from axon_backend.cli.console import stop_on_signal
    from axon_backend.imaging.radiograph import View, read_radiograph
    from axon_backend.imaging.view import parse_view
    from axon_backend.imaging.write import write_json
    from axon_backend.physics.pose import Pose
    from axon_backend.registration import register as run
    from axon_backend.registration.overlay import VIEW_FILES, write_view
    from axon_backend.util.output_folder import output_folder

    if (chosen.pose or chosen.lateral) and chosen.ct is None:
        raise AxonInputError(
            "--pose requires the CT of the patient, from which DRRs are computed. Give --ct."
        )
    if chosen.lateral and not chosen.pose:
        raise AxonInputError(
            "--lateral was given without --pose; two X-rays are registered together only to find "
            "the pose. Add --pose, or register the lateral X-ray on its own with --xray."
        )
    stated = xray_options.stated(chosen)
    find_sid = chosen.sid == "auto"
    if find_sid and not chosen.pose:
        raise AxonInputError(
            "--sid auto was given without --pose; the source-to-image distance is only estimated "
            "together with the pose. Add --pose, or give the distance in mm."
        )
    inputs = (chosen.xray, chosen.lateral, chosen.ct, chosen.bundle)
    with (
        stop_on_signal() as stop,
        output_folder(
            chosen.output, (*VIEW_FILES, "result.json"), chosen.overwrite, inputs
        ) as folder,
    ):
        view = parse_view(chosen.view)
        role = "lateral" if view is not None and not view.is_frontal else "frontal"
        xrays = [read_radiograph(chosen.xray, view=view, **stated.get(role, {}))]
        if stated and role == "frontal" and not xrays[0].view.is_frontal:  # by its tags
            xrays = [read_radiograph(chosen.xray, **stated.get("lateral", {}))]
        if chosen.lateral:
            of_lateral = stated.get("lateral", {})
            xrays.append(read_radiograph(chosen.lateral, assumed=View.lateral_left, **of_lateral))
            if xrays[0].view.is_frontal == xrays[1].view.is_frontal:
                kind = "frontal" if xrays[0].view.is_frontal else "lateral"
                raise AxonInputError(
                    f"{chosen.xray} and {chosen.lateral} are both {kind} X-rays; --pose needs a "
                    "frontal one as --xray and a lateral one as --lateral."
                )
        forced = stated.get("ct", {}).get("force", False)
        reference, frame, reference_record = _reference(chosen, forced)
        sid_mm = xrays[0].sid_mm if chosen.sid is None or find_sid else chosen.sid
        start = Pose() if sid_mm is None else Pose(sid_mm=sid_mm)
        result = run(
            {"frontal" if xray.view.is_frontal else "lateral": xray for xray in xrays},
            reference,
            frame,
            method="pose_sid" if find_sid else "pose" if chosen.pose else "planar",
            pose=start,
            warp=chosen.warp,
            seed=chosen.seed,
            cancelled=stop.is_set,
        )
        if stop.is_set():
            raise Cancelled("stopped after the registration")
        records = [write_view(folder, role, view) for role, view in result.views.items()]
        write_json(
            folder / "result.json",
            {
                "inputs": [
                    {
                        "path": recorded(xray.source),
                        "view": xray.view,
                        "pixel_mm": xray.pixel_mm,
                        "assumptions": xray.assumptions,
                    }
                    for xray in xrays
                ],
                "reference": reference_record,
                "frame": frame.as_dict(),
                "seed": chosen.seed,
                "registration": records[0],
                "registrations": records,
                "sid_mm": result.pose.sid_mm,
                "pose": result.pose.as_dict() if chosen.pose else None,
                "disclaimer": DISCLAIMER,
            },
        )
    return _print_result(chosen, result, reference.warnings)


def _reference(
    chosen: argparse.Namespace, forced: bool
) -> tuple[CTVolume, ThoraxFrame, dict[str, Any]]:
    """The CT or the atlas, its frame, and its entry in ``result.json``."""
    from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame

    if chosen.ct is not None:
        from axon_backend.imaging.ct import read_ct

        ct = read_ct(chosen.ct, force=forced)
        record = {"ct": recorded(chosen.ct), "assumptions": ct.assumptions}
        return ct, find_thorax_frame(ct), record
    from axon_backend.bundle import load_bundle
    from axon_backend.inference.model_loading import atlas_ct

    bundle = load_bundle(chosen.bundle)
    frame = ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    return atlas_ct(bundle), frame, {"atlas": bundle.name, "bundle_sha256": bundle.sha256}


def _print_result(
    chosen: argparse.Namespace, result: Registration, warnings: tuple[str, ...]
) -> int:
    """Print the verdicts, warnings and pose; returns the exit code."""
    for role, view in result.views.items():
        assert view.registration is not None
        verdict = view.registration.quality.verdict
        print(f"Registered {role} X-ray: {chosen.output} (verdict: {verdict})")
        for warning in view.warnings:
            print(f"Warning: {warning}")
    for warning in warnings:
        print(f"Warning: {warning}")
    if chosen.pose:
        rotation, translation = result.pose.rotation_deg, result.pose.translation_mm
        print(
            "Pose: rotated by {:.1f}, {:.1f}, {:.1f} degrees, translated by {:.1f}, {:.1f}, {:.1f} "
            "mm (left-right, antero-posterior, superior-inferior axis)".format(
                *rotation, *translation
            )
        )
        if chosen.sid == "auto":
            print(f"Source-to-image distance: about {result.pose.sid_mm:.0f} mm (estimated)")
    if result.refused:
        print("Refused: check overlay.png, and do not use this registration as it is.")
    print(DISCLAIMER)
    return REFUSED if result.refused else DONE
