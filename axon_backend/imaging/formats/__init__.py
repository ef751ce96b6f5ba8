"""Registry of the file formats of X-rays and CTs.

Each format is a module with its extensions and readers; file dialogs, messages and help texts are
generated from the registry. To add a format, see :func:`register_format`. Readers import their
libraries only when they are called, so that the registry itself is cheap to import.
"""

from axon_backend.imaging.formats.format import ImageFormat
from axon_backend.imaging.formats.registry import (
    extensions,
    file_patterns,
    find_format,
    list_formats,
    register_format,
    registered_formats,
    volume_formats,
    without_extension,
)

__all__ = [
    "ImageFormat",
    "extensions",
    "file_patterns",
    "find_format",
    "list_formats",
    "register_format",
    "registered_formats",
    "volume_formats",
    "without_extension",
]
