"""Ids and descriptions come from outside: no formula in CSV, no markup in Markdown. Paths are named
without their folders."""

import pytest

from axon_backend.util.plain_text import (
    no_formula,
    no_markdown,
    recorded,
    recorded_word,
    without_folders,
)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("=1+cmd|' /C calc'!A0", "'=1+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+49 123", "'+49 123"),
        ("-lateral", "'-lateral"),
        ("\t=1", "'\t=1"),
        ("-12.5", "-12.5"),
        (-3e-05, "-3e-05"),
        ("p=1", "p=1"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_cell_is_no_formula(text, cell):
    assert no_formula(text) == cell


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<img src=x>|x|", r"\<img src=x\>\|x\|"),
        ("[a](http://x) `b`", r"\[a\](http://x) \`b\`"),
        ("\\<b\\>", r"\\\<b\\\>"),
        ("two\nlines", "two lines"),
        (r"C:\data\ct_1.nii.gz", r"C:\data\ct_1.nii.gz"),
    ],
)
def test_markdown_is_text(text, line):
    assert no_markdown(text) == line


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "ct").mkdir()
    monkeypatch.chdir(tmp_path / "ct")
    assert recorded(".") == "ct" and recorded("x.dcm") == "x.dcm"
    assert recorded(tmp_path / "ct") == "ct"


@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("evaluate", "evaluate"),
        ("--seed=3", "--seed=3"),
        ("{folder}/cases.json", "cases.json"),
        ("{folder}/a=b/cases.json", "cases.json"),
        ("--manifest={folder}/cases.json", "--manifest=cases.json"),
        ("--manifest={folder}/a=b/cases.json", "--manifest=cases.json"),
    ],
)
def test_a_word_of_a_command_names_no_folder(word, named, tmp_path):
    assert recorded_word(word.format(folder=tmp_path)) == named


def test_a_message_names_no_folder(tmp_path, monkeypatch):
    (tmp_path / "ct").mkdir()
    monkeypatch.chdir(tmp_path)
    said = f"{tmp_path}/ct/1.dcm is no CT. ct/1.dcm, neither."
    assert without_folders(said, ["ct/1.dcm", None]) == "1.dcm is no CT. 1.dcm, neither."
    said = without_folders(f"{tmp_path} holds no CT. Give another.", ["."])
    assert said == f"{tmp_path.name} holds no CT. Give another."
