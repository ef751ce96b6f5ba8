"""The same version, and the same requirements, wherever they are written down."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

import axon_backend

ROOT = Path(__file__).resolve().parents[2]
# Slicer brings them itself, or they come through its PyTorch extension.
FROM_SLICER = {"torch", "numpy", "scipy", "SimpleITK"}


def project_dependencies() -> dict[str, Requirement]:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)[1]
    found = [Requirement(item) for item in re.findall(r'^\s*"([^"]+)"', block, re.MULTILINE)]
    return {requirement.name: requirement for requirement in found}


def test_version_is_the_same_everywhere():
    assert str(Version(axon_backend.__version__)) == axon_backend.__version__
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == axon_backend.__version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## \[?(\S+?)\]?( |$)", changes, re.MULTILINE)[1] in (
        axon_backend.__version__,
        "Unreleased",
    )


def test_module_installs_what_the_backend_needs():
    lines = (ROOT / "AXONReconstruction/Resources/requirements.txt").read_text("utf-8").splitlines()
    listed = {
        Requirement(line).name: Requirement(line) for line in lines if line and line[0] != "#"
    }
    needed = project_dependencies()
    assert set(needed) >= FROM_SLICER
    assert set(listed) == set(needed) - FROM_SLICER
    for name, requirement in listed.items():
        assert requirement.specifier == needed[name].specifier, name


def test_torch_is_asked_for_in_the_same_version():
    text = (ROOT / "AXONReconstruction/AXONReconstructionLib/setup/requirements.py").read_text(
        "utf-8"
    )
    assert re.search(r'^TORCH = "(\S+)"', text, re.MULTILINE)[1] == str(
        project_dependencies()["torch"].specifier
    )
