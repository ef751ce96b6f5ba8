"""Writing of a volume as a DICOM CT series, marked as derived and for research use.

The tags are those that PS3.3 A.3 (CT Image IOD) requires of a single-frame CT: modules Patient,
General Study, General Series, Frame of Reference, General Equipment, General Image, Image Plane,
Image Pixel, CT Image and SOP Common.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from axon_backend import __version__
from axon_backend.errors import AxonInputError, not_written
from axon_backend.imaging.dicom_file import write_dicom
from axon_backend.imaging.dicom_source import PATIENT, STUDY, ImageReference, valid
from axon_backend.imaging.write import RESEARCH_NOTE, spacing_and_origin
from axon_backend.util.output_folder import whole_folder

_LO, _ST = 64, 1024  # characters that these value representations hold
_SQUARE = 1e-3  # cosine between axes that counts as a right angle


def write_ct_series(
    folder: str | os.PathLike[str],
    hu: np.ndarray,
    geometry: Any,
    *,
    description: str = "",
    derived_from: Sequence[str] = (),
    sources: Sequence[ImageReference] = (),
    identity: Dataset | None = None,
    study_uid: str | None = None,
    frame_of_reference_uid: str | None = None,
    series_number: int = 1,
) -> list[Path]:
    """Write a volume as a CT series, one file per slice, atomically into a new folder.

    Args:
        folder: must not exist; its parent must.
        hu: [k, j, i] in HU; rounded to whole numbers.
        geometry: (4, 4), (i, j, k, 1) to LPS millimetres, of any right-angled orientation; or a
            box (``ThoraxFrame``) or grid (``CTVolume``) as in ``write_volume``.
        description: description of the volume, for example "fine, seed 0"; follows the research
            note in SeriesDescription (cut to 64 characters) and ImageComments.
        derived_from: descriptions of the volume's sources, for DerivationDescription.
        sources: the DICOM images among the sources, for SourceImageSequence.
        identity: the patient's and the study's attributes, see ``dicom_source``; invalid ones are
            left empty. None: an unnamed patient and a new study.
        study_uid, frame_of_reference_uid: UIDs of an existing study and of the CT whose coordinates
            the volume shares; new ones by default.
        series_number: number within the study.

    Returns:
        The files, slice by slice.

    Raises:
        AxonInputError: the folder exists or cannot be written, the volume is not finite, or the
            geometry is sheared.
    """
    target = Path(folder)
    _check_target(target)
    voxels = _voxels(hu, target.name)
    affine = _affine(geometry, voxels.shape)
    shared = _shared(description, derived_from)
    shared.PatientName = shared.PatientID = shared.PatientBirthDate = shared.PatientSex = ""
    shared.StudyInstanceUID = study_uid or generate_uid()
    _identify(shared, identity or Dataset())
    if sources:
        shared.SourceImageSequence = [_reference(one) for one in sources]
    shared.FrameOfReferenceUID = frame_of_reference_uid or generate_uid()
    shared.SeriesInstanceUID = generate_uid()
    shared.SeriesNumber = series_number
    _set_plane(shared, affine, voxels.shape)
    names = [f"slice_{k + 1:04d}.dcm" for k in range(len(voxels))]
    try:
        with whole_folder(target) as part:
            for k, (name, plane) in enumerate(zip(names, voxels, strict=True)):
                _save(part / name, shared, plane, k, affine)
    except OSError as error:
        raise not_written(
            f"Cannot write {target}: {error.strerror or error}. "
            "Check the free space and the permissions of the folder.",
            error,
        ) from error
    return [target / name for name in names]


def _identify(shared: Dataset, identity: Dataset) -> None:
    if valid(identity, "StudyInstanceUID"):  # its date is not that of this series
        shared.StudyDate = shared.StudyTime = shared.StudyID = ""
    for tag in (*PATIENT, *STUDY):
        if value := valid(identity, tag):
            setattr(shared, tag, value)


def _reference(source: ImageReference) -> Dataset:
    purpose = Dataset()  # CID 7202
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    one = Dataset()
    one.ReferencedSOPClassUID = source.sop_class
    one.ReferencedSOPInstanceUID = source.sop_instance
    one.PurposeOfReferenceCodeSequence = [purpose]
    return one


def _check_target(target: Path) -> None:
    if os.path.lexists(target):
        raise AxonInputError(
            f"Cannot write {target}: it already exists. A DICOM series needs a folder of its own; "
            "choose another name."
        )
    if not target.parent.is_dir():
        raise AxonInputError(
            f"Cannot write {target}: the folder {target.parent} does not exist. "
            "Create it first or choose another output path."
        )


def _voxels(hu: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(hu)
    if array.ndim != 3 or 0 in array.shape:
        raise AxonInputError(
            f"Cannot write {name}: the array has the shape {array.shape}; a volume has 3 axes."
        )
    if not np.isfinite(array).all():
        raise AxonInputError(
            f"Cannot write {name}: the volume holds values that are not numbers (NaN or "
            "infinite). The reconstruction failed; run it again in 32-bit precision."
        )
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(array), limits.min, limits.max).astype("<i2")


def _affine(geometry: Any, shape: tuple[int, ...]) -> np.ndarray:
    """(4, 4) map from voxel indices to LPS mm; AxonInputError unless its axes are orthogonal."""
    affine = np.eye(4)
    if isinstance(geometry, np.ndarray | list | tuple):
        affine = np.asarray(geometry, dtype=float)
    else:
        spacing, origin = spacing_and_origin(geometry, (shape[2], shape[1], shape[0]))
        affine[:3, :3], affine[:3, 3] = np.diag(spacing), origin
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise AxonInputError(
            "Cannot write the series: the geometry is not a 4 x 4 matrix of finite numbers."
        )
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if steps.min() <= 0:
        raise AxonInputError(f"Cannot write the series: the voxel size is {steps.tolist()} mm.")
    axes = affine[:3, :3] / steps
    if np.abs(axes.T @ axes - np.eye(3)).max() > _SQUARE:
        raise AxonInputError(
            "Cannot write the series: the volume's axes are not at right angles (it was sheared). "
            "Only shifts and rotations can be written as DICOM; harden another transform first."
        )
    return affine


def _shared(description: str, derived_from: Sequence[str]) -> Dataset:
    """The data set that all slices share, without identifiers and geometry."""
    now = datetime.now()
    note = f"{RESEARCH_NOTE}; {description}" if description else RESEARCH_NOTE
    names = "; ".join(derived_from).encode(errors="backslashreplace").decode()
    # A backslash would separate two values.
    sources = f" from {names}".replace("\\", "/") if names else ""
    all_of = Dataset()
    all_of.SpecificCharacterSet = "ISO_IR 192"
    all_of.SOPClassUID = CTImageStorage
    all_of.StudyDate = all_of.SeriesDate = all_of.ContentDate = now.strftime("%Y%m%d")
    all_of.StudyTime = all_of.SeriesTime = all_of.ContentTime = now.strftime("%H%M%S")
    all_of.InstanceCreationDate, all_of.InstanceCreationTime = (
        all_of.ContentDate,
        all_of.ContentTime,
    )
    all_of.AccessionNumber = all_of.ReferringPhysicianName = ""
    all_of.StudyID = "1"
    all_of.Modality = "CT"
    all_of.Manufacturer, all_of.ManufacturerModelName = "AXON", "AXON reconstruction from X-rays"
    all_of.SoftwareVersions = __version__
    # A backslash would separate two values.
    all_of.SeriesDescription = note.replace("\\", "/")[:_LO]
    all_of.ImageComments = note
    all_of.BodyPartExamined = "CHEST"
    all_of.PatientPosition = "HFS"
    all_of.PositionReferenceIndicator = ""
    all_of.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    all_of.DerivationDescription = (
        f"Volume computed by AXON {__version__}{sources}; not acquired by a CT scanner. "
        f"{RESEARCH_NOTE}."
    )[:_ST]
    all_of.BurnedInAnnotation = "NO"
    all_of.LossyImageCompression = "00"
    all_of.KVP = all_of.AcquisitionNumber = None
    all_of.SamplesPerPixel, all_of.PhotometricInterpretation = 1, "MONOCHROME2"
    all_of.BitsAllocated, all_of.BitsStored, all_of.HighBit = 16, 16, 15
    all_of.PixelRepresentation = 1
    all_of.RescaleIntercept, all_of.RescaleSlope, all_of.RescaleType = "0", "1", "HU"
    all_of.WindowCenter, all_of.WindowWidth = ["40", "-600"], ["400", "1500"]
    all_of.WindowCenterWidthExplanation = ["soft tissue", "lung"]
    return all_of


def _set_plane(shared: Dataset, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / steps
    shared.Rows, shared.Columns = shape[1], shape[2]
    # PixelSpacing is (between rows, between columns); i runs along a row.
    shared.PixelSpacing = _decimals(steps[[1, 0]])
    shared.SliceThickness = _decimals(steps[[2]])[0]
    shared.ImageOrientationPatient = _decimals(axes[:, :2].T.ravel())


def _save(path: Path, shared: Dataset, plane: np.ndarray, k: int, affine: np.ndarray) -> None:
    one = Dataset()
    one.update(shared)
    one.SOPInstanceUID = generate_uid()
    one.InstanceNumber = k + 1
    place = affine[:3, 3] + k * affine[:3, 2]
    one.ImagePositionPatient = _decimals(place)
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    one.SliceLocation = _decimals([place @ normal / np.linalg.norm(normal)])[0]
    one.PixelData = plane.tobytes()
    one["PixelData"].VR = "OW"
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID = CTImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    write_dicom(one, path)


def _decimals(values: Any) -> list[str]:
    """Numbers as decimal strings of at most 16 characters."""
    # Adding zero turns -0.0 into 0.0.
    return [format_number_as_ds(float(v) + 0.0) for v in values]
