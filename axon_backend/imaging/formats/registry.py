"""The registry of file formats, and the texts that are made from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from axon_backend.imaging.formats import dicom, itk, nifti, raster
from axon_backend.imaging.formats.format import ImageFormat
from axon_backend.util.plugins import load_plugins

#: Packages that bring formats name them in this group of entry points.
ENTRY_POINTS = "axon_backend.formats"

_FORMATS: dict[str, ImageFormat] = {
    format.name: format
    for format in (dicom.DICOM, *raster.FORMATS, nifti.NIFTI, itk.NRRD, itk.METAIMAGE)
}
_plugins_loaded = False


def register_format(format: ImageFormat) -> ImageFormat:
    """Add a format. X-rays and, if it reads volumes, CTs in it can then be given wherever a file
    is, and file dialogs, messages and help name it.

    A package of your own names it as an entry point, which AXON loads by itself::

        # text_xray.py
        import numpy as np
        from axon_backend.imaging.formats import ImageFormat
        from axon_backend.imaging.raw_xray import RawXray

        def read(path, view_given):
            return RawXray(np.loadtxt(path, np.float32))

        format = ImageFormat("text", (".txt",), read_xray=read)

        # pyproject.toml
        [project.entry-points."axon_backend.formats"]
        text = "text_xray:format"

    Raises:
        ValueError: another format has this name or one of the extensions.
    """
    if clash := _clash(format):
        raise ValueError(clash)
    _FORMATS[format.name] = format
    return format


def registered_formats() -> Mapping[str, ImageFormat]:
    """Every format by name: AXON's own, then those added."""
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for plugin in load_plugins(ENTRY_POINTS):
            if not isinstance(plugin, ImageFormat):
                clash = f"{plugin!r} is no ImageFormat"
            else:
                clash = _clash(plugin)
            if clash:
                warnings.warn(
                    f"An entry point of {ENTRY_POINTS} is ignored: {clash}.", stacklevel=2
                )
            else:
                register_format(plugin)
    return _FORMATS


def volume_formats() -> list[ImageFormat]:
    """The formats that hold CTs. X-rays may come in every format."""
    return [f for f in registered_formats().values() if f.read_volume is not None]


def find_format(path: Path) -> ImageFormat | None:
    """The format of a file: by its content where that tells, then by its extension; None when it is
    in no format that AXON reads. Of a file that does not exist the extension alone counts."""
    formats = registered_formats().values()
    exists = path.is_file()
    for format in formats:
        if exists and format.recognise is not None and format.recognise(path):
            return format
    name = path.name.lower()
    for extension in extensions(formats):
        if name.endswith(extension):
            return next(f for f in formats if extension in f.extensions)
    return raster.OTHER if exists and raster.is_image(path) else None


def extensions(formats: Iterable[ImageFormat]) -> list[str]:
    """Their extensions, longest first, so that ``.nii.gz`` is found before ``.gz``."""
    return sorted({e for f in formats for e in f.extensions}, key=lambda e: (-len(e), e))


def without_extension(name: str) -> str:
    """A file's name without the extension of a registered format."""
    for extension in extensions(registered_formats().values()):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def list_formats(formats: Iterable[ImageFormat] | None = None) -> str:
    """Names as a sentence has them, "DICOM, PNG or NIfTI"; of all formats by default."""
    names = [f.name for f in (registered_formats().values() if formats is None else formats)]
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def file_patterns(formats: Iterable[ImageFormat] | None = None) -> str:
    """Patterns as file dialogs take them, "*.dcm *.png"; of all formats by default."""
    chosen = registered_formats().values() if formats is None else formats
    return " ".join(f"*{extension}" for f in chosen for extension in f.extensions)


def _clash(format: ImageFormat) -> str:
    """Why a format cannot be added, or nothing."""
    if format.name in _FORMATS:
        return f"a format named {format.name!r} is registered already"
    for other in _FORMATS.values():
        if shared := set(format.extensions) & set(other.extensions):
            return f"{format.name}: {', '.join(sorted(shared))} is an extension of {other.name}"
    return ""
