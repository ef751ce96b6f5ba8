"""A source like LIDC-IDRI made of the shipped CT and X-ray: good patients, every kind of bad."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

import axon_backend

DEMO = Path(axon_backend.__file__).parent / "demo_data"
DAY = date(2000, 1, 1)
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def read_chest(step: int = 2):
    """The shipped CT with every ``step``-th voxel (2 mm)."""
    from axon_backend.imaging.ct import CTVolume, read_ct

    ct = read_ct(DEMO / "ct_lidc0306.nii.gz")
    return CTVolume(
        np.ascontiguousarray(ct.hu[::step, ::step, ::step]),
        tuple(step * s for s in ct.spacing_mm),
        ct.origin_mm,
    )


def fill_lungs(ct) -> np.ndarray:
    """The CT's HU with soft tissue where the lungs were."""
    from scipy import ndimage

    from axon_backend.imaging.frame import lung_mask

    lungs = ndimage.binary_dilation(lung_mask(ct.hu, ct.spacing_mm), iterations=3)
    return np.where(lungs & (ct.hu < 0), 40, ct.hu)


@pytest.fixture(scope="session")
def coarse_chest():
    """A function: the shipped CT with voxels of 4 mm."""
    return read_chest


@pytest.fixture(scope="session")
def without_lungs():
    """A function: the HU of a CT without its lungs."""
    return fill_lungs


