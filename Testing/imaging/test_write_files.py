"""Writers: whole or not at all, true geometry, the research note, plain errors."""

import json
import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.errors import AxonInputError, OutputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import (
    RESEARCH_NOTE,
    VOLUME_SUFFIXES,
    atomic_path,
    write_json,
    write_png,
    write_text,
    write_volume,
)

BOX = ThoraxFrame((10.0, 20.0, -30.0), (320.0, 240.0, 400.0))


def ramp(n=8):
    return np.arange(n**3, dtype=np.float32).reshape(n, n, n) - 100.4


def test_a_box_is_filled_exactly(tmp_path):
    path = write_volume(tmp_path / "x.nii.gz", ramp(), BOX)
    nifti = nibabel.load(path)
    assert nifti.get_data_dtype() == np.int16
    corners = np.array([[-0.5, -0.5, -0.5, 1], [7.5, 7.5, 7.5, 1]]) @ nifti.affine.T
    # RAS: the box spans x 10 +- 160, y 20 +- 120, z -30 +- 200 in LPS.
    assert corners[0, :3] == pytest.approx([150.0, 100.0, -230.0])
    assert corners[1, :3] == pytest.approx([-170.0, -140.0, 170.0])
    assert np.array_equal(np.asarray(nifti.dataobj).T, np.rint(ramp()))


@pytest.mark.parametrize("description", ["", "seed 1, 10 steps"])
def test_the_note_is_in_every_header(tmp_path, description):
    for suffix in (".nii", ".nrrd", ".mha"):
        path = write_volume(tmp_path / f"x{suffix}", ramp(), BOX, description)
        head = path.read_bytes()[:2000]
        assert RESEARCH_NOTE.encode() in head
        assert description.encode() in head
    assert RESEARCH_NOTE == "AXON: research use only, not for diagnosis"


def test_a_long_or_foreign_description_fits_the_nifti_field(tmp_path):
    path = write_volume(tmp_path / "x.nii.gz", ramp(), BOX, "Übersicht " * 30)
    field = bytes(nibabel.load(path).header["descrip"]).rstrip(b"\0")
    assert field.startswith(RESEARCH_NOTE.encode())
    assert len(field) <= 79


def test_values_are_clipped_to_int16(tmp_path):
    volume = ramp()
    volume[0, 0, :2] = (-1e6, 1e6)
    image = sitk.ReadImage(write_volume(tmp_path / "x.nrrd", volume, BOX))
    assert image.GetPixelID() == sitk.sitkInt16
    assert sitk.GetArrayFromImage(image)[0, 0, :2].tolist() == [-32768, 32767]


def test_refusals(tmp_path):
    with pytest.raises(AxonInputError, match="folder .*nowhere does not exist"):
        write_volume(tmp_path / "nowhere" / "x.nii.gz", ramp(), BOX)
    with pytest.raises(AxonInputError, match=r"written as .nii.gz, .nii, .nrrd, .mha"):
        write_volume(tmp_path / "x.dcm", ramp(), BOX)
    with pytest.raises(AxonInputError, match="has 2 axes"):
        write_volume(tmp_path / "x.nii", ramp()[0], BOX)
    with pytest.raises(AxonInputError, match="not numbers"):
        write_volume(tmp_path / "x.nii", np.full((4, 4, 4), np.nan), BOX)
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(AxonInputError, match="a folder has that name"):
        write_text(tmp_path / "folder.txt", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.txt"]


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path):
    path = write_text(tmp_path / "x.txt", "old")

    def fail_half_way():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            assert temporary.parent.parent == path.parent
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("left", [0.5, 0.99, 1.0])
def test_a_full_disk_is_told_and_leaves_the_old_volume(tmp_path, suffix, left):
    """The file may not grow beyond a limit, as on a full disk, down to its last byte but one."""
    import resource
    import signal

    target = tmp_path / f"x{suffix}"
    noise = np.random.default_rng(0).integers(-1000, 1000, (30, 30, 30))
    write_volume(target, noise, BOX)
    before = target.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(left * len(before)) - 1, hard))
    try:
        with pytest.raises(OutputError, match="Check the free space"):
            write_volume(target, noise, BOX)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == [target.name]
    assert target.read_bytes() == before


def test_a_file_is_replaced_and_readable_by_others(tmp_path):
    path = write_text(tmp_path / "x.txt", "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_png_depths(tmp_path):
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    sixteen = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    colour = np.dstack([eight, eight[::-1], eight.T])
    for array in (eight, sixteen, colour):
        with Image.open(write_png(tmp_path / "x.png", array)) as image:
            assert np.array_equal(np.asarray(image), array)
    floats = np.array([[0.0, 0.5], [1.0, 2.0]])
    with Image.open(write_png(tmp_path / "x.png", floats)) as image:
        assert np.asarray(image).tolist() == [[0, 128], [255, 255]]
    with Image.open(write_png(tmp_path / "x.png", floats, bits=16)) as image:
        assert np.asarray(image).tolist() == [[0, 32768], [65535, 65535]]
    with pytest.raises(ValueError, match="bits"):
        write_png(tmp_path / "x.png", floats, bits=12)


def test_json_of_everything_we_store(tmp_path):
    path = write_json(
        tmp_path / "x.json",
        {
            "view": View.pa,
            "box": BOX,
            "psnr": np.float32(20.5),
            "n": np.int64(3),
            "array": np.eye(2),
            "path": Path("a") / "b",
            "nan": float("nan"),
            "name": "Röntgen",
            View.ap: {2, 1},
        },
    )
    assert "Röntgen" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "view": "pa",
        "box": {"center_mm": [10.0, 20.0, -30.0], "size_mm": [320.0, 240.0, 400.0]},
        "psnr": 20.5,
        "n": 3,
        "array": [[1.0, 0.0], [0.0, 1.0]],
        "path": str(Path("a") / "b"),
        "nan": None,
        "name": "Röntgen",
        "ap": [1, 2],
    }
    with pytest.raises(TypeError, match="has no JSON form"):
        write_json(tmp_path / "y.json", {"x": object()})
    assert not (tmp_path / "y.json").exists()
