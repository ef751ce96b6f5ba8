"""Bundles in zip files: unpacked without trusting a single name in them."""

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
_SPARE_BYTES = 100 << 20  # left free on the disk


def unpack_bundle(archive: Path, folder: Path, cancelled: Callable[[], bool] | None = None) -> Path:
    """Unpack ``archive`` into the empty ``folder``; returns the bundle's folder in it.

    The bundle may lie at the top of the archive or in one folder.

    Raises:
        AxonInputError: no zip file, damaged, no bundle in it, a name that leads outside, a link,
            or not enough room on the disk.
        Cancelled: ``cancelled()`` was true.
    """
    damaged = f"{archive.name} is not a sound zip file (damaged or cut short). Get it again."
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
                    f"{most:g} MB. If that is right, set {MAX_UNPACKED_MB[0]} higher."
                )
            free = shutil.disk_usage(folder).free
            if needed + _SPARE_BYTES > free:
                raise AxonInputError(
                    f"{archive.name} needs {needed / 1e6:.0f} MB, but {folder} has only "
                    f"{free / 1e6:.0f} MB free. Make room, or set AXON_HOME to another disk."
                )
            for info in files:
                # What lies beside the bundle (__MACOSX) is not unpacked.
                if info.filename.startswith(root):
                    _extract(opened, info, folder / PurePosixPath(info.filename), cancelled)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise AxonInputError(damaged) from error
    except RuntimeError as error:
        if isinstance(error, Cancelled):
            raise
        # zipfile's way to say that a password is needed
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
            f"{archive} holds {name!r}, which leads outside of the bundle. A sound bundle never "
            "does this: do not use the file, and get the bundle from a source you trust."
        )


def _root(files: list[zipfile.ZipInfo], archive: str) -> str:
    """The bundle's folder in the archive, ending with a slash, or an empty text."""
    roots = [i.filename[: -len(CONFIG)] for i in files if f"/{i.filename}".endswith(f"/{CONFIG}")]
    if len(roots) != 1 or roots[0].count("/") > 1:
        found = "no bundle" if not roots else "not one bundle at its top or in one folder"
        raise AxonInputError(
            f"{archive} holds {found} (no single {CONFIG}). Give the zip file of an AXON bundle."
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
    except OSError as error:  # its entry points before the start of the file
        raise zipfile.BadZipFile(str(error)) from error
    with member as source, target.open("xb") as file:
        while piece := source.read(_PIECE):
            if cancelled is not None and cancelled():
                raise Cancelled("the import was stopped")
            file.write(piece)
