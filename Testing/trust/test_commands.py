"""The commands of this folder work: a few kills, a few damaged files, one break, the licences."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import audit
import fuzz
import mutation
import pytest


def test_a_break_is_noticed_and_a_harmless_change_is_not(tmp_path):
    copy = tmp_path / "axon_backend" / "util"
    copy.parent.mkdir()
    (tmp_path / "axon_backend" / "__init__.py").write_text("")
    root = mutation.ROOT / "axon_backend"
    shutil.copytree(root / "util", copy)
    shutil.copy(root / "errors.py", tmp_path / "axon_backend")
    one = next(m for m in mutation.MUTATIONS if m.file.endswith("plain_text.py"))
    assert mutation.broken(one, tmp_path) == "killed"
    harmless = mutation.Mutation(one.file, one.old, one.old + " ", one.tests)
    assert mutation.broken(harmless, tmp_path) == "SURVIVED"
    gone = mutation.Mutation(one.file, "no such line", "", one.tests)
    assert mutation.broken(gone, tmp_path).startswith("NOT TRIED")


def test_every_break_can_be_made():
    for one in mutation.MUTATIONS:
        text = (mutation.ROOT / one.file).read_text(encoding="utf-8")
        assert text.count(one.old) == 1, one
        assert (mutation.ROOT / "Testing" / one.tests.split()[0]).is_file(), one
    assert len(mutation.MUTATIONS) >= 40


@pytest.mark.parametrize("name", ["rows in CSV", "X-ray as mha"])
def test_damaged_files_are_read_or_refused(name):
    assert fuzz.try_reader(name, 0.0, 0, least=30) == (30, [])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_few_kills():
    words = [sys.executable, str(Path(__file__).with_name("kills.py")), "3", "drr"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ("licence", "says"),
    [
        ("MIT", ""), ("GPL-3.0-only", "GPL"), ("GNU General Public License v3 (GPLv3)", "GPL"),
        ("AGPL-3.0", "GPL"), ("LGPL-2.1-or-later", ""), ("", "states no licence"),
        ("GPL-3.0-with-GCC-exception AND BSD-3-Clause", ""), ("MPL-2.0 AND MIT", ""),
    ],
)  # fmt: skip
def test_licences(licence, says):
    assert says in audit.problem(licence) and bool(audit.problem(licence)) is bool(says)


def test_no_package_that_axon_needs_is_under_the_gpl():
    packages = audit.runtime_packages()
    assert {"torch", "numpy", "pydicom"} <= set(packages)
    found = {name: audit.problem(audit.licence_of(p)) for name, p in packages.items()}
    assert {name: why for name, why in found.items() if why} == {}
