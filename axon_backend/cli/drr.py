"""The command ``axon drr``. Its options are named after DICOM attributes where these exist."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError

if TYPE_CHECKING:
    from axon_backend.physics.exposure import XraySettings
    from axon_backend.physics.geometry import AcquisitionGeometry


def add_arguments(one: argparse.ArgumentParser) -> None:
    """Add the options other than those for output."""
    one.add_argument("ct_path", nargs="?", metavar="CT", help="a CT file or DICOM folder")
    one.add_argument("--ct", metavar="PATH", help="the CT, given as an option")
    one.add_argument(
        "--view",
        default="pa",
        choices=("pa", "ap", "lateral", "ll", "rl"),
        help="lateral is ll, with the left side at the detector (default pa)",
    )
    one.add_argument(
        "--angle",
        metavar="A[,B,C]",
        help="rotate tube and detector about the patient, in degrees: about the superior-inferior "
        "axis (of a PA view: positive is LAO), the left-right and the antero-posterior axis",
    )
    one.add_argument(
        "--sid", type=float, metavar="MM", help="DistanceSourceToDetector (default 1800)"
    )
    one.add_argument(
        "--sod", type=float, metavar="MM", help="DistanceSourceToPatient (default SID - 200)"
    )
    one.add_argument(
        "--detector", metavar="W,H", help="width and height in mm (default: covers the thorax)"
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
        help="mono-energetic line integrals (default), or a simulation with spectrum, scatter, "
        "grid, noise and blur",
    )
    one.add_argument(
        "--postprocess",
        "--look",
        dest="postprocess",
        choices=("linear", "clinical"),
        help="log exposure, or post-processed like a clinical radiograph (default: linear with "
        "--physics mono, clinical with poly)",
    )
    one.add_argument(
        "--seed", type=int, default=0, metavar="S", help="random seed of the noise (default 0)"
    )
    poly = one.add_argument_group("options of --physics poly (defaults: a chest stand)")
    poly.add_argument(
        "--kvp", type=float, metavar="KV", help="peak tube voltage, DICOM KVP, 40 to 150 (120)"
    )
    poly.add_argument(
        "--filtration",
        metavar="AL[,CU]",
        help="total filtration in mm of aluminium, copper (3,0.1)",
    )
    poly.add_argument("--anode-angle", type=float, metavar="DEG", help="anode angle (12)")
    poly.add_argument(
        "--anode-side",
        choices=("top", "bottom", "left", "right"),
        help="side of the image where the anode is (top)",
    )
    poly.add_argument(
        "--flat-field",
        type=float,
        metavar="F",
        help="fraction of the heel effect and inverse-square law that calibration removes, 0 to 1 "
        "(1)",
    )
    poly.add_argument("--grid", type=float, metavar="RATIO", help="grid ratio; 0: no grid (12)")
    poly.add_argument(
        "--air-gap", type=float, metavar="MM", help="distance from patient to detector (50)"
    )
    poly.add_argument(
        "--scatter", type=float, metavar="F", help="scale factor of the scatter; 0: none (1)"
    )
    poly.add_argument(
        "--exposure-index",
        type=float,
        metavar="EI",
        help="DICOM ExposureIndex: 100 times the detector's air kerma in microgray (250)",
    )
    poly.add_argument(
        "--mas", type=float, metavar="MAS", help="tube load, instead of the exposure index"
    )
    poly.add_argument(
        "--noise", choices=("none", "gaussian", "poisson"), help="noise model (poisson)"
    )
    poly.add_argument("--focal-spot", type=float, metavar="MM", help="focal spot size (1)")
    poly.add_argument("--collimation", metavar="W,H", help="field at the isocentre in mm (all)")
    poly.add_argument(
        "--metal",
        action="store_true",
        default=None,
        help="treat voxels of 3000 HU and more as metal, not bone",
    )
    poly.add_argument(
        "--iodine",
        metavar="MASK",
        help="mask on the CT's grid, 1 where high CT values are contrast medium, not bone",
    )


def run(chosen: argparse.Namespace) -> int:
    """Run ``axon drr``: render, write the file and print a one-line summary."""
    from axon_backend.cli.drr_options import check_numbers, geometry_of, settings_of, size_of
    from axon_backend.imaging.dicom_mark import is_dicom
    from axon_backend.physics.drr_writer import (
        DICOM_SUFFIXES,
        SIZES,
        check_drr_target,
        check_size,
        sidecar_of,
    )
    from axon_backend.util.apart import check_apart

    if bool(chosen.ct) == bool(chosen.ct_path):
        raise AxonInputError("Give exactly one CT, as in `axon drr chest.nii.gz --output drr.png`.")
    target = check_drr_target(chosen.output, chosen.overwrite)
    source = Path(chosen.ct or chosen.ct_path)
    sidecar = sidecar_of(target)
    for output in (target, sidecar):
        check_apart(output, source, chosen.iodine)
    if target.exists() and source.is_file() and is_dicom(source):
        check_apart(target, source.parent)  # one slice stands for the series in its folder
    check_numbers(chosen)
    settings = settings_of(chosen)
    from axon_backend.imaging.ct import read_ct
    from axon_backend.imaging.frame import find_thorax_frame
    from axon_backend.imaging.view import parse_view
    from axon_backend.inference.model_loading import choose_device

    view = parse_view(chosen.view)
    assert view is not None
    if chosen.size is not None and not SIZES[0] <= chosen.size <= SIZES[1]:
        raise AxonInputError(
            f"--size is {chosen.size} pixels; it must be {SIZES[0]} to {SIZES[1]}, usually 1024."
        )
    device = choose_device(chosen.device)
    ct = read_ct(source)
    geometry = geometry_of(chosen, ct, find_thorax_frame(ct), view)
    size = size_of(chosen, geometry)
    check_size(*size)
    image, shown, mas = _render(chosen, ct, geometry, size, settings, device)

    from axon_backend.imaging.write import write_json
    from axon_backend.physics.geometry import view_position

    check_drr_target(target, chosen.overwrite)  # it may have appeared meanwhile
    name = target.name.lower()
    if name.endswith(".png"):
        from axon_backend.physics.drr_writer import write_drr_png

        write_drr_png(target, image)
    elif name.endswith(DICOM_SUFFIXES):
        from axon_backend.physics.dx_writer import study_uid_of, write_dx

        write_dx(
            target,
            image,
            geometry,
            view,
            shown=shown,
            settings=settings,
            mas=mas,
            study_uid=study_uid_of(ct),
        )
    else:
        from axon_backend.physics.drr_writer import write_drr_volume

        write_drr_volume(target, image, geometry, view)
    write_json(
        sidecar,
        {
            "drr": target.name,
            "ct": source.name,  # no folders: they often name the user or the patient
            "assumptions": ct.assumptions,
            "view": view,
            "geometry": geometry,
            "rows": size[0],
            "columns": size[1],
            "physics": chosen.physics,
            "settings": settings,
            "tube_load_mas": mas,
            "postprocessed": shown,
            "seed": chosen.seed,
            "disclaimer": DISCLAIMER,
        },
    )
    values = "grey 0 to 1" if shown else f"highest line integral {float(image.max()):.3f}"
    row, column = geometry.extent_mm[1] / size[0], geometry.extent_mm[0] / size[1]
    technique = f", {settings.tube.kvp:g} kV, {mas:.2f} mAs" if settings and mas else ""
    position = view_position(geometry)
    rotated = "" if position == view.value.upper() else f" rotated to {position}"
    print(
        f"{target}: {view.value} DRR{rotated}, {size[0]} x {size[1]} pixels of {row:.4f} x "
        f"{column:.4f} mm (row, column) in the patient plane{technique}, {values}"
    )
    for assumption in ct.assumptions:
        print(f"Assumed: {assumption}")
    print(DISCLAIMER)
    return 0


def _render(
    chosen: argparse.Namespace,
    ct: Any,
    geometry: AcquisitionGeometry,
    size: tuple[int, int],
    settings: XraySettings | None,
    device: Any,
) -> tuple[Any, bool, float | None]:
    """The image (H, W) float32, whether it is post-processed, and the tube load."""
    import torch

    from axon_backend.physics.drr import render_drr
    from axon_backend.physics.postprocess import postprocess

    mas, field = None, None
    with torch.inference_mode():
        if settings is None:
            log = render_drr(ct, geometry, size, device=device)
        else:
            from axon_backend.cli.drr_options import read_mask
            from axon_backend.physics.simulate import XraySimulator

            iodine = None if chosen.iodine is None else read_mask(chosen.iodine, ct)
            simulator = XraySimulator(ct, device, iodine=iodine, metal=bool(chosen.metal))
            taken = simulator.take([geometry], size, settings, seeds=[chosen.seed])
            log, field, mas = taken.log[0], taken.field, taken.mas[0]
        mode = chosen.postprocess or ("linear" if settings is None else "clinical")
        if mode == "clinical":
            log = postprocess(log[None], field=field)[0]
    return log.cpu().numpy(), mode == "clinical", mas
