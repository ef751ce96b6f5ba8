"""Writing of DRRs as DICOM Digital X-Ray images (DX), marked as derived and for research use.

The attributes are those that PS3.3 A.26 requires: modules Patient, General Study, General Series,
DX Series, General Equipment, General Image, Image Pixel, DX Anatomy Imaged, DX Image, DX Detector,
Acquisition Context and SOP Common; plus DX Positioning, X-Ray Acquisition Dose, X-Ray Generation,
X-Ray Filtration and X-Ray Grid where known.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from axon_backend import __version__
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.dicom_file import write_dicom
from axon_backend.imaging.view import View
from axon_backend.imaging.write import RESEARCH_NOTE, atomic_path
from axon_backend.physics.exposure import XraySettings
from axon_backend.physics.geometry import AcquisitionGeometry, view_position

# Stored values of a log image: 4000 grey levels per factor of e, open beam at 2000.
LOG_SCALE, LOG_OFFSET = 4000.0, 2000.0


def write_dx(
    target: Path,
    image: np.ndarray,
    geometry: AcquisitionGeometry,
    view: View,
    *,
    shown: bool,
    settings: XraySettings | None = None,
    mas: float | None = None,
    source: str = "",
    study_uid: str | None = None,
) -> None:
    """Write one DX file atomically.

    Args:
        target: the file.
        image: (H, W), bright = attenuation: grey 0 to 1 when ``shown`` (for presentation), else
            ``-ln`` of the relative exposure (for processing).
        geometry: geometry of the exposure.
        view: the standard projection that the geometry was rotated from.
        shown: whether the image is post-processed for presentation.
        settings: settings of a poly-energetic exposure; None for mono-energetic line integrals.
        mas: tube load.
        source: description of the volume it was rendered from.
        study_uid: Study Instance UID, see :func:`study_uid_of`; None: a new study.
    """
    if shown:
        stored = np.rint(np.clip(image, 0, 1) * 65535)
    else:
        stored = np.clip(np.rint(image * LOG_SCALE + LOG_OFFSET), 0, 65535)
    ds = _about(source, settings, geometry)
    ds.StudyInstanceUID = study_uid or generate_uid()
    ds.SOPClassUID = (
        DigitalXRayImageStorageForPresentation if shown else DigitalXRayImageStorageForProcessing
    )
    ds.PresentationIntentType = "FOR PRESENTATION" if shown else "FOR PROCESSING"
    if shown:
        ds.WindowCenter, ds.WindowWidth = "32768", "65536"
    _set_place(ds, geometry, view, image.shape)
    if settings is not None:
        _set_technique(ds, settings, mas)
    ds.Rows, ds.Columns = image.shape
    ds.PixelData = np.ascontiguousarray(stored.astype("<u2")).tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with atomic_path(target) as temporary:
        write_dicom(ds, temporary)


def study_uid_of(ct: CTVolume) -> str:
    """Study Instance UID for the DRRs of a CT.

    Args:
        ct: the CT.

    Returns:
        A UID that depends only on the voxels (HU) and the geometry of the CT, so that its frontal
        and lateral DRRs, written by different calls, belong to one study. The UIDs of the CT's
        own files cannot be derived from it.
    """
    content = hashlib.sha256(np.ascontiguousarray(ct.hu).tobytes())
    content.update(repr((ct.hu.shape, ct.spacing_mm, ct.origin_mm)).encode())
    return generate_uid(entropy_srcs=[content.hexdigest()])


# Codes of SNOMED CT in CID 4010 for the values of ViewPosition.
_VIEW_CODES = {
    "PA": ("272479007", "postero-anterior"),
    "AP": ("399348003", "antero-posterior"),
    "LL": ("399173006", "left lateral"),
    "RL": ("399198007", "right lateral"),
    "RAO": ("399356000", "right anterior oblique"),
    "LAO": ("399135007", "left anterior oblique"),
    "RPO": ("399038007", "right posterior oblique"),
    "LPO": ("399006002", "left posterior oblique"),
    "OBLIQUE": ("399182000", "oblique"),
}


def _view_code(position: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = _VIEW_CODES[position]
    code.CodingSchemeDesignator = "SCT"
    return code


def _direction(geometry: AcquisitionGeometry) -> str:
    """The detector's angulation in angiographic terms; ViewPosition has no degrees."""
    x, y, z = geometry.ray
    round_, up = np.degrees(np.arctan2(x, -y)), np.degrees(np.arcsin(np.clip(z, -1, 1)))
    return (
        f"detector {abs(round_):.1f} degrees {'LAO' if round_ >= 0 else 'RAO'} (0 is PA, 180 AP), "
        f"{abs(up):.1f} degrees {'cranial' if up >= 0 else 'caudal'}"
    )


