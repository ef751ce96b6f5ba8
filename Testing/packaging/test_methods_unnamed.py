"""Code outside of a method's own folder does not name its stages, networks or trainings: it asks
the method. Tests, docstrings and documentation may."""

import ast
import re
from pathlib import Path

from axon_backend.methods.axon import INFO
from axon_backend.methods.axon.method import AXON

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "axon_backend" / "methods" / "axon"
NAMES = {
    *INFO.stage_names,
    *INFO.training_names,
    *AXON.presets["preview"]().networks,
}


def python_files():
    for top in ("axon_backend", "AXONReconstruction", "AXONTraining"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if OWN not in path.parents:
                yield path


def named_in(source: str) -> list[str]:
    """Strings of a program that are one of the names, also as part of `coarse,fine`."""
    strings = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant))
    words = ((n.lineno, w) for n in strings if isinstance(n.value, str) for w in n.value.split(","))
    return [f"line {line}: {word!r}" for line, word in words if word.strip() in NAMES]


def test_the_search_finds_them():
    found = named_in('x = {"coarse": 1}\ny = "fine,sr"')
    assert sorted(found) == ["line 1: 'coarse'", "line 2: 'fine'", "line 2: 'sr'"]
    assert not named_in('"""A coarse search."""\nfine = "coarse to fine"')


def test_no_other_file_names_the_parts_of_axon():
    found = {path: named_in(path.read_text("utf-8")) for path in python_files()}
    assert len(found) > 100
    named = {path.relative_to(ROOT).as_posix(): lines for path, lines in found.items() if lines}
    assert not named


def test_no_widget_is_made_for_a_stage_of_axon():
    names = "|".join(sorted(NAMES))
    pattern = re.compile(rf'name="(?:run)?(?:{names})(?:[A-Z]\w*)?"', re.IGNORECASE)
    for path in sorted(ROOT.glob("AXON*/Resources/UI/*.ui")):
        assert not pattern.findall(path.read_text("utf-8")), path
