"""Input that cannot be used: one plain sentence or two, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from axon_backend.cli.main import main


@pytest.fixture(scope="module")
def files(tmp_path_factory, phantom_ct_file) -> Path:
    """A folder with one file of each kind of bad input."""
    folder = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
    (folder / "text.png").write_text("this is not an image\n")
    shutil.copy(phantom_ct_file, folder / "ct.nii.gz")
    colour = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(colour).save(folder / "photo.png")
    pages = [Image.fromarray(rng.integers(0, 255, (128, 128), dtype=np.uint8)) for _ in range(2)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    slice_hu = np.full((1, 64, 64), 40, np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(slice_hu), str(folder / "one_slice.nii.gz"))
    lateral_dicom(folder / "lateral.dcm", rng)
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.txt").write_text("no bundle\n")
    return folder


def lateral_dicom(path: Path, rng) -> None:
    """A DX file whose tags say that it is a left lateral."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = meta.MediaStorageSOPClassUID
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.ViewPosition, ds.BodyPartExamined = "DX", "LL", "CHEST"
    ds.PhotometricInterpretation, ds.SamplesPerPixel = "MONOCHROME2", 1
    ds.Rows = ds.Columns = 128
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.PixelData = rng.integers(0, 60000, (128, 128), dtype=np.uint16).tobytes()
    pydicom.dcmwrite(path, ds, enforce_file_format=True)


# What is wrong -> the changed arguments, and words that the sentence must hold.
WRONG = {
    "missing file": (["--frontal", "{bad}/nothing.png"], ["nothing.png", "does not exist"]),
    "text file": (["--frontal", "{bad}/text.png"], ["text.png", "not a readable image"]),
    "CT as X-ray": (["--frontal", "{bad}/ct.nii.gz"], ["ct.nii.gz", "volume"]),
    "lateral as frontal": (["--frontal", "{bad}/lateral.dcm"], ["lateral", "--lateral"]),
    "frontal as lateral": (["--lateral", "{dicom_pa}"], ["frontal", "--lateral"]),
    "several frames": (["--frontal", "{bad}/pages.tif"], ["pages.tif", "several"]),
    "colour photo": (["--frontal", "{bad}/photo.png"], ["photo.png", "colour"]),
    "one-slice CT": (["--ct", "{bad}/one_slice.nii.gz"], ["one_slice.nii.gz", "slice"]),
    "X-ray as CT": (["--ct", "{xray}"], ["pa.png", "volume"]),
    "unknown stage": (["--stages", "coarse,finest"], ["finest", "coarse"]),
    "no coarse stage": (["--stages", "fine"], ["fine", "coarse"]),
    "no steps": (["--steps", "0"], ["--steps", "'0'", "at least 1"]),
    "steps in words": (["--steps", "ten"], ["--steps", "'ten'"]),
    "no samples": (["--samples", "0"], ["sample", "0"]),
    "unknown device": (["--device", "tpu"], ["tpu", "auto, cpu, cuda"]),
    "no bundle": (["--bundle", "{bad}/nowhere"], ["no bundle at", "nowhere"]),
    "not a bundle": (["--bundle", "{bad}/notes"], ["notes", "not an AXON bundle"]),
    "tampered bundle": (["--bundle", "{tampered}"], ["coarse.safetensors", "has changed"]),
}


