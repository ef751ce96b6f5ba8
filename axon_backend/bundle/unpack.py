"""Unpack bundles from zip files, without trusting the names and sizes in them."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from axon_backend.bundle.layout import CONFIG
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.util.limits import limit

MAX_UNPACKED_MB = ("AXON_MAX_UNPACKED_MB", 4000.0)
_PIECE = 1 << 20
_SPARE_BYTES = 100 << 20  # to leave free on the disk


def unpack_bundle(archive: Path, folder: Path, cancelled: Callable[[], bool] | None = None) -> Path:
    """Unpack ``archive`` into the empty ``folder``; returns the bundle's folder in it.

    The bundle may be at the top level of the archive or in one folder.

    Raises:
        AxonInputError: the file is not a zip file, is damaged, does not contain exactly one bundle,
            contains a link or a name that leads outside, is too large, or does not fit on the disk.
        Cancelled: ``cancelled()`` returned True.
    """
    damaged = f"{archive.name} is not a valid zip file (damaged or incomplete). Get it again."
    try:
        with zipfile.ZipFile(archive) as opened:
            files = [info for info in opened.infolist() if not info.is_dir()]
            for info in files:
                _check_name(info, archive.name)
            root = _root(files, archive.name)
            needed = sum(info.file_size for info in files)
            most = limit(*MAX_UNPACKED_MB)
            if needed > 1e6 * most:
                raise AxonInputError(
                    f"{archive.name} unpacks to {needed / 1e6:.0f} MB, more than the limit of "
                    f"{most:g} MB. If the size is right, raise {MAX_UNPACKED_MB[0]}."
                )
            free = shutil.disk_usage(folder).free
            if needed + _SPARE_BYTES > free:
                raise AxonInputError(
                    f"{archive.name} needs {needed / 1e6:.0f} MB, but {folder} has only "
                    f"{free / 1e6:.0f} MB free. Free some space, or set AXON_HOME to another disk."
                )
            for info in files:
                # Files beside the bundle (__MACOSX) are not unpacked.
                if info.filename.startswith(root):
                    _extract(opened, info, folder / PurePosixPath(info.filename), cancelled)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise AxonInputError(damaged) from error
    except RuntimeError as error:
        if isinstance(error, Cancelled):
            raise
        # zipfile raises RuntimeError if a password is needed
        raise AxonInputError(f"{archive.name} cannot be unpacked: {error}.") from error
    return folder / root if root else folder


def _check_name(info: zipfile.ZipInfo, archive: str) -> None:
    name = info.filename
    path = PurePosixPath(name)
    plain = (
        not path.is_absolute()
        and ".." not in path.parts
        and not set(name) & set("\\:\0")
        and str(path) == name
    )
    if not plain or stat.S_ISLNK(info.external_attr >> 16):
        raise AxonInputError(
            f"{archive} contains {name!r}, which leads outside the bundle. A valid bundle never "
            "does this: do not use the file, and get the bundle from a source that you trust."
        )


def _root(files: list[zipfile.ZipInfo], archive: str) -> str:
    """The bundle's folder in the archive, with a trailing slash; empty at the top level."""
    roots = [i.filename[: -len(CONFIG)] for i in files if f"/{i.filename}".endswith(f"/{CONFIG}")]
    if len(roots) != 1 or roots[0].count("/") > 1:
        found = "no bundle" if not roots else "more than one bundle, or one that is nested deeper"
        raise AxonInputError(
            f"{archive} contains {found} (no single {CONFIG} at the top level or in one folder). "
            "Give the zip file of an AXON bundle."
        )
    return roots[0]


def _extract(
    opened: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    target: Path,
    cancelled: Callable[[], bool] | None,
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        member = opened.open(info)
    except OSError as error:  # the entry points before the start of the file
        raise zipfile.BadZipFile(str(error)) from error
    with member as source, target.open("xb") as file:
        while piece := source.read(_PIECE):
            if cancelled is not None and cancelled():
                raise Cancelled("the import was stopped")
            file.write(piece)
