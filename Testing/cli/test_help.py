"""Help answers at once and knows all commands."""

import subprocess
import sys

import pytest

from axon_backend import __version__
from axon_backend.cli.main import main

COMMANDS = ("reconstruct", "drr", "register", "evaluate", "demo", "selfcheck", "bundle")


def test_help_loads_nothing_heavy():
    code = """
import sys
from axon_backend.cli.main import main
try:
    main(["--help"])
except SystemExit as stop:
    assert stop.code == 0
heavy = {"torch", "monai", "numpy", "SimpleITK", "matplotlib", "vtk", "tqdm"} & set(sys.modules)
print("HEAVY", sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in COMMANDS:
        assert command in done.stdout


BUNDLE_COMMANDS = ("list", "show", "import", "delete", "verify")


@pytest.mark.parametrize(
    "command", [*([c] for c in COMMANDS), *(["bundle", c] for c in BUNDLE_COMMANDS)]
)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: axon" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [["reconstruct"], ["demo"], ["view"], ["evaluate"], ["cohort", "reconstruct"],
     ["cohort", "evaluate"]],
)  # fmt: skip
def test_stages_are_explained_alike(command, capsys):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "separated by commas, or all" in said and "recommends" in said


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"axon {__version__}\n"