class Tree:
    """Writes patients into a folder, in folders whose names mean nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.chest = read_chest()

    def ct(
        self, patient, folder, *, hu=None, scale=1.0, days=0, number=1, words="CHEST", part="CHEST",
        kind=("ORIGINAL", "PRIMARY", "AXIAL"), slices=slice(None), study=None, **tags,
    ):  # fmt: skip
        """A series of CT slices; returns their files from the feet up."""
        from axon_backend.imaging.ct import CTVolume
        from axon_backend.imaging.ct_series_writer import write_ct_series

        target = self.root / folder
        target.parent.mkdir(parents=True, exist_ok=True)
        base = self.chest
        geometry = CTVolume(base.hu, tuple(scale * s for s in base.spacing_mm), base.origin_mm)
        hu = base.hu if hu is None else hu
        files = write_ct_series(target, hu, geometry, study_uid=study)
        kept = files[slices]
        for path in files:
            if path not in kept:
                path.unlink()
                continue
            item = pydicom.dcmread(path)
            item.PatientName, item.PatientID = "Nobody^Knows", patient
            item.ImageType = list(kind)
            item.SeriesNumber, item.SeriesDescription, item.BodyPartExamined = number, words, part
            item.StudyDate = (DAY + timedelta(days)).strftime("%Y%m%d")
            for keyword, value in tags.items():
                setattr(item, keyword, value)
            item.save_as(path)
        return kept

    def xray(self, patient, file, *, days=0, view="PA", image=None, modality="DX", **tags):
        """One X-ray; without an image the shipped one. ``view`` None leaves it unsaid."""
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        if image is None:
            grey = Image.open(DEMO / "xray_pa.jpg").convert("L").resize((512, 512))
            image = np.asarray(grey, float) / 255
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = DX
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.SeriesInstanceUID, item.StudyInstanceUID = generate_uid(), generate_uid()
        item.PatientID, item.PatientName, item.Modality = patient, "Nobody^Knows", modality
        item.StudyDate = (DAY + timedelta(days)).strftime("%Y%m%d")
        item.BodyPartExamined, item.SeriesNumber, item.InstanceNumber = "CHEST", 1, 1
        if view is not None:
            item.ViewPosition = view
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.Rows, item.Columns = image.shape
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
        item.PixelData = np.rint(image * 4095).astype("<u2").tobytes()
        for keyword, value in tags.items():
            setattr(item, keyword, value)
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        item.save_as(path, enforce_file_format=True)
        return path


def lateral_image() -> np.ndarray:
    """The shipped lateral DRR with its head up, (512, 423) in [0, 1], pixels of 0.608 mm."""
    import SimpleITK as sitk

    image = sitk.GetArrayFromImage(sitk.ReadImage(str(DEMO / "drr_lidc0306_lateral.nrrd")))
    image = np.squeeze(image).astype(float)[::-1]
    return (image - image.min()) / np.ptp(image)


@pytest.fixture
def tree(tmp_path) -> Tree:
    """An empty source to fill."""
    root = tmp_path / "source"
    root.mkdir()
    return Tree(root)


@pytest.fixture(scope="session")
def one_thread():
    """What a case does to the threads of this process is undone."""
    import SimpleITK as sitk
    import torch

    before = torch.get_num_threads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    yield
    torch.set_num_threads(before[0])
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[1])


@pytest.fixture(scope="session")
def small():
    """Settings that make a case in about a second."""
    from axon_backend.dataset.settings import PrepareSettings

    return PrepareSettings(voxel_mm=4.0, view_size=128)


@pytest.fixture(scope="session")
def lidc(tmp_path_factory) -> Path:
    """Patients like those of LIDC-IDRI; which is which stands in the tests."""
    root = tmp_path_factory.mktemp("lidc") / "LIDC-IDRI"
    root.mkdir()
    make = Tree(root)
    name = "LIDC-IDRI-{:04d}".format

    # 1: a CT among what scanners add to it; X-rays of three days.
    make.ct(name(1), "a/1/s1", number=2, study="1.2.3.1")
    make.ct(name(1), "a/1/s2", number=1, words="SCOUT", kind=("ORIGINAL", "PRIMARY", "LOCALIZER"),
            slices=slice(0, 2), study="1.2.3.1")  # fmt: skip
    make.ct(name(1), "a/1/s3", number=3, words="SMART PREP", slices=slice(30, 31), study="1.2.3.1")
    make.ct(name(1), "a/1/s4", number=4, words="ABDOMEN", part="ABDOMEN", slices=slice(0, 25),
            study="1.2.3.1")  # fmt: skip
    make.xray(name(1), "a/1/far.dcm", days=-200, modality="CR")
    make.xray(name(1), "a/1/near.dcm", days=3)
    make.xray(name(1), "a/1/hand.dcm", BodyPartExamined="HAND")
    # 2: both views.
    make.ct(name(2), "b/x/y", scale=1.05)
    make.xray(name(2), "b/x/z/1.dcm", days=1)
    make.xray(name(2), "b/x/z/2.dcm", days=1, view="LL", image=lateral_image(),
              PatientOrientation=["P", "F"])  # fmt: skip
    # 3: a slice that was cut short.
    cut = make.ct(name(3), "c/s")[20]
    cut.write_bytes(cut.read_bytes()[:4000])
    # 4: a gap of 28 mm.
    for path in make.ct(name(4), "d/s")[30:36]:
        path.unlink()
    # 5: two pixel spacings in one series.
    for path in make.ct(name(5), "e/s")[40:]:
        item = pydicom.dcmread(path)
        item.PixelSpacing = ["3.5", "3.5"]
        item.save_as(path)
    # 6: no lungs.
    make.ct(name(6), "f/s", hu=fill_lungs(make.chest))
    # 7: an X-ray without a CT.
    make.xray(name(7), "g/x.dcm")
    # 8: the lower half of a chest.
    make.ct(name(8), "h/s", slices=slice(0, 38))
    # 9: one id, two persons.
    make.ct(name(9), "i/s", PatientSex="F", PatientBirthDate="19400101")
    make.xray(name(9), "i/x.dcm", PatientSex="M", PatientBirthDate="19500101")
    # 10: the same scan reconstructed twice, nothing to choose between.
    make.ct(name(10), "j/1", number=5, study="1.2.3.10", words="B30f")
    make.ct(name(10), "j/2", number=6, study="1.2.3.10", words="B70f")
    # An empty file, and things that are no images.
    (root / "c" / "empty.dcm").write_bytes(b"")
    (root / "annotation.xml").write_text("<x/>")
    return root


@pytest.fixture(scope="session")
def lidc_data(lidc, small, one_thread, tmp_path_factory):
    """The LIDC-like source, prepared: (folder, summary)."""
    from axon_backend.dataset.prepare import prepare

    out = tmp_path_factory.mktemp("prepared") / "data"
    return out, prepare(lidc, out, small, workers=0)


@pytest.fixture
def copy_of(tmp_path):
    """Copies a folder, so that a test may change it."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / f"copy-{folder.name}"))

    return copy
