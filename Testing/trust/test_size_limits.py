"""Sizes are checked before anything is allocated: raster images, DICOM, texts, archives; and
headers do not lead out of their folder."""

import io
import zipfile

import bad_inputs
import numpy as np
import pytest
from PIL import Image

from axon_backend.bundle.unpack import unpack_bundle
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.training.settings import apply_pairs, read_yaml
from axon_backend.util.input_file import read_json, read_text


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.png", lambda: bad_inputs.png(60000, 60000), "60000 x 60000 pixels.*AXON_MAX_MEGAPIX"),
        ("x.dcm", lambda: bad_inputs.dicom(Rows=65535, Columns=65535), "limit of 100 million"),
        ("x.dcm", bad_inputs.deflated_bomb, "unpacks to more than"),
        (
            "x.dcm",
            lambda: bad_inputs.dicom(
                syntax="1.2.840.10008.1.2.4.50",
                PixelData=bad_inputs.encapsulate([bad_inputs.large_jpeg()]),
            ),
            "96 x 80 pixels, its compressed image 65535 x 65535",
        ),
        (
            "x.dcm",
            lambda: bad_inputs.dicom(
                syntax="1.2.840.10008.1.2.4.90",
                PixelData=bad_inputs.encapsulate([bad_inputs.large_jpeg2000()]),
            ),
            "its compressed image 2147483648 x 2147483648",
        ),
    ],
)
def test_images(name, data, words, tmp_path):
    (tmp_path / name).write_bytes(data())
    with pytest.raises(AxonInputError, match=words):
        read_radiograph(tmp_path / name)


def test_the_limit_of_images_can_be_set(tmp_path, monkeypatch):
    grey = np.add.outer(np.arange(1000), np.arange(1100)).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "x.png")
    monkeypatch.setenv("AXON_MAX_MEGAPIXELS", "1")
    with pytest.raises(AxonInputError, match=r"1000 x 1100 pixels, more than the limit of 1 mill"):
        read_radiograph(tmp_path / "x.png")


def test_no_program_is_started_for_an_image(tmp_path):
    """Pillow would run Ghostscript on PostScript, whatever the file is called."""
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\nshowpage")
    with pytest.raises(AxonInputError, match="not a readable image"):
        read_radiograph(tmp_path / "x.png")


@pytest.mark.parametrize("where", ["/etc/passwd", "../x.raw", "C:\\x.raw", "LIST\n/etc/passwd"])
@pytest.mark.parametrize("kind", ["nhdr", "mhd"])
def test_voxels_outside_the_folder(kind, where, tmp_path):
    size = [24, 24, 24]
    header = (
        bad_inputs.nrrd(size, b"", extra=f"data file: {where}\n")
        if kind == "nhdr"
        else bad_inputs.mha(size, b"", ElementDataFile=where)
    )
    (tmp_path / f"x.{kind}").write_bytes(header)
    with pytest.raises(AxonInputError, match="outside its folder"):
        read_ct(tmp_path / f"x.{kind}")


def test_texts(tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(AxonInputError, match="nested too deeply"):
        read_json(tmp_path / "x.json")
    monkeypatch.setenv("AXON_MAX_TEXT_MB", "0.05")
    with pytest.raises(AxonInputError, match="more than the limit of 0.05 MB"):
        read_text(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")  # with a byte-order mark
    assert read_json(tmp_path / "x.json") == [1]


def test_yaml_aliases(tmp_path):
    (tmp_path / "x.yaml").write_text("a: &a [1]\nb: *a\n")
    with pytest.raises(AxonInputError, match="aliases"):
        read_yaml(tmp_path / "x.yaml")
    with pytest.raises(AxonInputError, match="cannot be read"):
        apply_pairs(_Settings(), ["value=[&a 1, *a]"])


def test_archives(tmp_path, monkeypatch):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("configs/axon.json", bytes(3 << 20))
    (tmp_path / "x.zip").write_bytes(out.getvalue())
    monkeypatch.setenv("AXON_MAX_UNPACKED_MB", "2")
    (tmp_path / "new").mkdir()
    with pytest.raises(AxonInputError, match="unpacks to 3 MB, more than the limit of 2 MB"):
        unpack_bundle(tmp_path / "x.zip", tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@bad_inputs.dataclass(frozen=True)
class _Settings:
    value: int = 1
