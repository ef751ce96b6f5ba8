"""Code outside of a method's own folder does not name its stages, networks, trainings, settings or
classes: it asks the method. Tests, docstrings and documentation may."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import torch

from axon_backend.methods.axon import INFO
from axon_backend.methods.axon.config import Sampling, preview
from axon_backend.methods.axon.method import AXON

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "axon_backend" / "methods" / "axon"
NAMES = {
    *INFO.stage_names,
    *INFO.training_names,
    *AXON.presets["preview"]().networks,
}
with torch.device("meta"):
    MODEL = AXON.build(preview())
# Names that only AXON has: what its model and its sampling consist of, and its classes.
IDENTIFIERS = {
    *(name for name, _module in MODEL.named_children()),
    *(field.name for field in fields(Sampling)),
    *(
        node.name
        for path in OWN.glob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    ),
}


def python_files():
    for top in ("axon_backend", "AXONReconstruction", "AXONTraining"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if OWN not in path.parents:
                yield path


def named_in(source: str) -> list[str]:
    """Strings of a program that are one of the names, also as part of `coarse,fine`, and
    identifiers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        words, names = [], NAMES
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = [word.strip() for word in node.value.split(",")]
        elif isinstance(node, (ast.Name, ast.Attribute)):
            words, names = [getattr(node, "id", None) or node.attr], IDENTIFIERS
        found += [f"line {node.lineno}: {word!r}" for word in words if word in names]
    return found


def test_the_search_finds_them():
    found = named_in('x = {"coarse": 1}\ny = "fine,sr"')
    assert sorted(found) == ["line 1: 'coarse'", "line 2: 'fine'", "line 2: 'sr'"]
    assert named_in("model.fine_diff.run(CoarseDiff)") == [
        "line 1: 'CoarseDiff'",
        "line 1: 'fine_diff'",
    ]
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
