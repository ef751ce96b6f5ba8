"""A small image of a result, for the summary of a cohort."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from axon_backend.inference.result import Reconstruction

THUMBNAIL = "thumbnail.jpg"
_SIDE = 96


def thumbnail(result: Reconstruction) -> bytes:
    """A JPEG of the frontal view and the middle coronal slice (-1000 to 400 HU), side by side."""
    view = result.views["frontal"].pixels
    view = (view - view.min()) / max(float(np.ptp(view)), 1e-6)
    volume = result.volume
    coronal = np.clip((volume[::-1, volume.shape[1] // 2] + 1000) / 1400, 0, 1)
    size = result.frame.size_mm
    shown = [
        Image.fromarray((image * 255).astype(np.uint8)).resize((width, _SIDE))
        for image, width in ((view, _SIDE), (coronal, round(_SIDE * size[0] / size[2])))
    ]
    page = Image.new("L", (sum(image.width for image in shown), _SIDE))
    page.paste(shown[0], (0, 0))
    page.paste(shown[1], (shown[0].width, 0))
    stream = io.BytesIO()
    page.save(stream, "JPEG", quality=70)
    return stream.getvalue()
