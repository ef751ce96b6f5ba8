"""``axon drr``: its options, named after DICOM where DICOM has a name, and what it does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from axon_backend.imaging.frame import ThoraxFrame
    from axon_backend.imaging.view import View
    from axon_backend.physics.exposure import XraySettings
    from axon_backend.physics.geometry import AcquisitionGeometry

# Options that only the poly-energetic chain has, by their name in the namespace.
POLY = (
    "kvp",
    "filtration",
    "anode_angle",
    "anode_side",
    "flat_field",
    "grid",
    "air_gap",
    "scatter",
    "exposure_index",
    "mas",
    "noise",
    "focal_spot",
    "collimation",
)


def add_arguments(one: argparse.ArgumentParser) -> None:
    """The options, without those for output."""
    one.add_argument("ct_path", nargs="?", metavar="CT", help="a CT file or DICOM folder")
    one.add_argument("--ct", metavar="PATH", help="the same, by name")
    one.add_argument(
        "--view",
        default="pa",
        choices=("pa", "ap", "lateral", "ll", "rl"),
        help="lateral is ll, with the left side at the detector (default pa)",
    )
    one.add_argument(
        "--angle",
        metavar="A[,B,C]",
        help="turn tube and detector about the patient by degrees: about the superior-inferior "
        "axis (of a PA: positive is LAO), the left-right and the antero-posterior",
    )
    one.add_argument(
        "--sid", type=float, metavar="MM", help="DistanceSourceToDetector (default 1800)"
    )
    one.add_argument(
        "--sod", type=float, metavar="MM", help="DistanceSourceToPatient (default SID - 200)"
    )
    one.add_argument(
        "--detector", metavar="W,H", help="width and height in mm (default: what shows the thorax)"
    )
    one.add_argument(
        "--pixel", type=float, metavar="MM", help="ImagerPixelSpacing, instead of --size"
    )
    one.add_argument("--size", type=int, metavar="N", help="pixels across (default 1024)")
    one.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    one.add_argument(
        "--physics",
        choices=("mono", "poly"),
        default="mono",
        help="line integrals of one energy, or spectrum, scatter, grid, noise and blur",
    )
    one.add_argument(
        "--look",
        choices=("linear", "clinical"),
        help="log exposure, or processed for the eye (default: linear with mono, else clinical)",
    )
    one.add_argument("--seed", type=int, default=0, metavar="S", help="of the noise (default 0)")
    poly = one.add_argument_group("with --physics poly (defaults: a chest stand)")
    poly.add_argument("--kvp", type=float, metavar="KV", help="KVP, 40 to 150 (120)")
    poly.add_argument("--filtration", metavar="AL[,CU]", help="mm of aluminium, copper (3,0.1)")
    poly.add_argument("--anode-angle", type=float, metavar="DEG", help="(12)")
    poly.add_argument(
        "--anode-side",
        choices=("top", "bottom", "left", "right"),
        help="side of the picture where the anode is (top)",
    )
    poly.add_argument(
        "--flat-field",
        type=float,
        metavar="F",
        help="share of heel effect and inverse square that calibration removes, 0 to 1 (1)",
    )
    poly.add_argument("--grid", type=float, metavar="RATIO", help="0 without a grid (12)")
    poly.add_argument("--air-gap", type=float, metavar="MM", help="patient to detector (50)")
    poly.add_argument("--scatter", type=float, metavar="F", help="factor, 0 is none (1)")
    poly.add_argument(
        "--exposure-index", type=float, metavar="EI", help="100 times microgray (250)"
    )
    poly.add_argument("--mas", type=float, metavar="MAS", help="instead of the exposure index")
    poly.add_argument("--noise", choices=("none", "gaussian", "poisson"), help="(poisson)")
    poly.add_argument("--focal-spot", type=float, metavar="MM", help="(1)")
    poly.add_argument("--collimation", metavar="W,H", help="field at the isocentre, mm (all)")


def run(chosen: argparse.Namespace) -> int:
    """Render, write, say in one line what was written."""
    from axon_backend.drr_output import SIZES, check_drr_target, check_size

    if bool(chosen.ct) == bool(chosen.ct_path):
        raise AxonInputError("Give the CT once, as in `axon drr chest.nii.gz --output drr.png`.")
    target = check_drr_target(chosen.output, chosen.overwrite)
    settings = _settings(chosen)
    from axon_backend.imaging.ct import read_ct
    from axon_backend.imaging.frame import find_thorax_frame
    from axon_backend.imaging.view import parse_view
    from axon_backend.model import choose_device

    view = parse_view(chosen.view)
    assert view is not None
    _numbers("--angle", chosen.angle, (1, 3))
    _numbers("--detector", chosen.detector, (1, 2))
    if chosen.size is not None and not SIZES[0] <= chosen.size <= SIZES[1]:
        raise AxonInputError(
            f"--size is {chosen.size} pixels; it is {SIZES[0]} to {SIZES[1]}, usually 1024."
        )
    device = choose_device(chosen.device)
    ct = read_ct(chosen.ct or chosen.ct_path)
    geometry = _geometry(chosen, find_thorax_frame(ct), view)
    size = _size(chosen, geometry)
    check_size(*size)
    picture, shown, mas = _render(chosen, ct, geometry, size, settings, device)

    name = target.name.lower()
    if name.endswith(".png"):
        from axon_backend.drr_output import write_drr_png

        write_drr_png(target, picture)
    elif name.endswith((".dcm", ".dicom")):
        from axon_backend.drr_dicom import write_dx

        write_dx(target, picture, geometry, view, shown=shown, settings=settings, mas=mas)
    else:
        from axon_backend.drr_output import write_drr_volume

        write_drr_volume(target, picture, geometry, view)
    what = "grey 0 to 1" if shown else f"highest line integral {float(picture.max()):.3f}"
    row, column = geometry.extent_mm[1] / size[0], geometry.extent_mm[0] / size[1]
    technique = f", {settings.tube.kvp:g} kV, {mas:.2f} mAs" if settings and mas else ""
    print(
        f"{target}: {view.value} DRR, {size[0]} x {size[1]} pixels of {row:.4f} x {column:.4f} mm "
        f"(row, column) in the patient plane{technique}, {what}"
    )
    return 0


def _render(
    chosen: argparse.Namespace,
    ct: Any,
    geometry: AcquisitionGeometry,
    size: tuple[int, int],
    settings: XraySettings | None,
    device: Any,
) -> tuple[Any, bool, float | None]:
    """The picture (H, W) float32, whether it is processed for the eye, and the tube load."""
    import torch

    from axon_backend.physics.look import clinical_look
    from axon_backend.physics.reduced import AttenuationGrid

    mas, field = None, None
    with torch.inference_mode():
        if settings is None:
            log = AttenuationGrid.of_ct(ct, device).project(geometry, size)
        else:
            from axon_backend.physics.simulate import XraySimulator

            taken = XraySimulator(ct, device).take([geometry], size, settings, seeds=[chosen.seed])
            log, field, mas = taken.log[0], taken.field, taken.mas[0]
        look = chosen.look or ("linear" if settings is None else "clinical")
        if look == "clinical":
            log = clinical_look(log[None], field=field)[0]
    return log.cpu().numpy(), look == "clinical", mas


def _settings(chosen: argparse.Namespace) -> XraySettings | None:
    """The exposure asked for; None for one energy."""
    given = [name for name in POLY if getattr(chosen, name) is not None]
    if chosen.physics == "mono":
        if given:
            names = ", ".join("--" + name.replace("_", "-") for name in given)
            raise AxonInputError(f"{names} needs --physics poly; one energy has none of it.")
        return None
    from axon_backend.physics.detector import Detector
    from axon_backend.physics.exposure import XraySettings
    from axon_backend.physics.grid import Grid
    from axon_backend.physics.spectrum import Tube

    def some(**values: Any) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value is not None}

    if chosen.mas is not None and chosen.exposure_index is not None:
        raise AxonInputError("--mas and --exposure-index both set the exposure; give one of them.")
    filtration = _numbers("--filtration", chosen.filtration, (1, 2))
    collimation = _numbers("--collimation", chosen.collimation, (1, 2))
    if chosen.focal_spot is not None and not 0 <= chosen.focal_spot <= 5:
        raise AxonInputError(f"--focal-spot is {chosen.focal_spot:g} mm; it is between 0 and 5.")
    return XraySettings(
        tube=Tube(
            **some(
                kvp=chosen.kvp,
                al_mm=filtration[0] if filtration else None,
                cu_mm=filtration[1] if len(filtration) > 1 else None,
                anode_deg=chosen.anode_angle,
            )
        ),
        grid=Grid(**some(ratio=chosen.grid)),
        detector=Detector(**some(focal_spot_mm=chosen.focal_spot)),
        noise=chosen.noise or "poisson",
        collimation_mm=(collimation[0], collimation[-1]) if collimation else None,
        **some(
            anode_side=chosen.anode_side,
            flat_field=chosen.flat_field,
            gap_mm=chosen.air_gap,
            scatter=chosen.scatter,
            exposure_index=chosen.exposure_index,
            mas=chosen.mas,
        ),
    )


def _geometry(chosen: argparse.Namespace, frame: ThoraxFrame, view: View) -> AcquisitionGeometry:
    from axon_backend.physics.geometry import DEFAULT_SID_MM, AcquisitionGeometry
    from axon_backend.physics.pose import BEHIND_PATIENT_MM

    sid = DEFAULT_SID_MM if chosen.sid is None else chosen.sid
    sod = sid - BEHIND_PATIENT_MM if chosen.sod is None else chosen.sod
    # The tube must stand outside the body, and the detector behind it.
    if not (300 <= sod <= sid <= 10000):
        raise AxonInputError(
            f"The distances are SID {sid:g} mm and SOD {sod:g} mm; 300 <= SOD <= SID <= 10000, "
            "usually 1600 and 1800."
        )
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=sid, sod_mm=sod)
    detector = _numbers("--detector", chosen.detector, (1, 2))
    if detector:
        if not all(50 <= mm <= 2000 for mm in detector):
            raise AxonInputError(f"--detector is {chosen.detector} mm; a side is 50 to 2000.")
        geometry = geometry.on_detector(detector[0], detector[-1])
    angles = _numbers("--angle", chosen.angle, (1, 3))
    if angles:
        si, lr, ap = (*angles, 0.0, 0.0)[:3]
        geometry = geometry.rotated(about_lr=lr, about_ap=ap, about_si=si)
    return geometry


def _size(chosen: argparse.Namespace, geometry: AcquisitionGeometry) -> tuple[int, int]:
    """(rows, columns): square by --size, or as the detector's shape and --pixel say."""
    width, height = geometry.detector_mm
    if chosen.pixel is not None:
        if chosen.size is not None:
            raise AxonInputError("--pixel and --size both set the picture's size; give one.")
        if not 0.02 <= chosen.pixel <= 50:
            raise AxonInputError(f"--pixel is {chosen.pixel:g} mm; it is between 0.02 and 50.")
        return round(height / chosen.pixel), round(width / chosen.pixel)
    across = chosen.size or 1024
    return (round(across * height / width) if chosen.detector else across), across


def _numbers(option: str, text: str | None, counts: tuple[int, ...]) -> list[float]:
    """``1,2.5`` as numbers; AxonInputError where they are not or too many."""
    if text is None:
        return []
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in range(counts[0], counts[1] + 1) or not all(v == v for v in values):
        raise AxonInputError(
            f"{option} is {text!r}; give {counts[0]} to {counts[1]} numbers with commas between."
        )
    return values
