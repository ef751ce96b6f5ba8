"""Studies that cost little: phantom X-rays, already in the frame, and the mean as a method."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

DX = DigitalXRayImageStorageForPresentation


@pytest.fixture(scope="session")
def mean_bundle(tmp_path_factory) -> str:
    """A bundle of ``atlas_mean`` with a mean of noise; the folder."""
    import torch

    from axon_backend.bundle import write_bundle
    from axon_backend.bundle.metadata import bundle_metadata
    from axon_backend.inference.model_loading import bundle_config
    from axon_backend.methods.atlas_mean.method import ATLAS_MEAN, AtlasMeanConfig
    from axon_backend.methods.formats import views_format

    config = AtlasMeanConfig(grid=12, view_size=8)
    model = ATLAS_MEAN.build(config)
    model.set_mean_volume(torch.rand(1, 1, 12, 12, 12, generator=torch.manual_seed(0)) * 2 - 1)
    folder = tmp_path_factory.mktemp("bundle") / "mean"
    write_bundle(
        folder,
        config=bundle_config(ATLAS_MEAN, config),
        metadata=bundle_metadata(
            name="mean",
            version="0.0.1",
            description="For tests.",
            inputs=views_format(1024),
            output_grid=12,
            hu_window=(-1000, 900),
            networks=ATLAS_MEAN.network_formats(config),
        ),
        state_dicts={"mean": model.network("mean").state_dict()},
        atlas_hu=np.zeros((12, 12, 12), np.float32),
        atlas_size_mm=(300.0, 250.0, 300.0),
        model_card="# mean\n",
        licence_text="Apache-2.0\n",
    )
    return str(folder)


@pytest.fixture
def source(tmp_path, phantom_xray_file) -> Path:
    """Three studies of one frontal X-ray, and one whose file is no image."""
    root = tmp_path / "source"
    root.mkdir()
    for name in ("a", "b", "c"):
        shutil.copy(phantom_xray_file, root / f"{name}_pa.png")
    (root / "d_pa.png").write_bytes(b"\x89PNG but not really")
    return root


@pytest.fixture
def settings(mean_bundle):
    """Nothing is registered, for the phantom is in the frame, and nothing is drawn."""
    from axon_backend.cohort.settings import CohortSettings

    return CohortSettings(bundle=mean_bundle, register=False, report=False)


@pytest.fixture
def xray(phantom_xray_file) -> Dataset:
    """The phantom's frontal X-ray as DX."""
    pixels = np.asarray(Image.open(phantom_xray_file)).astype("<u2") >> 4
    item = Dataset()
    item.file_meta, item.preamble = FileMetaDataset(), bytes(128)
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = DX
    item.SOPClassUID = DX
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    item.SeriesInstanceUID, item.StudyInstanceUID = generate_uid(), generate_uid()
    item.PatientID, item.PatientName = "P7", "Doe^Jane"
    item.Modality, item.BodyPartExamined, item.ViewPosition = "DX", "CHEST", "PA"
    item.PatientOrientation = ["L", "F"]
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = pixels.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    item.PixelData = pixels.tobytes()
    return item
