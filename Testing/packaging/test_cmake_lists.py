"""Slicer packages what CMake lists: every file of the modules and of the backend, nothing else."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def cmake_lists():
    spec = importlib.util.spec_from_file_location("cmake_lists", HERE / "cmake_lists.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", ["axon_backend", "AXONReconstruction"])
def test_the_lists_are_what_is_in_the_folder(cmake_lists, package):
    listed = cmake_lists.listed_in((ROOT / package / "CMakeLists.txt").read_text("utf-8"))
    found = cmake_lists.files_of(package)
    for name in cmake_lists.LISTS:
        gone = sorted(set(listed[name]) - set(found[name]))
        new = sorted(set(found[name]) - set(listed[name]))
        assert not gone, f"{package}: listed but not there; run Testing/packaging/cmake_lists.py"
        assert not new, f"{package}: not listed; run Testing/packaging/cmake_lists.py"
        assert len(listed[name]) == len(set(listed[name])), f"{package}: listed twice"


def test_what_must_be_packaged_is_in_the_lists(cmake_lists):
    backend = cmake_lists.files_of("axon_backend")
    assert {"__init__.py", "imaging/ct.py"} <= set(backend["MODULE_PYTHON_SCRIPTS"])
    assert {
        "bundles/preview/SHA256SUMS",
        "bundles/preview/models/coarse.safetensors",
        "demo_data/xray_pa.jpg",
        "demo_data/ATTRIBUTION.md",
        "bundle/metadata_schema.json",
        "py.typed",
    } <= set(backend["MODULE_PYTHON_RESOURCES"])
    module = cmake_lists.files_of("AXONReconstruction")
    assert {"AXONReconstruction.py", "AXONReconstructionLib/__init__.py"} <= set(
        module["MODULE_PYTHON_SCRIPTS"]
    )
    assert {
        "Resources/Icons/AXONReconstruction.png",
        "Resources/UI/AXONReconstruction.ui",
        "Resources/requirements.txt",
    } <= set(module["MODULE_PYTHON_RESOURCES"])


def test_caches_are_never_listed(cmake_lists, tmp_path, monkeypatch):
    monkeypatch.setattr(cmake_lists, "ROOT", tmp_path)
    for name in (
        "a.py",
        "b.json",
        "__pycache__/a.pyc",
        ".cache/x.json",
        "CMakeLists.txt",
        "d/e.py",
    ):
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert cmake_lists.files_of("package") == {
        "MODULE_PYTHON_SCRIPTS": ["a.py", "d/e.py"],
        "MODULE_PYTHON_RESOURCES": ["b.json"],
    }


def test_rewriting_changes_the_lists_and_nothing_else(cmake_lists):
    text = "x\nset(MODULE_PYTHON_SCRIPTS\n  old.py\n  )\n\nset(MODULE_PYTHON_RESOURCES\n  )\ny\n"
    files = {"MODULE_PYTHON_SCRIPTS": ["a.py"], "MODULE_PYTHON_RESOURCES": ["b", "c"]}
    new = cmake_lists.rewritten(text, files)
    assert cmake_lists.listed_in(new) == files
    assert new == (
        "x\nset(MODULE_PYTHON_SCRIPTS\n  a.py\n  )\n\n"
        "set(MODULE_PYTHON_RESOURCES\n  b\n  c\n  )\ny\n"
    )


def test_only_the_module_is_a_python_file_at_the_top():
    # Slicer tries to load every Python file there as a module.
    assert [p.name for p in (ROOT / "AXONReconstruction").glob("*.py")] == ["AXONReconstruction.py"]
