"""Headers that declare more than there is, or than fits into memory, are refused by the header."""

import gzip
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.header_check import check_text_header, check_volume

NRRD = "NRRD0004\ntype: short\ndimension: {axes}\nsizes: {size}\nencoding: gzip\n\n"
META = (
    "ObjectType = Image\nNDims = {axes}\nBinaryData = True\nDimSize = {size}\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)


def nifti(size) -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"][: len(size) + 1] = [len(size), *size]
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(4) + bytes(1000)


def text(form, size) -> bytes:
    return form.format(axes=len(size), size=" ".join(map(str, size))).encode() + bytes(1000)


FILES = {
    "ct.nii": nifti,
    "ct.nii.gz": lambda size: gzip.compress(nifti(size)),
    "ct.bin": nifti,  # recognised by its content
    "ct.nrrd": lambda size: text(NRRD, size),
    "ct.mha": lambda size: text(META, size),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((2000, 2000, 2000), "limit of 700 million.*AXON_MAX_MEGAVOXELS"),
        ((30000, 30000, 30000), "limit of 700 million"),
        ((500, 500, 500), r"more than its \d+ bytes can hold"),
        ((16, 16, -16), "damaged"),
    ],
)
def test_sizes_are_checked_before_anything_is_read(tmp_path, name, size, words):
    (tmp_path / name).write_bytes(FILES[name](size))
    with pytest.raises(AxonInputError, match=words):
        read_ct(tmp_path / name)


@pytest.mark.parametrize("form", [NRRD, META], ids=["NRRD", "MetaImage"])
def test_a_hundred_axes_do_not_abort_the_process(tmp_path, form):
    name = "ct.nrrd" if form is NRRD else "ct.mha"
    (tmp_path / name).write_bytes(text(form, [1] * 100))
    code = f"from axon_backend.imaging.ct import read_ct; read_ct({str(tmp_path / name)!r})"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"AxonInputError" in done.stderr and b"declares 100 axes" in done.stderr


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("ObjectType = Image\nNDims = 100\nDimSize = 8 8 8\n", "does not state NDims"),
        ("ObjectType = Image\nNDims = 3\nNDims = 100\nDimSize = 8 8 8\n", "does not state"),
        ("ObjectType = Image\nNDims = 3\n", "does not state"),
        ("ObjectType = Image\nNDims = x\nDimSize = 8 8 8\n", "does not state"),
        ("NRRD0004\ndimension: 3\nsizes: 8 8\n\n", "does not state dimension"),
        (
            "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\nCompressedDataSize = 99999\n"
            "ElementDataFile = LOCAL\n",
            "cut short",
        ),
        (
            "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\n"
            "ElementNumberOfChannels = 9999999\nElementDataFile = LOCAL\n",
            "limit of 700 million",
        ),
    ],
)
def test_headers_that_contradict_themselves(tmp_path, header, words):
    (tmp_path / "x").write_text(header)
    with pytest.raises(AxonInputError, match=words):
        check_text_header(tmp_path / "x")


@pytest.mark.parametrize("suffix", ["nrrd", "nhdr", "mha", "mhd"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_itk_writes_passes(tmp_path, suffix, compressed, channels):
    """Also a constant volume, which packs best."""
    voxels = np.zeros((30, 40, 50, channels)[: 3 + (channels > 1)], np.int16)
    image = sitk.GetImageFromArray(voxels, isVector=channels > 1)
    sitk.WriteImage(image, str(tmp_path / f"ct.{suffix}"), compressed)
    check_text_header(tmp_path / f"ct.{suffix}")


def test_the_limit_can_be_set(tmp_path, monkeypatch):
    (tmp_path / "ct.nii").write_bytes(bytes(1 << 20))
    check_volume(tmp_path / "ct.nii", (100, 100, 100))
    monkeypatch.setenv("AXON_MAX_MEGAVOXELS", "0.9")
    with pytest.raises(AxonInputError, match=r"limit of 0\.9 million"):
        check_volume(tmp_path / "ct.nii", (100, 100, 100))
