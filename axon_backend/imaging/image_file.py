"""X-rays from raster images: PNG, JPEG, TIFF and other formats that Pillow decodes itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from axon_backend.errors import AxonInputError
from axon_backend.imaging.colour import GreyImage, grey_of_colour
from axon_backend.imaging.header_check import check_image
from axon_backend.imaging.raw_xray import RawXray
from axon_backend.util.chatter import no_chatter

NO_PIXEL_SIZE = "no pixel size in the file: the atlas's size is used"
LINEAR_GREY = "grey is taken as linear in attenuation"
# Without formats for which Pillow runs another program (EPS: Ghostscript), and obsolete ones.
_DECODED = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "WEBP", "PPM")
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO, _EXIF_ORIENTATION = 262, 0, 0x0112


def open_image(path: Path) -> Image.Image:
    """Open a file, reading its header, if Pillow decodes its format itself.

    Raises:
        AxonInputError: see ``header_check.check_image``.
        OSError and others: raised by Pillow if the file is not such an image.
    """
    # Pillow has its own limit, which AXON's settings would not change.
    kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        opened = Image.open(path, formats=_DECODED)
    finally:
        Image.MAX_IMAGE_PIXELS = kept
    try:
        check_image(path, opened.height, opened.width, len(opened.getbands()))
    except AxonInputError:
        opened.close()
        raise
    return opened


def read_image(path: Path) -> RawXray:
    """Read a raster image: 8 or 16 bits, grey, or RGB that is essentially grey.

    Transparency, palettes and EXIF orientation are resolved and recorded. The print resolution
    (dpi) is unrelated to the patient and is ignored. Raises `AxonInputError` for colour images,
    several pages and damaged files.
    """
    notes: list[str] = []
    try:
        with open_image(path) as opened:
            pages = sum(1 for _ in zip(range(3), ImageSequence.Iterator(opened), strict=False))
            if pages > 1:
                raise AxonInputError(
                    f"{path.name} holds several images (pages or frames); an X-ray has one. "
                    "Save the page with the X-ray alone."
                )
            opened.seek(0)
            with no_chatter():
                opened.load()
            white_is_zero = (
                opened.format == "TIFF"
                and opened.mode.startswith("I;16")
                and opened.tag_v2.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined]
            )
            if opened.getexif().get(_EXIF_ORIENTATION, 1) != 1:
                notes.append("the image was rotated by its EXIF orientation")
            image = ImageOps.exif_transpose(opened)
    except AxonInputError:
        raise
    except Exception as error:  # Pillow's decoders raise many types
        raise AxonInputError(
            f"{path.name} is not a readable image: it is damaged, cut short or not an image. "
            "Copy or export the X-ray again."
        ) from error

    if image.mode == "1":
        raise AxonInputError(
            f"{path.name} is black and white without greys; an X-ray has at least 8 bits. "
            "Export the X-ray again in grey."
        )
    if image.mode in ("P", "PA"):
        notes.append("the image's palette was converted to grey")
        image = image.convert("RGBA")
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    array = np.asarray(image)
    top = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    values = array.astype(np.float32) / np.float32(top)
    if image.mode in ("LA", "La", "RGBA", "RGBa"):
        alpha, values = values[..., -1:], values[..., :-1]
        if float(alpha.min()) < 1.0:
            notes.append("transparent parts of the image were taken as black")
            values = values * alpha
        else:
            notes.append("the image's (opaque) alpha channel was dropped")
    grey = grey_of_colour(values, path.name) if values.ndim == 3 else GreyImage(values)
    notes += grey.notes
    values = grey.pixels
    if white_is_zero:
        values = values.max() - values
        notes.append("the TIFF stores white as zero: it was shown as white")
    return RawXray(
        values.astype(np.float32),
        notes=(*notes, NO_PIXEL_SIZE, LINEAR_GREY),
        warnings=grey.warnings,
        valid=grey.valid,
    )
