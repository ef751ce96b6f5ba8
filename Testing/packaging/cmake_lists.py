"""The lists of files in the modules' CMakeLists.txt, which Slicer packages by.

    python Testing/packaging/cmake_lists.py

writes them anew from what is in the folders.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("axon_backend", "AXONReconstruction", "AXONTraining")
LISTS = ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")


def files_of(package: str) -> dict[str, list[str]]:
    """The files of a folder that belong into its package, by list, as paths relative to it."""
    folder = ROOT / package
    scripts, resources = [], []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.parts)
        if path.is_dir() or hidden or name.name == "CMakeLists.txt" or path.suffix == ".pyc":
            continue
        (scripts if path.suffix == ".py" else resources).append(name.as_posix())
    return dict(zip(LISTS, (scripts, resources), strict=True))


def listed_in(text: str) -> dict[str, list[str]]:
    """The entries of both lists in the text of a CMakeLists.txt."""
    found = {}
    for name in LISTS:
        match = re.search(rf"^set\({name}\n(.*?)^  \)$", text, re.DOTALL | re.MULTILINE)
        if match is None:
            raise ValueError(f"there is no list set({name} ...)")
        found[name] = match[1].split()
    return found


def rewritten(text: str, files: dict[str, list[str]]) -> str:
    """The text of a CMakeLists.txt with both lists replaced."""
    for name, entries in files.items():
        block = "".join(f"  {entry}\n" for entry in entries)
        pattern = re.compile(rf"^(set\({name}\n).*?^(  \))$", re.DOTALL | re.MULTILINE)
        text = pattern.sub(lambda match, block=block: f"{match[1]}{block}{match[2]}", text)
    return text


def main() -> None:
    for package in PACKAGES:
        path = ROOT / package / "CMakeLists.txt"
        old = path.read_text(encoding="utf-8")
        new = rewritten(old, files_of(package))
        if new != old:
            path.write_text(new, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
