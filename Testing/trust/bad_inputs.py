"""Bad inputs, made by code: files that are no X-ray, CT, manifest or model, numbers without a
meaning, and places where nothing can be written. ``run`` tries each on the command line.

    python Testing/trust/bad_inputs.py [PART OF A NAME]    all of them, or some
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
import os
import shutil
import struct
import sys
import tempfile
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

MEMORY_BYTES, SECONDS = 3 << 30, 60
GREY = np.add.outer(np.arange(96), np.arange(80) * 2).astype(np.uint8)
HU = np.where(np.indices((24, 24, 24)).sum(0) % 7 > 2, -800, 40).astype(np.int16)
AFFINE = np.diag([12.0, 12.0, 12.0, 1.0])
RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class Bad:
    """One attempt: a name, and the arguments of ``axon``. Nothing may appear at ``output``."""

    name: str
    words: list[str]
    output: Path | None = None
    reported: bool = False  # the output may say why, with exit code 1


# ---------------------------------------------------------------------------------- files


def png(width: int, height: int, data: bytes = b"", bits: int = 8, colour: int = 0) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content) & 0xFFFFFFFF
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def raster(image: Image.Image, kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def dicom(pixels: np.ndarray = GREY, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """An X-ray; tags that are None are left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = tags.pop("sop", DigitalXRayImageStorageForPresentation)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
    ds.StudyInstanceUID = ds.SeriesInstanceUID = generate_uid()
    ds.Modality, ds.ViewPosition, ds.BodyPartExamined = "DX", "PA", "CHEST"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    ds.PixelData = np.ascontiguousarray(pixels).tobytes()
    ds["PixelData"].VR = "OW"
    with pydicom.config.disable_value_validation():
        for tag, value in tags.items():
            if value is None:
                ds.pop(tag, None)
                continue
            try:
                setattr(ds, tag, value)
            except ValueError:  # words where a number belongs
                ds.add_new(tag, "SH", value)
        if "PixelData" in ds:
            ds["PixelData"].VR = "OW" if syntax == ExplicitVRLittleEndian else "OB"
        out = io.BytesIO()
        ds.file_meta.TransferSyntaxUID = UID(syntax)
        ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def deflated_bomb(megabytes: int = 600) -> bytes:
    """A deflated data set of few bytes with a very large private element."""
    plain = dicom()
    meta = 144 + struct.unpack("<I", plain[140:144])[0]
    ds = pydicom.dcmread(io.BytesIO(plain))
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = io.BytesIO()
    head.write(bytes(128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(head, ds.file_meta)
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = [packer.compress(plain[meta:])]
    body.append(packer.compress(struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, megabytes << 20)))
    body += [packer.compress(bytes(1 << 20)) for _ in range(megabytes)]
    return head.getvalue() + b"".join([*body, packer.flush()])


def nifti(array: np.ndarray = HU, affine: np.ndarray = AFFINE, *changes: tuple) -> bytes:
    """A NIfTI-1 file; ``changes`` are (offset, format, values) in its header."""
    image = nibabel.Nifti1Image(array, AFFINE)
    data = bytearray(image.to_bytes())
    struct.pack_into("<2h", data, 252, 0, 1)
    struct.pack_into("<12f", data, 280, *np.asarray(affine)[:3].ravel().astype(np.float32).tolist())
    for offset, form, values in changes:
        struct.pack_into(form, data, offset, *values)
    return bytes(data)


def dims(*size: int) -> tuple:
    return (40, "<8h", (len(size), *size, *[1] * (7 - len(size))))


def nrrd(size: list[int], data: bytes = bytes(1000), extra: str = "", **fields: str) -> bytes:
    values = {
        "type": "short", "dimension": str(len(size)), "space": "left-posterior-superior",
        "sizes": " ".join(map(str, size)),
        "space directions": "(12,0,0) (0,12,0) (0,0,12)", "endian": "little",
        "encoding": "raw", "space origin": "(0,0,0)", **fields,
    }  # fmt: skip
    lines = [f"{k}: {v}" for k, v in values.items() if v]
    return ("NRRD0004\n" + "\n".join(lines) + "\n" + extra + "\n").encode() + data


def mha(size: list[int], data: bytes = bytes(1000), **fields: str) -> bytes:
    values = {
        "ObjectType": "Image", "NDims": str(len(size)), "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False", "ElementSpacing": "12 12 12",
        "DimSize": " ".join(map(str, size)), "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL", **fields,
    }  # fmt: skip
    last = values.pop("ElementDataFile")
    lines = [f"{k} = {v}" for k, v in values.items() if v]
    return ("\n".join([*lines, f"ElementDataFile = {last}"]) + "\n").encode() + data


def damaged(whole: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "noise": RNG.bytes(3000),
        "letter": b"Dear reader, this is a letter. " * 20,
        "cut in half": whole[: len(whole) // 2],
        "cut short": whole[:20],
        "zeros": bytes(2000),
    }


def sound() -> dict[str, bytes]:
    """A readable file of each format."""
    image = Image.fromarray(GREY)
    return {
        "png": raster(image, "PNG"), "jpg": raster(image, "JPEG"), "tif": raster(image, "TIFF"),
        "bmp": raster(image, "BMP"), "dcm": dicom(), "nii": nifti(),
        "nii.gz": gzip.compress(nifti(), 1), "nrrd": nrrd([24, 24, 24], HU.tobytes()),
        "mha": mha([24, 24, 24], HU.tobytes()),
    }  # fmt: skip


def xrays() -> dict[str, bytes]:
    image = Image.fromarray(GREY)
    grey, wide = GREY.astype(np.float32), np.uint16
    files = {f"{what}.{kind}": data for kind, whole in sound().items()
             for what, data in damaged(whole).items()}  # fmt: skip
    files |= {
        "no pixels.png": png(0, 0), "2 giga pixels.png": png(2**31 - 1, 2**31 - 1),
        "60000 squared.png": png(60000, 60000), "11000 squared.png": png(11000, 11000),
        "one pixel.png": raster(Image.fromarray(GREY[:1, :1]), "PNG"),
        "one line.png": raster(Image.fromarray(GREY[:1]), "PNG"),
        "flat.png": raster(Image.fromarray(np.full((96, 96), 7, np.uint8)), "PNG"),
        "two levels.png": raster(Image.fromarray((GREY > 99).astype(np.uint8) * 255), "PNG"),
        "black and white.png": raster(Image.fromarray(GREY > 99), "PNG"),
        "colour.png": raster(
            Image.fromarray(RNG.integers(0, 255, (96, 96, 3), dtype=np.uint8)), "PNG"
        ),
        "pages.tif": raster(image, "TIFF", save_all=True, append_images=[image]),
        "frames.gif": raster(
            image, "GIF", save_all=True, append_images=[Image.fromarray(GREY[::-1].copy())]
        ),
        "nan.tif": raster(Image.fromarray(np.where(grey == 9, np.nan, grey)), "TIFF"),
        "infinite.tif": raster(Image.fromarray(np.where(grey == 9, np.inf, grey)), "TIFF"),
        "program.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n{} loop\nshowpage\n",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "document.pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n",
        "no extension": b"hello", "volume.nii": nifti(), "line.nii": nifti(HU[:, :1, :1]),
        "four axes.nii": nifti(np.stack([HU] * 2, -1)),
    }  # fmt: skip
    for name, tags in {
        "65535 rows": {"Rows": 65535, "Columns": 65535}, "frames": {"NumberOfFrames": 2},
        "many frames": {"NumberOfFrames": 10**9}, "no pixels": {"PixelData": None},
        "no rows": {"Rows": None}, "rows 0": {"Rows": 0}, "bits stored 0": {"BitsStored": 0},
        "bits allocated 7": {"BitsAllocated": 7}, "bits allocated 0": {"BitsAllocated": 0},
        "three samples": {"SamplesPerPixel": 3}, "no samples": {"SamplesPerPixel": 0},
        "photometric": {"PhotometricInterpretation": "XYZZY"},
        "no photometric": {"PhotometricInterpretation": None},
        "mammogram": {"Modality": "MG"}, "ultrasound": {"Modality": "US"},
        "CT slice": {"Modality": "CT"}, "report": {"Modality": "SR", "PixelData": None},
        "hand": {"BodyPartExamined": "HAND"}, "skull": {"BodyPartExamined": "SKULL"},
        "oblique": {"ViewPosition": "RAO"}, "lateral": {"ViewPosition": "LL"},
        "slope text": {"RescaleSlope": "steep", "RescaleIntercept": "0"},
        "slope nan": {"RescaleSlope": "nan", "RescaleIntercept": "0"},
        "slope huge": {"RescaleSlope": "1e308", "RescaleIntercept": "1e308"},
        "rows text": {"NumberOfFrames": "many"},
        "garbage jpeg": {"syntax": "1.2.840.10008.1.2.4.50", "PixelData": encapsulate([b"x" * 99])},
        "garbage jpeg 2000": {
            "syntax": "1.2.840.10008.1.2.4.90", "PixelData": encapsulate([b"x" * 99]),
        },
        "garbage jpeg ls": {
            "syntax": "1.2.840.10008.1.2.4.80", "PixelData": encapsulate([b"x" * 99]),
        },
        "garbage rle": {"syntax": "1.2.840.10008.1.2.5", "PixelData": encapsulate([b"x" * 99])},
        "jpeg of 65535 squared": {
            "syntax": "1.2.840.10008.1.2.4.50", "PixelData": encapsulate([large_jpeg()]),
        },
        "jpeg 2000 of 2^31 squared": {
            "syntax": "1.2.840.10008.1.2.4.90", "PixelData": encapsulate([large_jpeg2000()]),
        },
        "unknown syntax": {"syntax": "1.2.3.4.5"}, "one line": {"pixels": GREY[:1]},
        "flat": {"pixels": np.full((96, 96), 7, wide)},
        "padding everywhere": {"pixels": np.zeros((96, 96), wide), "PixelPaddingValue": 0},
    }.items():  # fmt: skip
        files[f"{name}.dcm"] = dicom(**tags)
    files["bomb.dcm"] = deflated_bomb()
    whole = dicom()
    at = whole.find(struct.pack("<HH", 0x0028, 0x0002))
    open_ = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 2**32 - 1)
    open_ += struct.pack("<HHI", 0xFFFE, 0xE000, 2**32 - 1)
    files["nested.dcm"] = whole[:at] + open_ * 3000
    files["long element.dcm"] = whole[:at] + struct.pack(
        "<HH2sHI", 0x0009, 0x0010, b"OB", 0, 2**32 - 2
    )
    return files


def large_jpeg() -> bytes:
    data = bytearray(raster(Image.fromarray(GREY), "JPEG"))
    at = data.find(b"\xff\xc0")
    struct.pack_into(">2H", data, at + 5, 65535, 65535)
    return bytes(data)


def large_jpeg2000() -> bytes:
    size = struct.pack(">2H8IH3B", 41, 0, 2**31, 2**31, 0, 0, 2**31, 2**31, 0, 0, 1, 7, 1, 1)
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


def cts() -> dict[str, bytes]:
    files = {f"{what}.{kind}": data for kind in ("nii", "nii.gz", "nrrd", "mha")
             for what, data in damaged(sound()[kind]).items()}  # fmt: skip
    nan = float("nan")
    moved = AFFINE.copy()
    moved[:3, 3] = 1e30
    singular, sheared, small = AFFINE.copy(), AFFINE.copy(), AFFINE * 1e-6
    singular[:, 0] = singular[:, 1]
    sheared[0, :3] = (12, 12 * 40, 0)
    floats = HU.astype(np.float32)
    holes = floats.copy()
    holes[5, 5, 5] = np.nan
    endless = floats.copy()
    endless[5, 5, 5] = np.inf
    spacing = (76, "<8f", (1, -4, -4, -4, 1, 1, 1, 1)), (252, "<2h", (0, 0))
    for name, data in {
        "negative size": nifti(HU, AFFINE, dims(-5, 24, 24)),
        "no size": nifti(HU, AFFINE, dims(0, 24, 24)),
        "nine axes": nifti(HU, AFFINE, (40, "<h", (9,))),
        "no axes": nifti(HU, AFFINE, (40, "<h", (0,))),
        "30000 cubed": nifti(HU, AFFINE, dims(30000, 30000, 30000)),
        "900 cubed": nifti(HU, AFFINE, dims(900, 900, 900)),
        "voxels far off": nifti(HU, AFFINE, (108, "<f", (1e12,))),
        "voxels before": nifti(HU, AFFINE, (108, "<f", (-100.0,))),
        "voxels at nan": nifti(HU, AFFINE, (108, "<f", (nan,))),
        "kind 9999": nifti(HU, AFFINE, (70, "<h", (9999,))),
        "negative spacing": nifti(HU, AFFINE, *spacing),
        "no spacing": nifti(HU, AFFINE, (76, "<8f", (1, 0, 0, 0, 1, 1, 1, 1)), spacing[1]),
        "nan spacing": nifti(HU, AFFINE, (76, "<8f", (1, nan, 4, 4, 1, 1, 1, 1)), spacing[1]),
        "nan axis": nifti(HU, AFFINE * np.array([[nan, 1, 1, 1]])),
        "singular": nifti(HU, singular), "tiny": nifti(HU, small), "sheared": nifti(HU, sheared),
        "giant": nifti(HU, AFFINE * 100), "far away": nifti(HU, moved),
        "complex": nifti(HU.astype(np.complex64)), "nan voxel": nifti(holes),
        "infinite voxel": nifti(endless), "huge voxels": nifti(floats * 1e35),
        "slope 1e38": nifti(HU, AFFINE, (112, "<2f", (1e38, 0))),
        "four axes": nifti(np.stack([HU] * 3, -1)), "one slice": nifti(HU[:, :, :1]),
        "one voxel": nifti(HU[:1, :1, :1]), "small": nifti(HU[:9, :9, :9]),
        "seven axes": nifti(HU.reshape(24, 6, 4, 2, 12)),
        "flat values": nifti(np.full_like(HU, -1000)), "zeros only": nifti(np.zeros_like(HU)),
        "grey levels of an image": nifti((HU // 8 + 120).clip(0, 255).astype(np.uint8)),
    }.items():  # fmt: skip
        files[f"{name}.nii"] = data
    bomb = zlib.compressobj(1, zlib.DEFLATED, 31)
    pieces = [bomb.compress(nifti(HU, AFFINE, dims(1600, 1600, 1600))[:352])]
    pieces += [bomb.compress(bytes(1 << 20)) for _ in range(600)]
    files["bomb.nii.gz"] = b"".join([*pieces, bomb.flush()])
    volume, cube = HU.tobytes(), [24, 24, 24]
    for name, data in {
        "negative": nrrd([-5, 24, 24]), "none": nrrd([0, 24, 24]), "short": nrrd(cube),
        "overflow": nrrd([2**62, 24, 24]), "2000 cubed": nrrd([2000] * 3),
        "absurd": nrrd([10**9] * 3), "hundred axes": nrrd([1] * 100),
        "axes differ": nrrd(cube, dimension="100"), "no sizes": nrrd(cube, sizes=""),
        "kind": nrrd(cube, volume, type="colour"), "encoding": nrrd(cube, encoding="magic"),
        "packed noise": nrrd(cube, RNG.bytes(999), encoding="gzip"),
        "singular": nrrd(cube, volume, **{"space directions": "(4,0,0) (4,0,0) (0,0,4)"}),
        "nan": nrrd(cube, volume, **{"space directions": "(nan,0,0) (0,4,0) (0,0,4)"}),
        "twice": nrrd(cube, volume, extra="sizes: 2000 2000 2000\n"),
        "long line": nrrd(cube, volume, content="x" * 200_000),
    }.items():  # fmt: skip
        files[f"{name}.nrrd"] = data
    for name, where in {
        "absolute": "/etc/passwd", "above": "../../secret.raw", "endless": "/dev/zero",
        "missing": "no.raw", "windows": "C:\\secret.raw", "list": "LIST\n/etc/passwd",
        "pattern": "/tmp/x%03d.raw 1 24 1",
    }.items():  # fmt: skip
        files[f"{name}.nhdr"] = nrrd(cube, b"", extra=f"data file: {where}\n")
        files[f"{name}.mhd"] = mha(cube, b"", ElementDataFile=where)
    for name, data in {
        "negative": mha([-5, 24, 24]), "none": mha([0, 24, 24]), "short": mha(cube),
        "absurd": mha([10**9] * 3), "hundred axes": mha([64] * 100),
        "axes differ": mha(cube, NDims="100"), "axes text": mha(cube, NDims="three"),
        "kind": mha(cube, volume, ElementType="MET_COLOUR"),
        "spacing 0": mha(cube, volume, ElementSpacing="0 4 4"),
        "spacing nan": mha(cube, volume, ElementSpacing="nan 4 4"),
        "channels": mha(cube, volume, ElementNumberOfChannels="999999999"),
        "packed noise": mha(cube, RNG.bytes(99), CompressedData="True", CompressedDataSize="99"),
    }.items():  # fmt: skip
        files[f"{name}.mha"] = data
    return files


def ct_folders() -> dict[str, dict[str, Any]]:
    """Tags of CT series that cannot be used, by name; a function is called with the slice."""
    return {
        "MR": {"Modality": "MR"}, "orientation 0": {"ImageOrientationPatient": [0] * 6},
        "orientation parallel": {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        "orientation short": {"ImageOrientationPatient": [1, 0, 0]},
        "spacing 0": {"PixelSpacing": [0, 0]}, "spacing negative": {"PixelSpacing": [-4, -4]},
        "spacing text": {"PixelSpacing": ["wide", "high"]}, "spacing one": {"PixelSpacing": [4]},
        "one place": {"ImagePositionPatient": [0, 0, 0]},
        "no place": {"ImagePositionPatient": None},
        "place nan": {"ImagePositionPatient": lambda k: [0, 0, "nan" if k == 5 else 12 * k]},
        "far apart": {"ImagePositionPatient": lambda k: [0, 0, 500.0 * k]},
        "place short": {"ImagePositionPatient": lambda k: [0, 12.0 * k]},
        "large": {"Rows": 65535, "Columns": 65535}, "rows differ": {"Rows": lambda k: 24 + k % 2},
        "slope huge": {"RescaleSlope": "1e38"}, "slope text": {"RescaleSlope": "steep"},
        "skull": {"BodyPartExamined": "SKULL"}, "no pixels": {"PixelData": None},
    }  # fmt: skip


def write_series(folder: Path, tags: dict[str, Any], count: int = 24) -> None:
    folder.mkdir()
    series = generate_uid()
    for k in range(count):
        own = {
            "sop": CTImageStorage, "Modality": "CT", "ViewPosition": None,
            "SeriesInstanceUID": series, "PixelSpacing": [12, 12], "InstanceNumber": k + 1,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [0, 0, 12.0 * k], "RescaleSlope": "1",
            "RescaleIntercept": "0",
            **{tag: value(k) if callable(value) else value for tag, value in tags.items()},
        }  # fmt: skip
        (folder / f"{k:03d}.dcm").write_bytes(dicom(HU[k], **own))


# ---------------------------------------------------------------------------------- texts

DEEP = "[" * 100_000


def json_texts() -> dict[str, str | bytes]:
    """Manifests, of which none has a case that can be used."""
    one = {"id": "a", "ct": "ct.nii"}
    return {
        "nothing": "", "cut": "[{", "deep": DEEP, "deep object": '{"a":' * 100_000,
        "number": "7", "null": "null", "text": '"a"', "object": json.dumps(one), "empty": "[]",
        "no object": "[1]", "no ct": '[{"id": "a"}]', "no id": '[{"ct": "ct.nii"}]',
        "id null": '[{"id": null, "ct": "ct.nii"}]', "ct number": '[{"id": "a", "ct": 5}]',
        "ct list": '[{"id": "a", "ct": ["ct.nii"]}]', "unknown key": '[{"id": "a", "kt": "x"}]',
        "binary": RNG.bytes(500), "utf-16": "[]".encode("utf-16"),
        "long number": "[" + "9" * 10_000 + "]", "nan": "[NaN]", "zero": '[{"id": "\\u0000"}]',
    }  # fmt: skip


def csv_texts() -> dict[str, str | bytes]:
    return {
        "nothing": "", "head": "id,patient,ct\n", "other columns": "a,b\n1,2\n",
        "unknown column": "id,ct,frontl\na,ct.nii,x.png\n", "binary": RNG.bytes(500),
        "long cell": "id,ct\na," + "x" * 200_000 + "\n", "zero": "id,ct\na,\0\n",
        "utf-16": "id,ct\n".encode("utf-16"), "no file": "id,ct\na,none.nii\n",
        "long name": f"id,ct\na,{'x' * 5000}.nii\n", "quote": 'id,ct\n"a,ct.nii\n',
        "split twice": "id,patient,ct,split\na,p,ct.nii,train\nb,p,ct.nii,test\n",
    }  # fmt: skip


def yaml_texts() -> dict[str, str | bytes]:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
    )
    return {
        "list": "[1, 2]", "number": "7", "cut": "a: [", "tabs": "\ta: 1", "binary": RNG.bytes(500),
        "deep": DEEP, "bomb": bomb, "code": "a: !!python/object/apply:os.system [id]",
        "unknown": "speed: 9", "group": "optimiser: 5", "wrong kind": "optimiser: {lr: fast}",
        "nan": "optimiser: {lr: .nan}", "negative": "optimiser: {lr: -1}",
        "long number": "seed: " + "9" * 10_000, "key list": "? [a, b]\n: 1",
    }  # fmt: skip


PAIRS = (
    "lr", "lr=", "lr=fast", "lr=nan", "lr=-1", "lr=0", "lr=.inf", "steps=-1", "steps=0",
    "batch=0", "batch=-3", "batch=1e99", "seed=-1", "seed=x", "model=5", "model.window=[9]",
    "model.window=[900,-1000]", "precision=7", "=5", "a.b.c=1", "data=[", "data=&a [*a]",
    "model.coarse.channels=[]", "model.coarse.channels=[0]", "model.coarse.channels=[-8]",
    "threads=-2", "lr=" + "9" * 9999,
)  # fmt: skip

NUMBERS = {
    "drr {ct}": {
        "size": "0 -5 15 100000 1e3 nan", "sid": "0 -1 nan inf 1e300", "sod": "0 nan 5000",
        "angle": "nan 1,2,3,4 x 1e99", "detector": "0 -5 nan 1e9 1,2,3", "pixel": "0 -1 nan 1e-9",
        "seed": "-1 2147483648 x", "device": "tpu cuda", "view": "oblique",
    },
    "drr {ct} --physics poly": {
        "kvp": "0 -1 nan 500", "filtration": "-1 nan 1,2,3", "anode-angle": "0 -1 nan 91",
        "flat-field": "-1 2 nan", "grid": "-1 nan 1e9", "air-gap": "-1 nan 1e9",
        "scatter": "-1 nan inf", "exposure-index": "0 -1 nan", "mas": "0 -1 nan",
        "focal-spot": "-1 nan 99", "collimation": "0 -1 nan 1,2,3", "iodine": "{none}",
    },
    "reconstruct --frontal {xray} --bundle {bundle}": {
        "steps": "0 -1 x 1,2,3,4,5 1e3 99999999999", "samples": "0 -1 1000000000 x",
        "seed": "-1 2147483648 1.5", "stages": "fine coarse,finest", "device": "tpu",
        "rotate": "45 nan frontal= other=90", "lateral": "{none}", "ct": "{none} {xray}",
        "view": "ll",
    },
    "register --xray {xray} --bundle {bundle}": {
        "sid": "nan -1 0 1e300 auto x", "seed": "-1 2147483648", "lateral": "{xray}",
        "view": "oblique", "rotate": "45",
    },
    "prepare {folder}": {
        "drrs": "0 -1 1000000", "voxel": "0 nan -1 1e9", "view-size": "0 -1 999999",
        "window": "9 900,-1000 nan,5", "seed": "-1 2147483648", "workers": "0 -1",
        "shard": "0/2 3/2 x 1/0", "gate": "best", "max-days": "-1", "accept": "nobody",
    },
    "cohort reconstruct {folder} --bundle {bundle}": {
        "workers": "0 -1 x", "time-limit": "0 -1 nan", "samples": "0 -1", "seed": "-1 1.5",
        "stages": "fine", "steps": "0 x", "device": "tpu", "ray": "nowhere:1",
    },
    "evaluate --manifest {manifest} --bundle {bundle}": {
        "split": "nowhere", "steps": "0 x", "seed": "-1", "stages": "fine", "device": "tpu",
    },
}  # fmt: skip


# Of commands that would go on serving, were these not refused.
SERVICES = {
    "dicom serve --bundle {bundle} --output {output}": (
        "--port=-1", "--port=65536", "--port=x", "--settle=0", "--settle=nan", "--settle=x",
        "--ae-title=", "--ae-title=a\\b", f"--ae-title={'x' * 17}", "--allow=é", "--host=0.0.0.0",
        "--send-to=PACS", "--send-to=@h:1", "--send-to=A@h:0", "--send-to=A@h:65536",
        "--tls-key={none}", "--tls-certificate={none}", "--tls-certificate={xray}", "--seed=-1",
        "--device=tpu", "--bundle={folder}",
    ),
    "view --no-browser": ("", "{none}", "{folder}", "{xray}", "{folder} --frontal={xray}",
                          "--lateral={xray}"),
    "view --no-browser --bundle {bundle} --frontal {xray}": (
        "--port=-1", "--port=65536", "--port=x", "--host=nowhere.invalid", "--seed=-1", "--steps=0",
        "--stages=fine", "--device=tpu", "--ct={xray}", "--lateral={none}", "--rotate=45",
        "--bundle={folder}", "--frontal={none}",
    ),
}  # fmt: skip


# ---------------------------------------------------------------------------------- attempts


class Attempts:
    """Makes the files in a folder and the attempts on them.

    Args:
        folder: empty.
        bundle: a sound model, copied and spoilt.
    """

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.bundle = folder, bundle
        self.outputs = 0
        self.good = {kind: self.file(f"sound.{kind}", data) for kind, data in sound().items()}
        self.empty = folder / "empty"
        self.empty.mkdir()

    def file(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def attempt(self, name: str, *words: Any, suffix: str = "") -> Bad:
        self.outputs += 1
        output = self.folder / "out" / f"{self.outputs}{suffix}"
        output.parent.mkdir(exist_ok=True)
        return Bad(name, [*map(str, words), "--output", str(output)], output)

    def all(self) -> Iterator[Bad]:
        yield from self.images()
        yield from self.texts()
        yield from self.numbers()
        yield from self.places()
        yield from self.models()

    def images(self) -> Iterator[Bad]:
        for number, (name, data) in enumerate(xrays().items()):
            file = self.file(f"xrays/{name}", data)
            if number % 2 and name != "lateral.dcm":  # which registers
                yield self.attempt(f"X-ray {name}", "register", "--xray", file,
                                   "--bundle", self.bundle)  # fmt: skip
            else:
                yield self.attempt(f"X-ray {name}", "reconstruct", "--frontal", file,
                                   "--bundle", self.bundle, "--quiet")  # fmt: skip
        for name, data in cts().items():
            yield self.drr(f"CT {name}", self.file(f"cts/{name}", data))
        for name, tags in ct_folders().items():
            write_series(self.folder / f"series {name}", tags)
            yield self.drr(f"CT series {name}", self.folder / f"series {name}")
        write_series(self.folder / "few", {}, 5)
        yield self.drr("CT series of five", self.folder / "few")
        for name, path in self.odd_paths().items():
            yield self.drr(f"CT at {name}", path)
            yield self.attempt(f"X-ray at {name}", "reconstruct", "--frontal", path,
                               "--bundle", self.bundle)  # fmt: skip

    def drr(self, name: str, ct: Path | str) -> Bad:
        return self.attempt(name, "drr", ct, "--size", 16, suffix=".png")

    def odd_paths(self) -> dict[str, Path | str]:
        paths: dict[str, Path | str] = {
            "no file": self.folder / "none.png", "an empty folder": self.empty,
            "a long name": "x" * 300 + ".nii", "a very long path": "x/" * 5000 + "x.nii",
            "below a file": self.good["png"] / "x.png", "nothing": "", "blanks": "  ",
        }  # fmt: skip
        if os.name == "posix":
            (self.folder / "loop.nii").symlink_to("loop.nii")
            (self.folder / "dangling.nii").symlink_to("/nonexistent/x.nii")
            os.mkfifo(self.folder / "pipe.nii")
            paths |= {
                "a loop": self.folder / "loop.nii", "a dangling link": self.folder / "dangling.nii",
                "a pipe": self.folder / "pipe.nii", "a device": "/dev/zero", "null": "/dev/null",
            }  # fmt: skip
        return paths

    def texts(self) -> Iterator[Bad]:
        self.file("json/ct.nii", nifti())
        for name, text in json_texts().items():
            file = self.file(f"json/{name}.json", text)
            yield self.attempt(f"evaluate {name}", "evaluate", "--manifest", file,
                               "--bundle", self.bundle, "--quiet")  # fmt: skip
            yield self.prepared(f"{name}.json", file)
            yield Bad(
                f"train on {name}",
                ["train", "coarse", "--data", str(file), "--run", str(self.folder / "run")],
                self.folder / "run",
            )
        self.file("csv/ct.nii", nifti())
        for name, text in csv_texts().items():
            file = self.file(f"csv/{name}.csv", text)
            yield self.prepared(f"{name}.csv", file)
        yield self.attempt("prepare an empty folder", "prepare", self.empty, "--quiet")
        for name, text in yaml_texts().items():
            file = self.file(f"yaml/{name}.yaml", text)
            yield Bad(f"settings {name}", ["train", "coarse", "--config", str(file), "--show"])
        for pair in PAIRS:
            words = ["train", "coarse", "--set", pair, "--show"]
            yield Bad(f"setting {pair[:30]}", words)
        for words in (["none"], ["coarse", "--preset", "none"], ["coarse", "--method", "none"]):
            yield Bad(f"train {' '.join(words)}", ["train", *words, "--show"])

    def prepared(self, name: str, file: Path) -> Bad:
        """A data set of no case lists the reasons in its report."""
        made = self.attempt(f"prepare {name}", "prepare", file, "--quiet", "--workers", 1)
        return replace(made, reported=True)

    def numbers(self) -> Iterator[Bad]:
        manifest = self.file("manifest.json", json.dumps([{"id": "a", "ct": "sound.nii"}]))
        places = {
            "ct": self.good["nii"], "xray": self.good["png"], "bundle": self.bundle,
            "none": self.folder / "none.nii", "folder": self.empty, "manifest": manifest,
        }  # fmt: skip
        for command, options in NUMBERS.items():
            words = [part.format(**places) for part in command.split()]
            for option, values in options.items():
                for value in values.split():
                    given = f"--{option}={value.format(**places)}"
                    suffix = ".png" if words[0] == "drr" else ""
                    yield self.attempt(f"{words[0]} {given}"[:60], *words, given, suffix=suffix)
        places["output"] = self.folder / "out" / "service"
        for command, attempts in SERVICES.items():
            for given in attempts:
                words = [part.format(**places) for part in f"{command} {given}".split()]
                yield Bad(f"{words[0]} {given}"[:60], words, places["output"])

    def places(self) -> Iterator[Bad]:
        """Outputs that cannot be."""
        taken = self.file("taken", "mine")
        full = self.file("held/mine.txt", "mine").parent
        for what, words in {
            "reconstruct": ["reconstruct", "--frontal", self.good["png"], "--bundle", self.bundle],
            "register": ["register", "--xray", self.good["png"], "--bundle", self.bundle],
            "drr": ["drr", self.good["nii"], "--size", 16],
            "evaluate": ["evaluate", "--manifest", self.folder / "manifest.json"],
            "prepare": ["prepare", self.empty],
            "demo": ["demo", "--bundle", self.bundle],
        }.items():  # fmt: skip
            suffix = ".png" if what == "drr" else ""
            for name, output in {
                "a file": taken, "below a file": taken / "x", "files": full, "nothing": "",
                "a long name": self.folder / ("x" * 300 + suffix),
                "a long path": str(self.folder) + "/x" * 5000 + suffix,
                "a device": f"/dev/full{suffix and '/x.png'}",
            }.items():  # fmt: skip
                yield Bad(f"{what} into {name}", [*map(str, words), "--output", str(output)])

    def models(self) -> Iterator[Bad]:
        from axon_backend.bundle.checksums import write_checksums

        def spoilt(name: str, change: Callable[[Path], object], sums: bool = True) -> Bad:
            copy = self.folder / "models" / name
            shutil.copytree(self.bundle, copy)
            change(copy)
            if sums:
                write_checksums(copy)
            return Bad(f"model {name}", ["bundle", "verify", str(copy)])

        files = [p.relative_to(self.bundle) for p in sorted(self.bundle.rglob("*")) if p.is_file()]
        for file in files:
            yield spoilt(f"without {file.name}", lambda copy, f=file: (copy / f).unlink(), False)
            if file.name != "SHA256SUMS" and file.suffix not in (".md", ""):
                yield spoilt(f"empty {file.name}", lambda copy, f=file: (copy / f).write_bytes(b""))
            if file.suffix in (".json", ".safetensors", ".gz"):
                yield spoilt(
                    f"noise {file.name}", lambda copy, f=file: (copy / f).write_bytes(b"\1" * 999)
                )
        config = json.loads((self.bundle / "configs/axon.json").read_text())

        def set_to(value: Any, *keys: str) -> Callable[[Path], object]:
            def change(copy: Path) -> None:
                values = json.loads(json.dumps(config))
                inner = values
                for key in keys[:-1]:
                    inner = inner[key]
                inner[keys[-1]] = value
                (copy / "configs/axon.json").write_text(json.dumps(values))

            return change

        for key in config:
            yield spoilt(f"{key} null", set_to(None, key))
            yield spoilt(f"{key} text", set_to("x", key))
        yield spoilt("grid of 10^9", set_to(10**9, "encoder", "size"))
        yield spoilt("a key too many", set_to(1, "speed"))
        yield spoilt("an expression", set_to("$import os", "speed"))
        yield spoilt("a pickle", lambda copy: (copy / "models/x.pt").write_bytes(b"x"))
        if os.name == "posix":
            link = "models/x.safetensors"
            yield spoilt("a link", lambda copy: (copy / link).symlink_to("/etc/passwd"))
        yield spoilt("deep", lambda copy: (copy / "configs/metadata.json").write_text(DEEP))
        sources = {"noise.zip": RNG.bytes(999), "empty.zip": b"", "letter.zip": b"hello"}
        for name, names in {
            "slip.zip": ["../x"], "absolute.zip": ["/x"], "none.zip": ["x"],
            "backslash.zip": ["a\\..\\x", "configs/axon.json"],
        }.items():  # fmt: skip
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as archive:
                for one in names:
                    archive.writestr(one, "x")
            sources[name] = out.getvalue()
        out = io.BytesIO()
        with (
            zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("configs/axon.json", "w", force_zip64=True) as stream,
        ):
            for _ in range(500):
                stream.write(bytes(1 << 20))
        sources["bomb.zip"] = out.getvalue()
        for name, data in sources.items():
            yield Bad(f"import {name}", ["bundle", "import", str(self.file(f"zips/{name}", data))])
        digest = "0" * 64
        for words in (
            ["import", "http://127.0.0.1:9/x.zip"], ["import", "ftp://x/y.zip"],
            ["import", "http://127.0.0.1:9/x.zip", "--sha256", "short"],
            ["import", "http://127.0.0.1:9/x.zip", "--sha256", digest],
            ["import", "http://[::x/", "--sha256", digest], ["import", str(self.empty)],
            ["import", str(self.folder / "none")], ["show", "nobody"], ["show", "../.."],
            ["delete", "nobody"], ["delete", "../.."], ["delete", "axon-preview"],
            ["verify", str(self.empty)], ["verify", "nobody"], ["verify", "x" * 5000],
            ["export", str(self.empty), str(self.folder / "new")],
            ["export", str(self.folder / "none"), str(self.folder / "new")],
        ):  # fmt: skip
            yield Bad(f"bundle {' '.join(words)}"[:60], ["bundle", *words])


# ---------------------------------------------------------------------------------- trying


def try_one(bad: Bad, watched: Path) -> list[str]:
    """What is wrong with how the command line takes it; nothing where all is well."""
    from axon_backend.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    before = sorted(watched.iterdir())
    began = time.monotonic()
    code: Any = None
    with all_errors() as chatter, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(bad.words)
        except SystemExit as stop:  # argparse
            code = stop.code
        except BaseException:
            traceback.print_exc()
    said = err.getvalue() + chatter()
    wrong = []
    if code not in (1, 2):
        wrong.append(f"exit code {code}")
    if "Traceback" in said or "failed with" in said:
        wrong.append("no sentence")
    if not said.startswith(("axon: ", "usage: ")) and not out.getvalue():
        wrong.append("says nothing")
    if said.startswith("axon: ") and said.count("\n") != 1:
        wrong.append("more than a sentence")
    if sorted(watched.iterdir()) != before and not (bad.reported and code == 1):
        wrong.append("left something")
    if time.monotonic() - began > SECONDS:
        wrong.append(f"took {time.monotonic() - began:.0f} s")
    return wrong and [f"{bad.name}: {'; '.join(wrong)}", f"   {said.strip()[-600:]}"]


@contextlib.contextmanager
def all_errors() -> Iterator[Callable[[], str]]:
    """Collect what libraries write to standard error past Python."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        text = ""
        try:
            yield lambda: text
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text = file.read().decode(errors="replace")


def run(folder: Path, bundle: Path, part: str = "") -> tuple[int, list[str]]:
    """Try all of them, in this process; returns their number and what is wrong."""
    attempts, number, wrong = Attempts(folder, bundle), 0, []
    (folder / "out").mkdir(exist_ok=True)
    for bad in attempts.all():
        if part.lower() not in bad.name.lower():
            continue
        number += 1
        found = try_one(bad, folder / "out")
        wrong += found
        if found:
            print("\n".join(found), flush=True)
        if bad.output is not None and bad.output.exists():
            shutil.rmtree(bad.output, ignore_errors=True)
    return number, wrong


def limit_memory() -> None:
    """As a small computer has it; the libraries themselves take more of the address space."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def main(arguments: list[str]) -> int:
    """Run from the command line; prints what is wrong, and a summary as JSON."""
    if sys.platform != "win32":
        limit_memory()
    here = Path(__file__).resolve()
    sys.path[:0] = [str(here.parents[2]), str(here.parents[1])]  # this tree's AXON
    import conftest

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AXON_HOME"] = str(folder / "home")
        bundle = conftest.write_tiny_bundle(folder / "tiny").path
        (folder / "tried").mkdir()
        number, wrong = run(folder / "tried", bundle, *arguments[:1])
    summary: dict[str, Any] = {"tried": number, "wrong": len(wrong) // 2}
    if sys.platform != "win32":
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        summary |= {
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
            "peak_mb": _peak_mb(),
        }
    print(json.dumps(summary))
    return 1 if wrong else 0


def _peak_mb() -> int:
    """Largest memory that this process has had. What Linux's getrusage says includes that of the
    process which started it."""
    import resource

    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return math.ceil(int(line.split()[1]) / 1024)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return math.ceil(peak / (1024**2 if sys.platform == "darwin" else 1024))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
