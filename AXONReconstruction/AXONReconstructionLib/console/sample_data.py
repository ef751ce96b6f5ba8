"""The cases that ship with AXON, in Slicer's Sample Data module; no download is required."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.console.logic import AXONReconstructionLogic
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views import xray_views

CATEGORY = "AXON"
_ICONS = Path(__file__).resolve().parents[2] / "Resources" / "Icons"


@dataclass(frozen=True)
class SampleFile:
    """A file in `axon_backend/demo_data`: an X-ray with its view, or a CT (view None)."""

    name: str
    nodeName: str
    sha256: str
    view: str | None = None


@dataclass(frozen=True)
class Sample:
    """The files loaded by one button of Sample Data; its thumbnail is the icon of that name."""

    name: str
    files: tuple[SampleFile, ...]


SAMPLES = (
    Sample(
        "AXONChestXray",
        (
            SampleFile(
                "xray_pa.jpg",
                "AXON chest X-ray",
                "927cbcf4cae297603ca8c444587092902cba0285efffb4794350505027bfd414",
                "pa",
            ),
        ),
    ),
    Sample(
        "AXONTestPatient",
        (
            SampleFile(
                "ct_lidc0306.nii.gz",
                "AXON test patient CT",
                "fb0f2e3945996b7a0275227b0b951f6ebdbf21b4cc9460a28581a3a197d6d033",
            ),
            SampleFile(
                "drr_lidc0306_pa.nrrd",
                "AXON test patient frontal (simulated)",
                "4a6bd8c4de060ec9c6d977c2dca996909d8f5bc56694a73a5b61c1bb35961ac8",
                "pa",
            ),
            SampleFile(
                "drr_lidc0306_lateral.nrrd",
                "AXON test patient lateral (simulated)",
                "46cce477c8624f02e97057b4653763bc280d565d37cdea4839f8db82ab2be937",
                "ll",
            ),
        ),
    ),
    Sample(
        "AXONRegistration",
        (
            SampleFile(
                "ct_lidc0306.nii.gz",
                "AXON registration CT",
                "fb0f2e3945996b7a0275227b0b951f6ebdbf21b4cc9460a28581a3a197d6d033",
            ),
            SampleFile(
                "xray_lidc0306_turned.jpg",
                "AXON registration X-ray (turned)",
                "3753f8d6063741e5ca3b83672e5fd99a6ceae54715f4d31e85e1053aaf4236d7",
                "pa",
            ),
        ),
    ),
)


def register() -> None:
    """Add the samples to the Sample Data module, unless already present."""
    import SampleData

    folder = _folder()
    if folder is None:
        return
    known = {
        source.sampleName
        for source in SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    }
    for sample in SAMPLES:
        if sample.name in known:
            continue
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            thumbnailFileName=str(_ICONS / f"{sample.name}.png"),
            uris=[(folder / file.name).as_uri() for file in sample.files],
            fileNames=[file.name for file in sample.files],
            nodeNames=[file.nodeName for file in sample.files],
            checksums=[f"SHA256:{file.sha256}" for file in sample.files],
            customDownloader=_loadFromButton,
        )


def load(sampleName: str) -> list:
    """Load a sample into the scene.

    X-rays are loaded as by `loadRadiograph`. If AXON's dependencies are not installed, Slicer's
    reader is used instead.

    Returns:
        The nodes, in the order of `SAMPLES`.

    Raises:
        KeyError: unknown sample.
        RuntimeError: a file is missing or its checksum differs.
    """
    sample = {sample.name: sample for sample in SAMPLES}[sampleName]
    folder = _folder() or Path()
    for file in sample.files:
        path = folder / file.name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != file.sha256:
            raise RuntimeError(
                _("The sample file {name} is missing or damaged. Reinstall AXON.").format(
                    name=path.name
                )
            )
    if backend.available() is not None:
        return [
            slicer.util.loadVolume(
                str(folder / file.name), {"name": file.nodeName, "singleFile": True}
            )
            for file in sample.files
        ]
    logic = AXONReconstructionLogic()
    try:
        return [
            logic.loadCT(str(folder / file.name), name=file.nodeName)
            if file.view is None
            else logic.loadRadiograph(str(folder / file.name), view=file.view, name=file.nodeName)
            for file in sample.files
        ]
    finally:
        logic.cleanup()


def _loadFromButton(source) -> None:
    """Callback of the button in Sample Data; `source` is its SampleDataSource."""
    with slicer.util.tryWithErrorDisplay(_("The sample could not be loaded."), waitCursor=True):
        first = load(source.sampleName)[0]
        if first.GetAttribute("AXON.View") is None:
            slicer.util.setSliceViewerLayers(background=first, fit=True)
        else:
            xray_views.showLayers("frontal", first)
            xray_views.fit("frontal", first)


def _folder() -> Path | None:
    backend.available()  # adds the package to the path if it is next to the module
    found = importlib.util.find_spec("axon_backend")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "demo_data"
