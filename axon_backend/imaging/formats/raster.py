"""PNG, JPEG, TIFF, BMP and other formats that Pillow decodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from axon_backend.errors import AxonInputError
from axon_backend.imaging.formats.format import ImageFormat, starts_with

if TYPE_CHECKING:
    from axon_backend.imaging.raw_xray import RawXray


def read_xray(path: Path, view_given: bool) -> RawXray:
    """See :func:`axon_backend.imaging.image_file.read_image`."""
    from axon_backend.imaging.image_file import read_image

    return read_image(path)


def is_image(path: Path) -> bool:
    """Whether Pillow recognises the file."""
    from axon_backend.imaging.image_file import open_image

    try:
        with open_image(path):
            return True
    except AxonInputError:  # too large, which the reader reports
        return True
    except Exception:  # Pillow's decoders raise many types
        return False


FORMATS = (
    ImageFormat("PNG", (".png",), read_xray, recognise=starts_with(b"\x89PNG\r\n\x1a\n")),
    ImageFormat("JPEG", (".jpg", ".jpeg"), read_xray, recognise=starts_with(b"\xff\xd8\xff")),
    ImageFormat("TIFF", (".tif", ".tiff"), read_xray, recognise=starts_with(b"II*\0", b"MM\0*")),
    ImageFormat("BMP", (".bmp",), read_xray),
)
#: Any other format that Pillow reads; it has no extensions and is not listed.
OTHER = ImageFormat("image", (), read_xray)
