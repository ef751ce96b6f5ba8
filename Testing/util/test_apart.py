"""No input is ever an output, by whatever name."""

import os

import pytest

from axon_backend.errors import AxonInputError
from axon_backend.util.apart import check_apart


@pytest.fixture
def place(tmp_path, monkeypatch):
    """cases/ct.nii.gz and cases/dicom/1.dcm; the current folder is the one above."""
    (tmp_path / "cases" / "dicom").mkdir(parents=True)
    (tmp_path / "cases" / "ct.nii.gz").write_bytes(b"ct")
    (tmp_path / "cases" / "dicom" / "1.dcm").write_bytes(b"slice")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("output", "given", "words"),
    [
        ("cases/ct.nii.gz", "cases/ct.nii.gz", "both input and output"),
        ("cases/../cases/ct.nii.gz", "cases/ct.nii.gz", "both input and output"),
        ("cases", "cases/ct.nii.gz", "contains the input"),
        (".", "cases/dicom/1.dcm", "contains the input"),
        ("cases/dicom", "cases/dicom", "both input and output"),
        ("cases/dicom/out", "cases/dicom", "lies in the input folder"),
        ("cases/dicom/1.dcm", "cases/dicom", "lies in the input folder"),
    ],
)
def test_an_output_that_is_holds_or_lies_in_an_input(place, output, given, words):
    with pytest.raises(AxonInputError, match=words):
        check_apart(output, None, "none.png", place / given)


def test_what_is_apart_and_what_does_not_exist(place):
    check_apart("cases/drr.png", "cases/ct.nii.gz", "cases/dicom", None, "cases/none")
    check_apart("cases/dicom/out", "cases/dicom", below=True)
    check_apart("cases/ct", "cases/ct.nii.gz")
    check_apart("a\0b", "cases/ct.nii.gz")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_lead_to_the_same_place(place):
    (place / "link").symlink_to(place / "cases")
    (place / "link.nii.gz").symlink_to(place / "cases" / "ct.nii.gz")
    with pytest.raises(AxonInputError, match="both input and output"):
        check_apart("link.nii.gz", "cases/ct.nii.gz")
    with pytest.raises(AxonInputError, match="contains the input"):
        check_apart("link", "cases/ct.nii.gz")
    with pytest.raises(AxonInputError, match="contains the input"):
        check_apart("cases", "link.nii.gz")
    # The link itself would be lost, though what it leads to lies elsewhere.
    with pytest.raises(AxonInputError, match="contains the input"):
        check_apart(".", place / "link.nii.gz")
