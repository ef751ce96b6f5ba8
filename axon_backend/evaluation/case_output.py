"""The files of one reconstruction: volumes, images, report and the record of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import numpy as np

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError, Cancelled, PoorRegistration
from axon_backend.evaluation.case_folder import DICOM_FOLDER, SAMPLES_FOLDER, XRAY_FILES
from axon_backend.evaluation.case_images import case_images, overlay_images, xray_and_overlay
from axon_backend.imaging.write import atomic_path, write_json, write_png, write_volume
from axon_backend.inference.reconstruct import Reconstruction
from axon_backend.methods import registry
from axon_backend.registration.overlay import VIEW_FILES, write_view
from axon_backend.util.plain_text import without_folders
from axon_backend.util.run_context import Progress


def case_files() -> tuple[str, ...]:
    """All names that :func:`write_case` and :func:`write_refused` may write with any method."""
    stages = {name for info in registry.available().values() for name in info.stage_names}
    return (
        "reconstruction.nii.gz",
        DICOM_FOLDER,
        SAMPLES_FOLDER,
        *XRAY_FILES.values(),
        *(f"{stage}.nii.gz" for stage in sorted(stages)),
        "deviation.nii.gz",
        "overview.png",
        "report.html",
        "interactive.html",
        "result.json",
        *VIEW_FILES,
    )


def write_case(
    folder: Path,
    result: Reconstruction,
    *,
    keep_stages: bool = False,
    keep_samples: bool = False,
    report: bool = True,
    interactive: bool = False,
    dicom: Literal["anonymous", "identified"] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Write a reconstruction into an existing, empty folder.

    Always written: ``reconstruction.nii.gz`` (the last stage, int16 HU, in the thorax frame in LPS
    millimetres) and ``result.json``. With several samples also ``deviation.nii.gz`` (their standard
    deviation in HU).

    Args:
        folder: the folder to write to.
        result: the reconstruction.
        keep_stages: also write one volume per stage.
        keep_samples: with several samples, also write each one into the folder ``samples``.
        report: also write ``overview.png``, ``report.html`` and the X-rays (``xray_frontal.jpg``).
        interactive: also write ``interactive.html``.
        dicom: also write the last stage as a CT series to the folder ``dicom``, with references to
            those X-rays that are DICOM; "identified" copies the patient and study of the first.
        progress: called with the stage ``write``.
        cancelled: polled between files.

    Returns:
        The content of ``result.json``.

    Raises:
        AxonInputError: a file cannot be written.
        Cancelled: ``cancelled()`` returned True.
    """

    def step_done(step: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("stopped while the results were written")
        if progress is not None:
            progress("write", step, len(volumes) + 2, None)

    record = dict(result.record)
    record["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    note = f"seed {record['seed']}, bundle {record['bundle']['sha256'][:12]}"
    volumes = {"reconstruction": result.volume}
    if keep_stages:
        volumes |= result.volumes
    if result.deviation:
        volumes["deviation"] = result.deviation[result.final_stage]
    for number, (name, volume) in enumerate(volumes.items()):
        step_done(number)
        write_volume(folder / f"{name}.nii.gz", volume, result.frame, note)
    step_done(len(volumes))
    folders = [DICOM_FOLDER] if dicom is not None else []
    if keep_samples and result.samples is not None:
        folders.append(SAMPLES_FOLDER)
        (folder / SAMPLES_FOLDER).mkdir()
        for number, volume in enumerate(result.samples, 1):
            file = folder / SAMPLES_FOLDER / f"sample_{number:02d}.nii.gz"
            write_volume(file, volume, result.frame, note)
    if dicom is not None:
        _write_dicom(folder / DICOM_FOLDER, result, dicom == "identified")
    pages: list[str] = []
    if report:
        overlays = overlay_images(result.views)
        pages = ["overview.png", "report.html", *write_xrays(folder, result, overlays)]
    record["files"] = [
        *(f"{name}.nii.gz" for name in volumes),
        *pages,
        *(["interactive.html"] if interactive else []),
        "result.json",
        *folders,
    ]
    if report:
        from axon_backend.evaluation.report import write_report

        images, note = case_images(result, record, overlays)
        record["rendering"] = note or "volume rendering"
        step_done(len(volumes) + 1)
        overview = write_png(folder / "overview.png", images["overview"])
        # As it was written: not compressed a second time.
        shown: dict[str, bytes | np.ndarray] = {**images, "overview": overview.read_bytes()}
        write_report(folder / "report.html", record, shown)
    if interactive:
        from axon_backend.evaluation.interactive import write_interactive

        write_interactive(folder / "interactive.html", result)
    write_json(folder / "result.json", record)
    step_done(len(volumes) + 2)
    return record


def write_xrays(
    folder: Path, result: Reconstruction, overlays: Mapping[str, np.ndarray]
) -> list[str]:
    """Write each X-ray as registered, with its overlay (of ``overlay_images``) beside it; returns
    the file names."""
    names = []
    for role, placed in result.views.items():
        names.append(XRAY_FILES[role])
        with atomic_path(folder / names[-1]) as temporary:
            image = xray_and_overlay(placed, result.frame, overlays.get(role))
            image.save(temporary, "JPEG", quality=90)
    return names


def _write_dicom(folder: Path, result: Reconstruction, identified: bool) -> None:
    from axon_backend.imaging.ct_series_writer import write_ct_series
    from axon_backend.imaging.dicom_source import image_reference, patient_and_study

    files = [Path(xray.source) for xray in result.xrays.values()]
    references = [image_reference(file) for file in files]
    identity = None
    if identified:
        known = [patient_and_study(file) for file in files]
        identity = next((one for one in known if len(one)), None)
        if identity is None:
            raise AxonInputError(
                "No X-ray is a DICOM file that names a patient, so the CT series cannot name one. "
                "Use --dicom instead of --dicom-patient."
            )
    stages = f"{result.final_stage}, seed {result.record['seed']}"
    write_ct_series(
        folder,
        result.volume,
        result.frame,
        description=stages,
        # No file names, which may contain the patient's name.
        derived_from=[f"{role} X-ray" for role in result.xrays],
        sources=[reference for reference in references if reference is not None],
        identity=identity,
    )


def write_refused(folder: Path, poor: PoorRegistration) -> None:
    """Write the registered X-rays, their overlays and ``result.json`` of a case whose registration
    was refused."""
    placed = poor.placed
    sources = [xray.source for xray in placed.case.xrays.values() if xray is not None]
    shown = {role: view for role, view in placed.views.items() if view.registration is not None}
    record = {
        "refused": without_folders(str(poor), sources),
        "inputs": placed.case.describe(placed.views),
        "registration": [write_view(folder, role, view) for role, view in shown.items()],
        "warnings": list(placed.warnings),
        "frame": placed.frame.as_dict(),
        "disclaimer": DISCLAIMER,
    }
    write_json(folder / "result.json", record)


def stages_left_out(result: Reconstruction) -> tuple[str, ...]:
    """The names of the method's stages that did not run."""
    names = registry.info(registry.method_name(result.record)).stage_names
    return tuple(name for name in names if name not in result.volumes)


def summary(result: Reconstruction, folder: Path) -> str:
    """A short summary for the terminal."""
    record = result.record
    n = result.volume.shape[0]
    spacing = " x ".join(f"{s:.2f}" for s in result.frame.spacing_mm(n))
    left_out = ", ".join(stages_left_out(result))
    lines = [
        f"{folder / 'reconstruction.nii.gz'} ({n} x {n} x {n} voxels of {spacing} mm)",
        f"  report: {folder / 'report.html'}",
        f"  stages: {', '.join(s['name'] for s in record['stages'])}; "
        f"{sum(record['seconds'].values()):.0f} s on {record['device']}; seed {record['seed']}",
    ]
    if left_out:
        lines.append(f"  left out: {left_out} (--stages all runs every stage)")
    if record["metrics"]:
        last = record["metrics"][result.final_stage]
        lines.append(
            f"  against the CT: PSNR {last['psnr']:.2f} dB, SSIM {last['ssim3d_gauss11']:.3f}"
        )
    lines += [f"  Warning: {warning}" for warning in record["warnings"]]
    lines.append(f"  {DISCLAIMER}.")
    return "\n".join(lines)
