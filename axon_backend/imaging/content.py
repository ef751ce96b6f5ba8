"""Classification of an image as a chest X-ray, with its view and orientation, or something else.

A small convolutional network is applied to the whole image at 64 x 64 pixels in all eight
orientations, and the results are averaged. Its weights are in ``content.safetensors``; their
training data and accuracy are described in ``content.md``. The network runs in NumPy, so that
reading an X-ray does not require importing a deep-learning framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from axon_backend.imaging.turn import TURNS, Turn, reoriented

WEIGHTS = Path(__file__).with_name("content.safetensors")
INPUT = 64  # pixels along the longer side; the shorter one is padded
# Kinds of images other than chest X-rays, in the order of the network's outputs.
KINDS = {
    "slice": "a CT slice",
    "several": "several images in one",
    "photo": "a photograph, a drawing or text",
    "pattern": "a pattern or noise",
    "part": "a part of a chest only",
    "body": "an X-ray of another part of the body",
    "medical": "another medical image",
}
STRIDES = (2, 2, 1, 2, 1, 2)  # of the convolutions
CHEST = 0.45  # minimum probability of a chest X-ray; from the validation data, see ``content.md``


@dataclass(frozen=True)
class Content:
    """The network's result for an image.

    Attributes:
        upright: (2, 8) probabilities that the image is a frontal (row 0) or lateral (row 1) chest
            X-ray that needs each turn of ``TURNS`` to be upright.
        kinds: (7,) probabilities of ``KINDS``.
        dark: probability that bones are dark.
    """

    upright: np.ndarray
    kinds: np.ndarray
    dark: float

    @property
    def chest(self) -> float:
        """Probability that the image is a single chest X-ray."""
        return float(self.upright.sum())

    @property
    def likeliest(self) -> str:
        """The most likely of ``KINDS``."""
        return list(KINDS)[int(self.kinds.argmax())]

    @property
    def frontal(self) -> float:
        """Probability that the image is a frontal X-ray, given that it is a chest X-ray."""
        return float(self.upright[0].sum() / max(self.chest, 1e-9))


def see(image: np.ndarray) -> Content:
    """Classify an image (H, W) in any grey scale, without uniform borders."""
    small = network_input(image)
    copies = np.stack([reoriented(small, turn) for turn in TURNS])
    logits, dark = _run(copies)
    kinds = logits[:, 16:].mean(0)
    # The orientations found for each copy are mapped back to those of the image.
    aligned = [logits[k, :16].reshape(2, 8)[:, _order(turn)] for k, turn in enumerate(TURNS)]
    total = np.concatenate([np.mean(aligned, 0).ravel(), kinds])
    probability = np.exp(total - total.max())
    probability /= probability.sum()
    return Content(
        probability[:16].reshape(2, 8), probability[16:], float(1 / (1 + np.exp(-dark.mean())))
    )


def network_input(image: np.ndarray) -> np.ndarray:
    """(2, 64, 64): the image in the middle of zeros, as grey in [-1, 1] and as local contrast."""
    h, w = image.shape
    rows, columns = (max(8, round(n * INPUT / max(h, w))) for n in (h, w))
    pixels = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return normalised(np.asarray(pixels.resize((columns, rows), Image.Resampling.BILINEAR)))


def normalised(small: np.ndarray) -> np.ndarray:
    """`network_input` of an image of at most 64 x 64 pixels."""
    low, high = np.percentile(small, (1, 99))
    grey = np.clip((small - low) / max(high - low, 1e-6), -0.2, 1.2) * 2 - 1
    mean = ndimage.uniform_filter(grey, 13, mode="nearest")
    variance = ndimage.uniform_filter((grey - mean) ** 2, 13, mode="nearest")
    spread = np.sqrt(np.maximum(variance, 0))  # rounding makes it negative
    (rows, columns), made = small.shape, np.zeros((2, INPUT, INPUT), np.float32)
    top, left = (INPUT - rows) // 2, (INPUT - columns) // 2
    made[0, top : top + rows, left : left + columns] = grey
    made[1, top : top + rows, left : left + columns] = (grey - mean) / (spread + 0.1)
    return made


@cache
def _order(turn: Turn) -> list[int]:
    """For each of ``TURNS``: the index of the output, for a copy of the image reoriented by
    ``turn``, that corresponds to it for the image itself."""
    mark = np.arange(4).reshape(2, 2)  # two by two pixels distinguish all eight orientations
    seen = {reoriented(mark, t).tobytes(): k for k, t in enumerate(TURNS)}
    return [
        seen[np.ascontiguousarray(reoriented(reoriented(mark, t), turn)).tobytes()] for t in TURNS
    ]


@cache
def _weights() -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return {name: a.astype(np.float32) for name, a in load_file(WEIGHTS).items()}


def _run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 23) of orientations and kinds, and (N,) of dark bones, for (N, 2, 64, 64)."""
    weights, x = _weights(), images
    for layer, stride in enumerate(STRIDES):
        x = _convolve(x, weights[f"conv{layer}.weight"], weights[f"conv{layer}.bias"], stride)
        np.maximum(x, 0, out=x)
    out = x.reshape(len(x), -1) @ weights["head.weight"].T + weights["head.bias"]
    return out[:, :-1], out[:, -1]


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """(N, C, H, W) by (O, C, 3, 3), zeros around, to (N, O, H // stride, W // stride)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    made = np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3)))  # (N, H, W, O)
    return np.ascontiguousarray(np.moveaxis(made + bias, 3, 1))
