"""What the Slicer modules take from the backend by name exists: no type checker sees it."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    path
    for lib in ("AXONReconstruction", "AXONTraining")
    for path in sorted((ROOT / lib).rglob("*.py"))
]


def loaded(node: ast.AST) -> str | None:
    """The module's name of a call such as ``backend.load("imaging.ct")``."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("load", "loadLight")
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ):
        return node.args[0].value
    return None


def taken(path: Path) -> set[tuple[str, str]]:
    """(module, attribute) that a file takes, by a call or by a variable that holds the module."""
    found: set[tuple[str, str]] = set()
    tree = ast.parse(path.read_text("utf-8"))
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef | ast.Module):
            continue
        names = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and loaded(node.value):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        names[target.id] = loaded(node.value)
        for node in ast.walk(scope):
            if not isinstance(node, ast.Attribute):
                continue
            module = loaded(node.value)
            if module is None and isinstance(node.value, ast.Name):
                module = names.get(node.value.id)
            if module is not None:
                found.add((module, node.attr))
    return found


@pytest.mark.parametrize("path", [p for p in FILES if taken(p)], ids=lambda p: p.stem)
def test_names_exist(path):
    missing = [
        f"axon_backend.{module}.{name}"
        for module, name in sorted(taken(path))
        if not hasattr(importlib.import_module(f"axon_backend.{module}"), name)
    ]
    assert not missing


def test_some_are_found():
    assert sum(len(taken(path)) for path in FILES) > 60
