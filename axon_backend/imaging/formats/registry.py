"""The registry of file formats, and texts generated from it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from axon_backend.imaging.formats import dicom, itk, nifti, raster
from axon_backend.imaging.formats.format import ImageFormat
from axon_backend.util.plugins import load_plugins

#: Group of entry points by which packages provide formats.
ENTRY_POINTS = "axon_backend.formats"

_FORMATS: dict[str, ImageFormat] = {
    format.name: format
    for format in (dicom.DICOM, *raster.FORMATS, nifti.NIFTI, itk.NRRD, itk.METAIMAGE)
}
_plugins_loaded = False


def register_format(format: ImageFormat) -> ImageFormat:
    """Add a format. X-rays and, if it reads volumes, CTs can then be given in it wherever a file
    is accepted, and file dialogs, messages and help texts list it.

    Your own package can declare it as an entry point, which AXON loads automatically::

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
        ValueError: another format already has this name or one of the extensions.
    """
    if clash := _clash(format):
        raise ValueError(clash)
    _FORMATS[format.name] = format
    return format


def registered_formats() -> Mapping[str, ImageFormat]:
    """All formats by name: the built-in ones, then those added."""
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for plugin in load_plugins(ENTRY_POINTS):
            if not isinstance(plugin, ImageFormat):
                clash = f"{plugin!r} is not an ImageFormat"
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
    """The formats for CTs; X-rays may be in any format."""
    return [f for f in registered_formats().values() if f.read_volume is not None]


def find_format(path: Path) -> ImageFormat | None:
    """The format of a file, by its content if that is recognised, else by its extension; None if
    AXON cannot read it. For a file that does not exist, only the extension counts."""
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
    """The formats' extensions, longest first, so that ``.nii.gz`` is found before ``.gz``."""
    return sorted({e for f in formats for e in f.extensions}, key=lambda e: (-len(e), e))


def without_extension(name: str) -> str:
    """A file's name without the extension of a registered format."""
    for extension in extensions(registered_formats().values()):
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def list_formats(formats: Iterable[ImageFormat] | None = None) -> str:
    """Names for use in a sentence, "DICOM, PNG or NIfTI"; by default of all formats."""
    names = [f.name for f in (registered_formats().values() if formats is None else formats)]
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def file_patterns(formats: Iterable[ImageFormat] | None = None) -> str:
    """Patterns for file dialogs, "*.dcm *.png"; by default of all formats."""
    chosen = registered_formats().values() if formats is None else formats
    return " ".join(f"*{extension}" for f in chosen for extension in f.extensions)


def _clash(format: ImageFormat) -> str:
    """The reason why a format cannot be added, or an empty string."""
    if format.name in _FORMATS:
        return f"a format named {format.name!r} is already registered"
    for other in _FORMATS.values():
        if shared := set(format.extensions) & set(other.extensions):
            return f"{format.name}: {', '.join(sorted(shared))} is an extension of {other.name}"
    return ""