@pytest.fixture(scope="module")
def tampered(tiny_bundle, tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("tampered") / "bundle"
    shutil.copytree(tiny_bundle.path, copy)
    weights = copy / "models" / "coarse.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    return copy


@pytest.fixture(scope="module")
def dicom_pa(files) -> Path:
    import pydicom

    ds = pydicom.dcmread(files / "lateral.dcm")
    ds.ViewPosition = "PA"
    pydicom.dcmwrite(files / "pa.dcm", ds)
    return files / "pa.dcm"


@pytest.mark.parametrize("kind", WRONG)
def test_reconstruct_says_what_is_wrong(
    kind, files, tampered, dicom_pa, tiny_bundle, phantom_xray_file, tmp_path, capsys
):
    changes, words = WRONG[kind]
    places = {"bad": files, "xray": phantom_xray_file, "tampered": tampered, "dicom_pa": dicom_pa}
    # argparse takes the last of two equal options.
    arguments = [
        "reconstruct", "--frontal", str(phantom_xray_file), "--bundle", str(tiny_bundle.path),
        "--output", str(tmp_path / "out"),
        *(part.format(**places) for part in changes),
    ]  # fmt: skip
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert_one_plain_sentence(said.err, words)
    assert list(tmp_path.iterdir()) == []


def test_a_lateral_xray_alone_is_not_enough(files, tmp_path, capsys):
    lateral = ["--lateral", str(files / "lateral.dcm")]
    assert main(["reconstruct", *lateral, "--output", str(tmp_path / "out")]) == 2
    assert_one_plain_sentence(
        capsys.readouterr().err, ["--frontal is missing", "lateral X-ray alone is not enough"]
    )
    assert list(tmp_path.iterdir()) == []


def assert_one_plain_sentence(text: str, words: list[str]) -> None:
    assert text.startswith("axon: ") and text.endswith("\n")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text and "Error" not in text
    for word in words:
        assert word in text


def reconstruct(xray, bundle, output, *more) -> int:
    return main(
        ["reconstruct", "--frontal", str(xray), "--bundle", str(bundle.path), "--stages", "coarse",
         "--steps", "1", "--no-register", "--output", str(output), *more]
    )  # fmt: skip


def test_an_output_that_is_a_file(phantom_xray_file, tiny_bundle, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert reconstruct(phantom_xray_file, tiny_bundle, taken) == 2
    assert_one_plain_sentence(capsys.readouterr().err, ["taken", "is a file", "Choose another"])
    assert reconstruct(phantom_xray_file, tiny_bundle, taken / "deeper") == 2
    assert_one_plain_sentence(capsys.readouterr().err, ["taken", "Cannot write"])
    assert taken.read_text() == "mine"


def test_an_output_that_holds_files(phantom_xray_file, tiny_bundle, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.txt").write_text("mine")
    assert reconstruct(phantom_xray_file, tiny_bundle, tmp_path / "out") == 2
    assert_one_plain_sentence(capsys.readouterr().err, ["already contains files", "--overwrite"])
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["old.txt"]


BROKEN_MANIFESTS = {
    "not JSON": ("[{", "not JSON"),
    "no list": ('{"id": "a"}', "is not a list. Expected"),
    "entry no object": ('["a"]', "entry 0"),
    "no CT": ('[{"id": "a", "frontal": null, "lateral": null}]', "it has no 'ct' and no 'frontal'"),
    "id no text": ('[{"id": 7, "ct": "a.nii.gz"}]', "'id' is 7"),
    "path no text": ('[{"id": "a", "ct": "a.nii.gz", "frontal": 3}]', "'frontal' is 3"),
    "id twice": (json.dumps([{"id": "a", "ct": "a.nii.gz"}] * 2), "twice"),
    "a key misspelt": (
        '[{"id": "a", "ct": "a.nii.gz", "frontl": "x.png"}]',
        "the unknown key 'frontl'",
    ),
    "empty": ("[]", "no case"),
    "other split": ('[{"id": "a", "ct": "a.nii.gz", "split": "train"}]', "splits in it: train"),
}


@pytest.mark.parametrize("kind", BROKEN_MANIFESTS)
def test_a_broken_manifest(kind, tiny_bundle, tmp_path, capsys):
    text, words = BROKEN_MANIFESTS[kind]
    manifest = tmp_path / "cases.json"
    manifest.write_text(text)
    code = main(
        ["evaluate", "--manifest", str(manifest), "--split", "test", "--output",
         str(tmp_path / "out"), "--bundle", str(tiny_bundle.path)]
    )  # fmt: skip
    assert code == 2
    assert_one_plain_sentence(capsys.readouterr().err, ["cases.json", words])
    assert [p.name for p in tmp_path.iterdir()] == ["cases.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "3"], "--size is 3"),
        (["--output", "{tmp}/drr.jpg"], "does not have the extension of a format for DRRs"),
        (["--output", "{tmp}/nowhere/drr.png"], "does not exist"),
        (["--ct", "{tmp}/nothing.nii.gz"], "nothing.nii.gz does not exist"),
    ],
)
def test_drr_says_what_is_wrong(arguments, words, phantom_ct_file, tmp_path, capsys):
    code = main(
        ["drr", "--ct", str(phantom_ct_file), "--view", "pa", "--output",
         str(tmp_path / "drr.png"), *(a.format(tmp=tmp_path) for a in arguments)]
    )  # fmt: skip
    assert code == 2
    assert_one_plain_sentence(capsys.readouterr().err, [words])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [[], ["reconstruct"], ["reconstruct", "--view", "oblique"], ["dream"]]
)
def test_arguments_that_do_not_parse_are_bad_input(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: axon" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path, capsys):
    code = main(["bundle", "verify", str(tmp_path / "nothing"), "--debug"])
    assert code == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("exists", [False, True])
def test_a_refused_source_leaves_nothing(exists, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    out = tmp_path / "a" / "data"
    if exists:
        out.mkdir(parents=True)
    code = main(
        ["prepare", str(tmp_path / "source"), "--output", str(out), "--quiet", "--workers", "1"]
    )
    assert code == 2
    assert_one_plain_sentence(capsys.readouterr().err, ["no CT and no X-ray"])
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")}
    assert left == ({"source", "a", "a/data"} if exists else {"source"})
