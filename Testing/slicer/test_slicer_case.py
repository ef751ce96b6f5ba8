"""The end-to-end script for Slicer, run in the test host."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "slicer_case.py"


@pytest.fixture
def case(axon):
    spec = importlib.util.spec_from_file_location("slicer_case", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_case_passes(case, capsys):
    assert case.main() == case.DONE, capsys.readouterr()
    assert "the case is right" in capsys.readouterr().out


def test_it_is_skipped_where_packages_are_missing(host, case, capsys):
    with host.without("monai"):
        assert case.main() == case.SKIPPED
    assert "monai" in capsys.readouterr().out


def test_failures_are_reported(case, monkeypatch, capsys):
    from AXONReconstructionLib.console import sample_data

    def load(name):
        raise RuntimeError("the sample file is damaged")

    monkeypatch.setattr(sample_data, "load", load)
    assert case.main() == case.WRONG
    assert "the sample file is damaged" in capsys.readouterr().err
