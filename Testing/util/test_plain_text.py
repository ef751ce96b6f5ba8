"""Ids and descriptions come from outside: no formula in CSV, no markup in Markdown."""

import pytest

from axon_backend.util.plain_text import no_formula, no_markdown


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
