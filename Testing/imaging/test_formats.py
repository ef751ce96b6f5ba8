"""The registry of formats: found by content and extension, and a format of one file elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.imaging import formats
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.formats import ImageFormat, find_format, register_format
from axon_backend.imaging.radiograph import read_radiograph

ROOT = Path(__file__).resolve().parents[2]
TOY = """
import numpy as np
from axon_backend.imaging.formats import ImageFormat
from axon_backend.imaging.raw_volume import RawVolume
from axon_backend.imaging.raw_xray import RawXray

def read_xray(path, view_given):
    return RawXray(np.load(path)["pixels"].astype(np.float32), notes=("read by the toy",))

def read_volume(path):
    file = np.load(path)
    return RawVolume(file["voxels"], file["affine"])

format = ImageFormat("Toy", (".toy",), read_xray, read_volume)
"""


def volume() -> np.ndarray:
    """An HU volume (40, 36, 44) `[z, y, x]` whose voxels all differ."""
    return np.arange(40 * 36 * 44, dtype=np.int16).reshape(40, 36, 44) % 3000 - 1000


@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".nii", "NIfTI"), (".nii.gz", "NIfTI"), (".nrrd", "NRRD"), (".mha", "MetaImage")],
)
def test_a_volume_without_its_extension_is_read_by_its_content(
    tmp_path: Path, suffix: str, name: str
) -> None:
    image = sitk.GetImageFromArray(volume())
    image.SetSpacing((4.0, 5.0, 6.0))
    sitk.WriteImage(image, tmp_path / f"ct{suffix}")
    (tmp_path / "bare").write_bytes((tmp_path / f"ct{suffix}").read_bytes())
    found = find_format(tmp_path / "bare")
    assert found is not None and found.name == name
    bare, named = read_ct(tmp_path / "bare"), read_ct(tmp_path / f"ct{suffix}")
    assert np.array_equal(bare.hu, named.hu) and bare.spacing_mm == named.spacing_mm
    assert found.read_size is not None
    assert found.read_size(tmp_path / "bare") == (44, 36, 40)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
def test_an_image_without_its_extension_is_read_by_its_content(tmp_path: Path, kind: str) -> None:
    ramp = np.add.outer(np.arange(96), np.arange(80)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "image", kind)
    assert read_radiograph(tmp_path / "image").pixels.shape == (96, 80)


def test_content_wins_over_a_wrong_extension(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(volume()), tmp_path / "ct.nrrd")
    (tmp_path / "ct.nrrd").rename(tmp_path / "ct.mha")
    found = find_format(tmp_path / "ct.mha")
    assert found is not None and found.name == "NRRD"


def test_the_longest_extension_is_taken_off() -> None:
    assert formats.without_extension("p1.ct.nii.gz") == "p1.ct"
    assert formats.without_extension("P1.PNG") == "P1"
    assert formats.without_extension("p1.docx") == "p1.docx"


def test_a_clash_of_names_or_extensions_is_refused() -> None:
    def reader(path: Path, view_given: bool) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="'PNG' is already registered"):
        register_format(ImageFormat("PNG", (".pngx",), reader))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Mine: \.nii is an extension of NIfTI"):
        register_format(ImageFormat("Mine", (".nii",), reader))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no reader"):
        ImageFormat("Mine", (".mine",))


def test_the_registry_imports_no_image_library() -> None:
    heavy = "{'numpy', 'nibabel', 'SimpleITK', 'pydicom', 'PIL'}"
    code = (
        "import sys; from axon_backend.imaging import formats; formats.list_formats();"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_the_documents_name_every_format() -> None:
    pages = [ROOT / "README.md", *(ROOT / "Resources" / "Docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    missing = [name for name in formats.registered_formats() if name not in text]
    assert not missing, f"README or a page of Resources/Docs lists the formats; it lacks {missing}"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder as pip makes it of a package with a toy format."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "toy_format.py").write_text(TOY)
    info = folder / "toy_format-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[axon_backend.formats]\ntoy = toy_format:format\n")
    path = os.pathsep.join(map(str, (folder, ROOT)))
    return SimpleNamespace(environment={**os.environ, "PYTHONPATH": path, "COLUMNS": "1000"})


def axon(outside: SimpleNamespace, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "axon_backend", *map(str, arguments)],
        env=outside.environment, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip


def test_a_format_outside_the_package_is_registered_and_reconstructed(
    outside, phantom_ct, phantom_xray_file, tiny_bundle, tmp_path
):
    pixels = np.asarray(Image.open(phantom_xray_file))
    affine = np.diag([*phantom_ct.spacing_mm, 1.0])
    affine[:3, 3] = phantom_ct.origin_mm
    with open(tmp_path / "pa.toy", "wb") as stream:
        np.savez(stream, pixels=pixels)
    with open(tmp_path / "ct.toy", "wb") as stream:
        np.savez(stream, voxels=phantom_ct.hu, affine=affine)
    done = axon(
        outside, "register", "--xray", tmp_path / "pa.toy", "--ct", tmp_path / "ct.toy",
        "--output", tmp_path / "registered",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = axon(
        outside, "reconstruct", "--frontal", tmp_path / "pa.toy", "--ct", tmp_path / "ct.toy",
        "--bundle", tiny_bundle.path, "--stages", "coarse", "--steps", 1, "--quiet",
        "--no-register", "--output", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    xray = next(entry for entry in record["inputs"] if entry["role"] == "frontal")
    assert "read by the toy" in xray["assumptions"]
    assert record["metrics"]["coarse"]["mae"] > 0


def test_a_format_outside_the_package_is_in_help_and_messages(outside, tmp_path):
    for command in ("reconstruct", "register"):
        told = axon(outside, command, "--help").stdout
        assert "NRRD, MetaImage or Toy" in told, command
        assert "a file as DICOM, NIfTI, NRRD, MetaImage or Toy" in told, command
    (tmp_path / "letter.txt").write_text("Dear reader")
    done = axon(
        outside, "reconstruct", "--frontal", tmp_path / "letter.txt", "--output", tmp_path / "out"
    )
    assert done.returncode == 2 and "NRRD, MetaImage or Toy" in done.stderr
