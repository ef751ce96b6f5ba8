"""Compressed transfer syntaxes decode to the same pixels as the uncompressed file."""

import io
import struct
from itertools import pairwise

import numpy as np
import pydicom
import pytest
from imaging_synthetic import as_integers, chest_image, save, write_xray, xray_dataset
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless

from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import read_radiograph

STORED = as_integers(chest_image())


def jpeg_lossless(pixels: np.ndarray, precision: int) -> bytes:
    """A JPEG process 14, selection value 1 stream (ITU T.81 annex H), the radiologist's usual.

    Every difference class 0..16 gets a 5-bit code, which makes the Huffman table trivial.
    """
    bits: list[str] = []
    values = pixels.astype(int)
    for i, row in enumerate(values):
        first = values[i - 1, 0] if i else 1 << (precision - 1)
        for predicted, actual in pairwise([first, *row]):
            difference = (actual - predicted + 0x8000) % 0x10000 - 0x8000
            size = int(abs(difference)).bit_length()
            bits.append(f"{size:05b}")
            if 0 < size < 16:
                code = difference if difference > 0 else difference + (1 << size) - 1
                bits.append(f"{code:0{size}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    rows, cols = pixels.shape
    table = bytes([0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))
    return b"".join(
        [
            b"\xff\xd8\xff\xc3",
            struct.pack(">HBHHBBBB", 11, precision, rows, cols, 1, 1, 0x11, 0),
            b"\xff\xc4" + struct.pack(">HB", 3 + len(table), 0) + table,
            b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 0, 0),
            scan + b"\xff\xd9",
        ]
    )


@pytest.fixture
def expected(tmp_path):
    return read_radiograph(write_xray(tmp_path / "plain.dcm", STORED)).pixels


@pytest.mark.parametrize("implicit", [True, False])
def test_a_bare_data_set_without_a_file_header(tmp_path, expected, implicit):
    dataset = xray_dataset(STORED)
    del dataset.file_meta
    path = tmp_path / "bare.dcm"
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=True)
    assert np.array_equal(read_radiograph(path).pixels, expected)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_lossless_syntaxes_of_the_encoders_at_hand(tmp_path, expected, syntax):
    dataset = xray_dataset(STORED)
    dataset.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(read_radiograph(save(dataset, tmp_path / "x.dcm")).pixels, expected)


def test_jpeg_lossless_process_14(tmp_path, expected):
    dataset = xray_dataset(STORED)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = encapsulate([jpeg_lossless(STORED, 12)])
    dataset["PixelData"].is_undefined_length = True
    assert np.array_equal(read_radiograph(save(dataset, tmp_path / "x.dcm")).pixels, expected)


def test_jpeg_baseline_is_close(tmp_path):
    eight = as_integers(chest_image(), 8)
    plain = read_radiograph(write_xray(tmp_path / "plain.dcm", eight, 8)).pixels
    stream = io.BytesIO()
    Image.fromarray(eight).save(stream, "JPEG", quality=95)
    dataset = xray_dataset(eight, 8)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    lossy = read_radiograph(save(dataset, tmp_path / "x.dcm")).pixels
    assert np.abs(lossy - plain).mean() < 0.01


@pytest.mark.filterwarnings("ignore:End of file reached")
def test_a_truncated_compressed_file_is_refused(tmp_path):
    dataset = xray_dataset(STORED)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    path = save(dataset, tmp_path / "x.dcm")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(AxonInputError, match="x.dcm"):
        read_radiograph(path)


def test_a_makers_own_compression_is_refused_as_such(tmp_path):
    dataset = xray_dataset(STORED)
    dataset.file_meta.TransferSyntaxUID = UID("1.3.46.670589.33.1.4.1")
    dataset.PixelData = encapsulate([bytes(range(256)) * 40])
    dataset["PixelData"].VR = "OB"
    path = tmp_path / "x.dcm"
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(AxonInputError, match="its compression is not known.*export it uncompress"):
        read_radiograph(path)
