"""The page on security names tests that exist, limits that exist with their defaults, and every
limit that there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "Resources" / "Docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`?\b(Testing/[\w/]+\.py)\b", PAGE)))


@pytest.mark.parametrize("file", NAMED)
def test_named_tests_exist(file):
    text = (ROOT / file).read_text("utf-8")
    assert "\ndef test_" in text or "def main(" in text


def test_every_promise_has_a_test():
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "promise" not in line]
    promises = [
        row for row in rows if not row.startswith(("| ---", "| `", "| variable", "| command"))
    ]
    assert len(promises) > 15
    for row in promises:
        assert "`Testing/" in row, row


def test_every_script_is_described_with_what_it_takes():
    """The commands that can be started, which tests import as modules."""
    folder = ROOT / "Testing" / "trust"
    scripts = {p.name for p in folder.glob("*.py") if "__main__" in p.read_text("utf-8")}
    assert scripts == set(re.findall(r"^\| `(\w+\.py)", PAGE, re.MULTILINE))
    assert scripts == set(re.findall(r"python Testing/trust/(\w+\.py)", PAGE))


def test_every_command_that_uses_the_network_is_named():
    (sentence,) = [line for line in PAGE.splitlines() if "use the network" in line]
    for command in ("bundle import", "cohort", "dicom serve", "dicom fetch", "dicom send", "view"):
        assert f"`axon {command}" in sentence


def test_limits_are_the_ones_of_the_code():
    rows = re.findall(r"^\| `(AXON_MAX_\w+)` \| ([\d.]+) \|", PAGE, re.MULTILINE)
    code = "".join(p.read_text("utf-8") for p in (ROOT / "axon_backend").rglob("*.py"))
    found = dict(re.findall(r"\"(AXON_MAX_\w+)\", ([\d_.]+)\)", code))
    assert {name: float(value) for name, value in rows} == {k: float(v) for k, v in found.items()}
