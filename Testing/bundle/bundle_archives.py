"""Bundles as zip files, sound and hostile; and what lies in the library."""

import zipfile
from pathlib import Path


def zipped(bundle, path: Path, inside: str = "") -> Path:
    """The bundle as a zip file, in the folder ``inside`` of the archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(bundle.path.rglob("*")):
            if file.is_file():
                archive.write(file, inside + file.relative_to(bundle.path).as_posix())
    return path


def with_extra(path: Path, name: str, content: bytes = b"x", mode: int = 0) -> Path:
    """The zip file with one entry more."""
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return path


def imported(library: Path) -> list[str]:
    """Everything in the library, hidden files too."""
    return sorted(p.name for p in library.iterdir()) if library.is_dir() else []
