"""Made-up chest images with a marker at a known place, and writers of the files that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

ROWS, COLS = 160, 128
# The marker in the display: patient's right (frontal) or front (lateral), in the upper half.
MARKER = (slice(40, 48), slice(8, 14))
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"


def chest_image(rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    """A frontal chest in display orientation, [row, col] in [0, 1], bright bones, marker = 1."""
    r, c = np.mgrid[0:rows, 0:cols]
    y, x = (r + 0.5) / rows, (c + 0.5) / cols
    image = 0.05 + 0.04 * y + 0.02 * x  # air, never quite uniform
    body = (np.abs(x - 0.5) < 0.38) & (y > 0.12)
    image[body] = 0.6
    for side in (0.31, 0.69):
        image[((x - side) / 0.13) ** 2 + ((y - 0.47) / 0.3) ** 2 < 1] = 0.25
    image[(np.abs(x - 0.5) < 0.06) & (y > 0.05)] = 0.85
    image += 0.03 * np.sin(r / 3.0) * np.sin(c / 5.0)
    image = np.clip(image, 0, 0.97)
    if (rows, cols) == (ROWS, COLS):
        image[MARKER] = 1.0
    return image


def stored_image(display: np.ndarray, across: str, down: str, frontal: bool = True) -> np.ndarray:
    """The array a device stores whose columns grow towards `across` and rows towards `down`.

    Built by asking, for each stored pixel, where in the patient it lies; independent of how the
    product turns images.
    """
    rows, cols = display.shape
    side = ("L", "R") if frontal else ("P", "A")
    length = {"F": rows, "H": rows, side[0]: cols, side[1]: cols}
    stored = np.empty((length[down], length[across]), display.dtype)
    for i in range(stored.shape[0]):
        for j in range(stored.shape[1]):
            place = {}
            for code, index in ((down, i), (across, j)):
                if code in "FH":
                    place["row"] = index if code == "F" else rows - 1 - index
                else:
                    place["col"] = index if code == side[0] else cols - 1 - index
            stored[i, j] = display[place["row"], place["col"]]
    return stored


def as_integers(image: np.ndarray, bits: int = 12) -> np.ndarray:
    """[0, 1] to unsigned integers of `bits`."""
    return np.rint(image * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def xray_dataset(stored: np.ndarray, bits: int = 12, **tags: object) -> Dataset:
    """A valid single-frame CR in memory; `tags` overrides or, with None, deletes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(CR_STORAGE)
    dataset.SOPClassUID = CR_STORAGE
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else stored.shape[2]
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.tobytes()
    for keyword, value in tags.items():
        if value is None:
            if keyword in dataset:
                delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_xray(path: Path, stored: np.ndarray, bits: int = 12, **tags: object) -> Path:
    return save(xray_dataset(stored, bits, **tags), path)


# A coarse chest: 24 slices of 10 mm, 32 x 32 pixels of 10 mm; one bright voxel as the marker.
CT_SHAPE = (24, 32, 32)
CT_SPACING = (10.0, 10.0, 10.0)
CT_MARKER_ZYX = (18, 9, 7)
CT_MARKER_HU = 3000.0


def chest_ct() -> np.ndarray:
    """HU [z, y, x] in the project's axes: air, a body, two lungs and the marker voxel."""
    z, y, x = np.mgrid[0:24, 0:32, 0:32].astype(float)
    hu = np.full(CT_SHAPE, -1000.0, np.float32)
    hu[((x - 15.5) / 14) ** 2 + ((y - 15.5) / 10) ** 2 < 1] = 40
    for side in (9.5, 21.5):
        lung = ((x - side) / 4.5) ** 2 + ((y - 15.5) / 6.5) ** 2 + ((z - 12) / 9) ** 2 < 1
        hu[lung] = -800
    hu[CT_MARKER_ZYX] = CT_MARKER_HU
    return hu


def ct_slices(hu: np.ndarray, **tags: object) -> list[Dataset]:
    """Axial CT slices [z] with origin (-155, -155, -115), slope 1, intercept -1024."""
    series = tags.pop("SeriesInstanceUID", generate_uid())
    slices = []
    for k, plane in enumerate(hu):
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = CTImageStorage
        item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        item.SeriesInstanceUID = series
        item.Modality, item.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        item.SeriesNumber, item.InstanceNumber, item.SeriesDescription = 1, k + 1, "CHEST"
        item.BodyPartExamined = "CHEST"
        item.ImagePositionPatient = [-155.0, -155.0, -115.0 + 10.0 * k]
        item.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        item.PixelSpacing = [10.0, 10.0]
        item.Rows, item.Columns = plane.shape
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit = 16, 16, 15
        item.PixelRepresentation, item.RescaleSlope, item.RescaleIntercept = 0, 1, -1024
        item.PixelData = np.rint(plane + 1024).astype(np.uint16).tobytes()
        for keyword, value in tags.items():
            if value is None:
                delattr(item, keyword)
            else:
                setattr(item, keyword, value)
        slices.append(item)
    return slices


def write_series(folder: Path, slices: list[Dataset], prefix: str = "s") -> Path:
    folder.mkdir(exist_ok=True)
    # Names in an order that is not the order of the slices.
    for k, item in enumerate(slices):
        pydicom.dcmwrite(
            folder / f"{prefix}{(k * 7) % len(slices):03d}_{k}.dcm", item, enforce_file_format=True
        )
    return folder


def brightest_point(volume: object) -> np.ndarray:
    """LPS point (x, y, z) of the brightest voxel of a CTVolume."""
    z, y, x = np.unravel_index(int(volume.hu.argmax()), volume.hu.shape)  # type: ignore[attr-defined]
    spacing, origin = np.array(volume.spacing_mm), np.array(volume.origin_mm)  # type: ignore[attr-defined]
    return origin + spacing * (x, y, z)
