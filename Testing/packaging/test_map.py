"""The map in CONTRIBUTING.md shows the tree as it is, and the import contracts follow the map."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BACKEND = ROOT / "axon_backend"
LIB = ROOT / "AXONReconstruction" / "AXONReconstructionLib"


def rows_below(sentence: str) -> list[str]:
    """The first column of the table below a sentence of CONTRIBUTING.md that begins so."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    found = re.search(rf"^{re.escape(sentence)}[^\n]*\n\n((?:\|[^\n]*\n)+)", text, re.MULTILINE)
    assert found, sentence
    return re.findall(r"^\| `([^`]+)` \|", found[1], re.MULTILINE)


def packages(folder: Path) -> set[str]:
    return {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}


def layers(container: str) -> list[str]:
    """The layers of an import contract, from the top, those beside one another in one entry."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    found = re.search(rf'containers = \["{container}"\].*?layers = \[(.*?)\]', text, re.DOTALL)
    assert found, container
    return [name.strip("()") for name in re.findall(r'"([^"]+)"', found[1])]


def test_packages_of_the_backend():
    rows = rows_below("Packages of `axon_backend/`")
    modules = {p.name for p in BACKEND.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert set(rows) == packages(BACKEND) | modules
    assert len(rows) == len(set(rows))


def test_packages_of_the_slicer_module():
    rows = rows_below("Packages of `AXONReconstruction/AXONReconstructionLib/`")
    assert set(rows) == packages(LIB)
    assert [row.strip("/") for row in rows] == layers("AXONReconstructionLib")


def test_imports_are_allowed_in_the_order_of_the_map():
    """The table runs from the ground up, the contract from the top down; packages that share an
    entry of the contract may stand in any order."""
    rows = [row.removesuffix("/").removesuffix(".py") for row in rows_below("Packages of `axon_b")]
    level = {
        name: height
        for height, entry in enumerate(reversed(layers("axon_backend")))
        for name in entry.split(" | ")
    }
    assert set(rows) <= set(level)
    heights = [level[row] for row in rows]
    assert heights == sorted(heights)


def test_tests_mirror_the_packages():
    mirrored = {f"{p.name}/" for p in (ROOT / "Testing").iterdir() if any(p.glob("**/test_*.py"))}
    assert packages(BACKEND) <= mirrored


def test_tests_mirror_the_slicer_modules():
    tests = ROOT / "Testing" / "slicer"
    mirrored = {f"{p.name}/" for p in tests.iterdir() if any(p.glob("**/test_*.py"))}
    assert mirrored == packages(LIB) | {"training/"}
