"""DICOM X-rays from other computers, each in a file of its own on disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pydicom

from axon_backend.imaging.dicom_file import write_dicom
from axon_backend.util.atomic import whole_file

# Modalities of X-rays.
MODALITIES = ("CR", "DX", "DR", "RG")


def uid_name(uid: str) -> str:
    """A valid file name for a UID, which another program may have set to anything."""
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def image_file(folder: Path, study: str, image: str) -> Path:
    """The file of an image: ``FOLDER/STUDY/IMAGE.dcm``, named after the UIDs."""
    return folder / uid_name(study) / f"{uid_name(image)}.dcm"


def store_image(folder: Path, dataset: pydicom.Dataset) -> Path:
    """Write an image with its file meta information to :func:`image_file`; returns when it is on
    disk.

    Raises:
        OSError: it cannot be written.
    """
    file = image_file(folder, str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID))
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with whole_file(file) as temporary:
        write_dicom(dataset, temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
    return file