def _about(source: str, settings: XraySettings | None, geometry: AcquisitionGeometry) -> Dataset:
    """Attributes that do not depend on the pixels."""
    now = datetime.now()
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.StudyDate = ds.StudyTime = ""  # the DRRs of a study may be rendered on different days
    ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = now.strftime("%Y%m%d")
    ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = now.strftime("%H%M%S")
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "1"
    ds.PatientName = ds.PatientID = ds.PatientBirthDate = ds.PatientSex = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "DX", 1, 1
    ds.Manufacturer, ds.ManufacturerModelName = "AXON", "AXON digitally reconstructed radiograph"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", __version__
    ds.SeriesDescription = RESEARCH_NOTE
    ds.ImageComments = f"{RESEARCH_NOTE}. Computed from a CT, not acquired with X-rays."
    ds.ImageType = ["DERIVED", "SECONDARY"]
    physics = "mono-energetic line integrals" if settings is None else "poly-energetic simulation"
    if settings is not None:
        ratio = settings.grid.ratio
        physics += f", grid {ratio:g}:1" if ratio else ", no grid"
    # A backslash would separate two values.
    origin = f" from {source}".replace("\\", "/") if source else ""
    ds.DerivationDescription = (
        f"Digitally reconstructed radiograph by AXON {__version__}{origin}; {physics}; "
        f"{_direction(geometry)}. {RESEARCH_NOTE}."
    )[:1024]
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.BodyPartExamined, ds.ImageLaterality = "CHEST", "U"
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator = "51185008", "SCT"
    region.CodeMeaning = "Chest"
    ds.AnatomicRegionSequence = [region]
    ds.AcquisitionContextSequence = []
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PresentationLUTShape = "IDENTITY"
    ds.DetectorType = "SCINTILLATOR"
    return ds


def _set_place(
    ds: Dataset, geometry: AcquisitionGeometry, view: View, shape: tuple[int, ...]
) -> None:
    """Distances, pixel size, view and orientation."""
    ds.ImagerPixelSpacing = _decimals(geometry.imager_pixel_mm(shape[0], shape[1]))
    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = _decimals(
        (geometry.sid_mm, geometry.sod_mm)
    )
    ds.EstimatedRadiographicMagnificationFactor = _decimals([geometry.magnification])[0]
    ds.ViewPosition = view_position(geometry)
    ds.ViewCodeSequence = [_view_code(ds.ViewPosition)]
    ds.PatientOrientation = [_letters(geometry.column), _letters(geometry.row)]
    ds.PositionerType = "NONE"
    ds.FieldOfViewShape = "RECTANGLE"
    # Vertical, then horizontal, whole millimetres.
    ds.FieldOfViewDimensions = [str(round(mm)) for mm in geometry.detector_mm[::-1]]


def _set_technique(ds: Dataset, settings: XraySettings, mas: float | None) -> None:
    ds.KVP = _decimals([settings.tube.kvp])[0]
    if mas is not None:
        ds.Exposure, ds.ExposureInuAs = str(max(0, round(mas))), str(round(1000 * mas))
    if settings.mas is None:
        ds.ExposureIndex = _decimals([settings.exposure_index])[0]
    ds.AnodeTargetMaterial = "TUNGSTEN"
    ds.FocalSpots = _decimals([settings.detector.focal_spot_mm])[0]
    layers = [("ALUMINUM", settings.tube.al_mm), ("COPPER", settings.tube.cu_mm)]
    layers = [layer for layer in layers if layer[1] > 0]
    ds.FilterMaterial = [name for name, _ in layers]
    ds.FilterThicknessMinimum = ds.FilterThicknessMaximum = _decimals([mm for _, mm in layers])
    ds.Grid = ["FOCUSED"] if settings.grid.ratio else ["NONE"]


def _letters(vector: tuple[float, float, float]) -> str:
    """PatientOrientation's letters for an LPS direction, largest component first; components
    below sin 15 degrees are omitted."""
    parts = sorted(zip(map(abs, vector), range(3), strict=True), reverse=True)
    return "".join(
        ("RAF", "LPH")[int(vector[axis] > 0)][axis] for size, axis in parts if size > 0.26
    )


def _decimals(values: Any) -> list[str]:
    return [format_number_as_ds(float(v)) for v in values]
