"""Images that are no chest X-ray, made by code: what the content check has to refuse.

Each kind is a function of a random generator and :class:`Sources`. Everything is drawn from the
seed; CTs, projections and photographs come from folders that the caller names, so that training
and testing never share one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

Pixels = np.ndarray  # (H, W) float32, 0 to 1
Rng = np.random.Generator
SIDE = 192  # pixels along the longer side, about
VOXEL_MM = 3.0


@dataclass
class Sources:
    """What the images are made from.

    Attributes:
        cts: HU ``[z, y, x]``, LPS, isotropic voxels of ``VOXEL_MM``.
        frontals, laterals: upright chest X-rays with bright bones.
        photos: files.
    """

    cts: list[np.ndarray] = field(default_factory=list)
    frontals: list[Pixels] = field(default_factory=list)
    laterals: list[Pixels] = field(default_factory=list)
    photos: list[Path] = field(default_factory=list)


def make(kind: str, rng: Rng, sources: Sources) -> Pixels:
    """One image of a kind of ``KINDS``."""
    image = KINDS[kind][1](rng, sources).astype(np.float32)
    low, high = float(image.min()), float(image.max())
    return (image - low) / max(high - low, 1e-6)


def load_ct(path: Path) -> np.ndarray:
    """HU ``[z, y, x]`` at ``VOXEL_MM``, increasing to Superior, Posterior and Left."""
    from axon_backend.imaging.ct import read_ct

    ct = read_ct(path)
    step = [mm / VOXEL_MM for mm in ct.spacing_mm[::-1]]
    smooth = ndimage.gaussian_filter(ct.hu.astype(np.float32), [0.4 / s for s in step])
    return ndimage.zoom(smooth, step, order=1)


# CT slices and slabs


def _windowed(rng: Rng, hu: np.ndarray) -> Pixels:
    level, width = (
        (-600, 1500),
        (40, 400),
        (300, 1500),
        (-200, 2000),
        (0, 1200),
        (50, 350),
    )[rng.integers(6)]
    width = width * rng.uniform(0.7, 1.4)
    return np.clip((hu - level) / width + 0.5, 0, 1)


def _slab(rng: Rng, hu: np.ndarray, axis: int, low: float, high: float) -> np.ndarray:
    """A slice, or the mean or maximum of a slab of up to 36 mm."""
    n = hu.shape[axis]
    at = int(rng.uniform(low, high) * n)
    thick = 1 if rng.random() < 0.7 else int(rng.integers(2, 13))
    part = np.take(hu, range(max(0, at - thick // 2), min(n, at + thick // 2 + 1)), axis)
    return part.max(axis) if rng.random() < 0.4 else part.mean(axis)


def ct_axial(rng: Rng, sources: Sources) -> Pixels:
    hu = sources.cts[rng.integers(len(sources.cts))]
    image = _windowed(rng, _slab(rng, hu, 0, 0.05, 0.95))
    if rng.random() < 0.4:  # the round field of reconstruction, or a square with margins
        pad = int(rng.integers(5, 30))
        image = np.pad(image, pad)
    if rng.random() < 0.15:
        rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
        middle = [(n - 1) / 2 for n in image.shape]
        away = np.hypot(rows - middle[0], columns - middle[1])
        image = np.where(away < max(image.shape) / 2, image, 0)
    return image


def ct_coronal(rng: Rng, sources: Sources) -> Pixels:
    hu = sources.cts[rng.integers(len(sources.cts))]
    return _windowed(rng, _slab(rng, hu, 1, 0.15, 0.85))[::-1]


def ct_sagittal(rng: Rng, sources: Sources) -> Pixels:
    hu = sources.cts[rng.integers(len(sources.cts))]
    return _windowed(rng, _slab(rng, hu, 2, 0.15, 0.85))[::-1]


def ct_projected_along_body(rng: Rng, sources: Sources) -> Pixels:
    """A projection from head to feet, or the maximum over the whole volume."""
    hu = sources.cts[rng.integers(len(sources.cts))]
    if rng.random() < 0.5:
        return np.clip(hu + 1000, 0, None).sum(0)
    image = hu.max(int(rng.integers(3)))
    return np.clip((image - 100) / rng.uniform(500, 1200), 0, 1)[::-1]


# Parts of chests, and several images in one


def _chest(rng: Rng, sources: Sources, frontal: bool | None = None) -> Pixels:
    frontal = rng.random() < 0.5 if frontal is None else frontal
    pool = sources.frontals if frontal else sources.laterals
    image = pool[rng.integers(len(pool))]
    return 1 - image if rng.random() < 0.15 else image


def part_of_chest(rng: Rng, sources: Sources) -> Pixels:
    """A piece of at most a third of an X-ray, or one side or end of a frontal one."""
    frontal = rng.random() < 0.6
    image = _chest(rng, sources, frontal)
    h, w = image.shape
    kind = rng.random()
    if frontal and kind < 0.2:  # one lung
        cut = int(w * rng.uniform(0.38, 0.5))
        return image[:, :cut] if rng.random() < 0.5 else image[:, -cut:]
    if kind < 0.4:  # neck and shoulders, or abdomen
        cut = int(h * rng.uniform(0.2, 0.4))
        return image[:cut] if rng.random() < 0.5 else image[-cut:]
    share = rng.uniform(0.06, 0.33)
    aspect = np.exp(rng.uniform(-0.5, 0.5))
    rows = int(np.clip(h * (share * aspect) ** 0.5, 16, h))
    columns = int(np.clip(w * (share / aspect) ** 0.5, 16, w))
    top, left = rng.integers(h - rows + 1), rng.integers(w - columns + 1)
    return image[top : top + rows, left : left + columns]


def _resized(image: Pixels, rows: int, columns: int) -> Pixels:
    pixels = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(pixels.resize((max(2, columns), max(2, rows)), Image.Resampling.BILINEAR))


def several(rng: Rng, sources: Sources) -> Pixels:
    """Two to six images side by side, above one another or in a grid."""
    rows, columns = ((1, 2), (1, 2), (1, 2), (1, 2), (2, 1), (2, 1), (1, 3), (2, 2), (2, 3))[
        rng.integers(9)
    ]
    kind = rng.random()
    images = []
    for _ in range(rows * columns):
        if kind < 0.75:
            image = _chest(rng, sources)
        elif kind < 0.85:
            image = make("ct_axial", rng, sources)
        else:
            image = (
                make(str(rng.choice(["ct_axial", "ct_coronal", "ct_sagittal"])), rng, sources)
                if rng.random() < 0.5
                else _chest(rng, sources)
            )
        images.append(image)
    if kind < 0.2:  # the same patient twice, as in before and after
        images = [np.array(images[0]) for _ in images]
        if rng.random() < 0.5:
            images[-1] = images[-1][:, ::-1]
    height = 110
    ground = float(rng.choice([0.0, 0.0, 1.0, rng.random()]))
    gap = int(rng.integers(0, 9)) if rng.random() < 0.7 else 0
    width = int(np.median([round(height * i.shape[1] / i.shape[0]) for i in images]))
    same = rng.random() < 0.5  # stretched to one size, or fitted into it
    cells = []
    for image in images:
        cell = np.full((height, width), ground, np.float32)
        if same:
            cell[:] = _resized(image, height, width)
        else:
            scale = min(height / image.shape[0], width / image.shape[1])
            small = _resized(image, *(round(n * scale) for n in image.shape))[:height, :width]
            top, left = ((a - b) // 2 for a, b in zip(cell.shape, small.shape, strict=True))
            cell[top : top + small.shape[0], left : left + small.shape[1]] = small
        cells.append(np.pad(cell, gap, constant_values=ground))
    lines = [np.hstack(cells[r * columns : (r + 1) * columns]) for r in range(rows)]
    return np.vstack(lines)


# X-rays of other parts of the body


def lung_levels(hu: np.ndarray, least: float, offset: float = 0.0) -> np.ndarray:
    """Indices along z of the slices in which more than a share ``least`` (of the most) is lung."""
    air = ((hu < -600) & (hu > -980))[:, 20:-20, 20:-20].mean((1, 2))
    return np.flatnonzero(air > least * air.max() + offset)


def attenuation(hu: np.ndarray) -> np.ndarray:
    """HU as attenuation relative to water, air 0."""
    return np.clip(hu, -1000, 2500) / 1000 + 1


def exposed(rng: Rng, line: np.ndarray) -> Pixels:
    """A projection as displayed: linear in attenuation or in intensity, with a tone curve."""
    line = line / max(float(np.percentile(line, 99)), 1e-6)
    line = np.clip(line, 0, 1.3) ** rng.uniform(0.5, 1.8)
    return 1 - np.exp(-line * rng.uniform(0.5, 4)) if rng.random() < 0.5 else line


def abdomen(rng: Rng, sources: Sources) -> Pixels:
    """What lies below the lungs, from the front or the side; or neck and shoulders above them."""
    for _ in range(20):
        hu = sources.cts[rng.integers(len(sources.cts))]
        lungs = lung_levels(hu, 0.12, 0.01)
        if len(lungs) < 10:
            continue
        below, above = hu[: lungs[0] + 2], hu[lungs[-1] - 2 :]
        part = below if len(below) >= 25 else above
        if len(part) >= 18:
            break
    else:
        part = hu[: max(18, len(hu) // 6)]
    axis = int(rng.integers(1, 3))
    return exposed(rng, attenuation(part).sum(axis)[::-1])


def _capsules(shape: tuple[int, int], bones: list, rng: Rng) -> np.ndarray:
    """The thickness of bones, each a (start, end, radius) capsule with a dense shell."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    total = np.zeros(shape, np.float32)
    for (y0, x0), (y1, x1), radius in bones:
        length = max((y1 - y0) ** 2 + (x1 - x0) ** 2, 1e-3)
        along = np.clip(((rows - y0) * (y1 - y0) + (columns - x0) * (x1 - x0)) / length, 0, 1)
        ends = 1 + 0.5 * np.abs(2 * along - 1) ** 4  # wider at the ends
        away = np.hypot(rows - y0 - along * (y1 - y0), columns - x0 - along * (x1 - x0))
        r = radius * ends
        outer = np.sqrt(np.clip(r**2 - away**2, 0, None))
        inner = np.sqrt(np.clip((0.65 * r) ** 2 - away**2, 0, None))
        total = np.maximum(total, outer - 0.6 * inner)
    return total


def _with_flesh(rng: Rng, bones: np.ndarray, radius: float) -> Pixels:
    flesh = ndimage.gaussian_filter((bones > 0).astype(np.float32), radius) > 0.08
    depth = np.sqrt(ndimage.distance_transform_edt(flesh))
    image = 0.35 * depth / max(float(depth.max()), 1e-3) + bones / max(float(bones.max()), 1e-3)
    image += ndimage.gaussian_filter(rng.normal(0, 1, bones.shape), 1.5) * 0.03
    return exposed(rng, np.clip(image, 0, None))


def hand(rng: Rng, sources: Sources) -> Pixels:
    """Hand or foot."""
    n, bones = 128, []
    wrist = np.array([n * rng.uniform(0.82, 0.95), n * 0.5])
    spread = rng.uniform(0.2, 0.5)
    for finger in range(5):
        angle = (finger - 2) * spread * 0.6 + rng.normal(0, 0.05)
        step = np.array([-np.cos(angle), np.sin(angle)])
        at = wrist + step * n * 0.12
        for part in range(4 if finger else 3):
            size = n * (0.22, 0.15, 0.1, 0.07)[part] * rng.uniform(0.9, 1.1)
            bones.append((at, at + step * size, n * (0.02 - 0.003 * part)))
            at = at + step * (size + n * 0.025)
    for side in (-1, 1):
        bones.append((wrist, wrist + [n * 0.3, side * n * 0.06], n * 0.04))
    for _ in range(8):
        at = wrist + rng.normal(0, n * 0.035, 2)
        bones.append((at, at + rng.normal(0, n * 0.01, 2), n * 0.022))
    return _with_flesh(rng, _capsules((n, n), bones, rng), n * 0.02)


def limb(rng: Rng, sources: Sources) -> Pixels:
    """One or two long bones with a joint: knee, elbow, forearm, lower leg; both legs."""
    n, w = SIDE, int(SIDE * rng.uniform(0.35, 0.9))
    bones = []
    for side in (-1, 1) if rng.random() < 0.3 else (0,):
        x, bend = w * (0.5 + 0.24 * side), rng.normal(0, 0.12)
        joint = n * rng.uniform(0.3, 0.7)
        r = w * rng.uniform(0.05, 0.1) / (1 + abs(side) * 0.5)
        bones.append(((-10, x), (joint, x), r))
        pair = rng.random() < 0.6
        end = (n + 10, x + bend * (n - joint))
        bones.append(((joint + 2.4 * r, x - pair * r), (end[0], end[1] - pair * r), r * 0.8))
        if pair:
            bones.append(((joint + 2.6 * r, x + 1.5 * r), (end[0], end[1] + 1.6 * r), r * 0.45))
        if rng.random() < 0.3:  # patella
            bones.append(((joint, x), (joint + 0.5 * r, x), r * 0.9))
    return _with_flesh(rng, _capsules((n, w), bones, rng), w * 0.07)


def skull(rng: Rng, sources: Sources) -> Pixels:
    """A head from the side or the front, with jaw and neck; or teeth alone."""
    n = 128
    rows, columns = np.mgrid[0:n, 0:n].astype(np.float32) / n
    y, x = rng.uniform(0.38, 0.45), rng.uniform(0.45, 0.55)
    a, b = rng.uniform(0.28, 0.36), rng.uniform(0.27, 0.42)
    r = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2
    r2 = ((rows - y) / (a - 0.03)) ** 2 + ((columns - x) / (b - 0.03)) ** 2
    image = np.sqrt(np.clip(1 - r, 0, None)) - 0.75 * np.sqrt(np.clip(1 - r2, 0, None))
    face = rng.uniform(-0.2, 0.2)
    for _ in range(rng.integers(6, 14)):  # orbits, sinuses, jaw
        cy, cx = y + a * rng.uniform(0.2, 1.1), x + face + rng.normal(0, 0.12)
        s = rng.uniform(0.02, 0.1)
        blob = ((rows - cy) / s) ** 2 + ((columns - cx) / (s * rng.uniform(0.7, 2))) ** 2 < 1
        image = image + ndimage.gaussian_filter(blob.astype(np.float32), 2) * rng.uniform(-0.3, 0.4)
    bones = [
        ((n * (y + a * 0.8 + 0.07 * k), n * (x - face * 0.5)),) * 2 + (n * 0.04,) for k in range(7)
    ]
    image = image + 0.02 * _capsules((n, n), bones, rng)
    image -= image.min()
    image[(r > 1.05) & (np.abs(columns - x + face * 0.5) > 0.2)] *= 0.2
    if rng.random() < 0.25:  # a panoramic or a single row of teeth
        image = np.zeros((n // 2, n), np.float32)
        for k in range(int(rng.integers(8, 17))):
            for side, top in ((1, 0.3), (-1, 0.7)):
                cx = (k + 1) / 18 + rng.normal(0, 0.005)
                cy = top + 0.1 * np.cos((cx - 0.5) * 4) * side
                d = ((rows[: n // 2] * 2 - cy) / 0.17) ** 2
                d += ((columns[: n // 2] - cx) / 0.026) ** 2
                image += np.clip(1 - d, 0, 1) * rng.uniform(0.6, 1)
        image += 0.4 * np.exp(-(((rows[: n // 2] * 2 - 0.5) / 0.4) ** 2))
    return exposed(rng, np.clip(image + rng.normal(0, 0.01, image.shape), 0, None))


def _texture(rng: Rng, shape: tuple[int, int], coarse: float, power: float = 1.6) -> Pixels:
    """Noise of a power-law spectrum, 0 to 1."""
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    spectrum = np.fft.rfft2(rng.normal(0, 1, shape)) / (f + coarse) ** power
    image = np.fft.irfft2(spectrum, shape)
    image -= image.min()
    return (image / max(float(image.max()), 1e-9)).astype(np.float32)


def mammogram(rng: Rng, sources: Sources) -> Pixels:
    """A breast at one edge, cranio-caudal or oblique with the pectoral muscle; or both."""
    h, w = SIDE, int(SIDE * rng.uniform(0.6, 0.9))
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    y, a, b = h * rng.uniform(0.4, 0.6), h * rng.uniform(0.28, 0.48), w * rng.uniform(0.5, 0.9)
    inside = ((rows - y) / a) ** 2 + (columns / b) ** 2
    glands = _texture(rng, (h, w), 0.02) * np.clip(1 - inside, 0, 1) ** rng.uniform(0.3, 1)
    image = np.where(inside < 1, 0.25 + np.clip(1 - inside, 0, 0.2) + glands, 0)
    if rng.random() < 0.5:
        image = image + (rows < h * 0.6 - columns * rng.uniform(0.8, 2)) * rng.uniform(0.2, 0.5)
    image = np.clip(image + (image > 0) * rng.normal(0, 0.01, image.shape), 0, None)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.15:
        image = np.hstack([image[:, ::-1], image])
    return image ** rng.uniform(0.6, 1.5)


def spine(rng: Rng, sources: Sources) -> Pixels:
    """A narrow strip around the spine, or vertebrae drawn one above another."""
    if sources.cts and rng.random() < 0.5:
        hu = sources.cts[rng.integers(len(sources.cts))]
        image = exposed(rng, attenuation(hu).sum(1)[::-1])
        w = image.shape[1]
        half = int(w * rng.uniform(0.08, 0.15))
        return image[:, w // 2 - half : w // 2 + half]
    n, w = SIDE, int(SIDE * rng.uniform(0.3, 0.7))
    bones, bend = [], rng.normal(0, 0.15)
    count = int(rng.integers(5, 12))
    for k in range(count):
        y = n * (k + 0.5) / count
        x = w * (0.5 + bend * np.sin(y / n * 3))
        r = n / count * 0.38
        bones.append(((y, x - r), (y, x + r), r * 0.8))
        bones.append(((y + r, x + 2 * r), (y + 2 * r, x + 3 * r), r * 0.3))
    return _with_flesh(rng, _capsules((n, w), bones, rng), w * 0.1)


# Other medical images


def ultrasound(rng: Rng, sources: Sources) -> Pixels:
    n = SIDE
    rows, columns = np.mgrid[0:n, 0:n].astype(np.float32)
    x, y = columns - n / 2, rows + n * rng.uniform(0, 0.4)
    fan = (np.abs(np.arctan2(x, y)) < rng.uniform(0.4, 0.9)) & (np.hypot(x, y) < n * 1.05)
    fan &= np.hypot(x, y) > n * 0.25
    speckle = _texture(rng, (n, n), 0.02, 1.2) * rng.gamma(2, 0.5, (n, n))
    return np.clip(speckle, 0, 1) * fan


def mri(rng: Rng, sources: Sources) -> Pixels:
    """A slice through a head, by ellipses."""
    n = SIDE
    rows, columns = np.mgrid[0:n, 0:n].astype(np.float32) / n - 0.5
    turn = rng.normal(0, 0.1)
    y = rows * np.cos(turn) - columns * np.sin(turn)
    x = rows * np.sin(turn) + columns * np.cos(turn)
    a, b = rng.uniform(0.36, 0.46), rng.uniform(0.3, 0.4)
    r = np.sqrt((y / a) ** 2 + (x / b) ** 2)
    image = np.where(r < 1, 0.8, 0.0)
    image[r < 0.93] = 0.05
    folds = _texture(rng, (n, n), 0.05, 2.2)
    brain = 0.35 + 0.4 * (folds > 0.5) + 0.1 * folds
    image = np.where(r < 0.88, brain, image)
    for side in (-1, 1):
        cavity = ((y + 0.02) / 0.12) ** 2 + ((x - side * 0.05) / 0.03) ** 2
        image = np.where(cavity < 1, rng.choice([0.05, 0.95]), image)
    return np.clip(ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 0.02, image.shape), 0, 1)


def microscopy(rng: Rng, sources: Sources) -> Pixels:
    n = SIDE
    image = _texture(rng, (n, n), 0.03) * 0.3
    for _ in range(int(rng.integers(10, 120))):
        cy, cx, s = *rng.uniform(0, n, 2), rng.uniform(2, 14)
        rows, columns = np.ogrid[0:n, 0:n]
        d = ((rows - cy) / s) ** 2 + ((columns - cx) / (s * rng.uniform(0.6, 1.4))) ** 2
        image = np.maximum(image, np.clip(1.2 - d, 0, 1) * rng.uniform(0.4, 1))
    return image


# Photographs, drawings, text, screens


def photo(rng: Rng, sources: Sources) -> Pixels:
    path = sources.photos[rng.integers(len(sources.photos))]
    with Image.open(path) as opened:
        opened.draft("L", (600, 600))
        image = opened.convert("RGBA" if opened.mode in ("P", "PA", "LA") else "RGB").convert("L")
    w, h = image.size
    share = rng.uniform(0.35, 1.0) if min(w, h) > 150 else 1.0
    cw, ch = int(w * share), int(h * rng.uniform(0.8, 1.0) * share)
    left, top = rng.integers(w - cw + 1), rng.integers(h - ch + 1)
    part = image.crop((left, top, left + cw, top + ch))
    part.thumbnail((SIDE, SIDE))
    return np.asarray(part, np.float32) / 255


def _font(rng: Rng, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text(rng: Rng, sources: Sources) -> Pixels:
    """A page, a table or a form."""
    size = (int(rng.integers(140, 260)), int(rng.integers(140, 260)))
    image = Image.new("L", size, 255)
    draw, font = ImageDraw.Draw(image), _font(rng, int(rng.integers(7, 22)))
    y = 5
    while y < size[1]:
        letters = "".join(rng.choice(list("abcdefghij klmnop qrstuvw xyz 0123456789.,"), 60))
        draw.text((rng.integers(2, 12), y), letters, fill=int(rng.integers(0, 120)), font=font)
        y += int(font.size * rng.uniform(1.1, 2.0))
    if rng.random() < 0.4:
        for k in range(5):
            draw.line((0, k * size[1] // 5, size[0], k * size[1] // 5), fill=100)
            draw.line((k * size[0] // 5, 0, k * size[0] // 5, size[1]), fill=100)
    image_array = np.asarray(image, np.float32) / 255
    return 1 - image_array if rng.random() < 0.3 else image_array


def drawing(rng: Rng, sources: Sources) -> Pixels:
    """Lines, boxes, circles, curves; as line art or filled."""
    n = SIDE
    image = Image.new("L", (n, int(n * rng.uniform(0.6, 1.4))), int(rng.choice([0, 255, 200])))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 40))):
        points = [tuple(rng.integers(0, n, 2).tolist()) for _ in range(int(rng.integers(2, 7)))]
        grey, kind = int(rng.integers(0, 256)), rng.integers(4)
        xs, ys = sorted(p[0] for p in points), sorted(p[1] for p in points)
        box = (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
        fill = grey if rng.random() < 0.5 else None
        if kind == 0:
            draw.line(points, fill=grey, width=int(rng.integers(1, 6)))
        elif kind == 1:
            draw.rectangle(box, fill=fill, outline=grey)
        elif kind == 2:
            draw.ellipse(box, fill=fill, outline=grey)
        else:
            draw.text(points[0], "Axgrph 12", fill=grey, font=_font(rng, int(rng.integers(8, 40))))
    return np.asarray(image, np.float32) / 255


def plot(rng: Rng, sources: Sources) -> Pixels:
    """Curves, bars or points between two axes."""
    w, h = int(rng.integers(150, 260)), int(rng.integers(120, 220))
    image = Image.new("L", (w, h), 255)
    draw = ImageDraw.Draw(image)
    draw.line((20, 5, 20, h - 15), fill=0)
    draw.line((20, h - 15, w - 5, h - 15), fill=0)
    x = np.linspace(20, w - 5, 60)
    for _ in range(int(rng.integers(1, 5))):
        y = h / 2 + np.cumsum(rng.normal(0, h / 25, 60))
        y = np.clip(y, 5, h - 16)
        grey, kind = int(rng.integers(0, 160)), rng.integers(3)
        if kind == 0:
            draw.line(list(zip(x, y, strict=True)), fill=grey, width=int(rng.integers(1, 4)))
        elif kind == 1:
            for a, b in zip(x[::5], y[::5], strict=True):
                draw.rectangle((a, b, a + 6, h - 15), fill=grey)
        else:
            for a, b in zip(x, y, strict=True):
                draw.ellipse((a - 2, b - 2, a + 2, b + 2), fill=grey)
    return np.asarray(image, np.float32) / 255


def screen(rng: Rng, sources: Sources) -> Pixels:
    """Windows, panels, icons and words of a program, without a chest X-ray."""
    w, h = int(rng.integers(200, 300)), int(rng.integers(130, 200))
    image = Image.new("L", (w, h), int(rng.integers(20, 250)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(4, 25))):
        x, y = int(rng.integers(0, w)), int(rng.integers(0, h))
        a, b = int(rng.integers(8, w // 2)), int(rng.integers(4, h // 2))
        draw.rectangle((x, y, x + a, y + b), fill=int(rng.integers(0, 256)))
        for k in range(int(rng.integers(0, 6))):
            draw.text(
                (x + 2, y + 9 * k),
                "File Edit View"[: rng.integers(3, 14)],
                fill=int(rng.integers(0, 256)),
                font=_font(rng, 8),
            )
    return np.asarray(image, np.float32) / 255


# Patterns and noise


def pattern(rng: Rng, sources: Sources) -> Pixels:
    """Test patterns: bars, checks, rings, wedges, line pairs, zone plates."""
    h, w = SIDE, int(SIDE * rng.uniform(0.6, 1.4))
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    y, x, kind = rows / h - 0.5, columns / w - 0.5, rng.integers(8)
    n = int(rng.integers(2, 20))
    turn = rng.uniform(0, np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    if kind == 0:
        return ((np.floor(x * n) + np.floor(y * n)) % 2) * rng.uniform(0.3, 1) + 0.2 * x
    if kind == 1:
        return np.floor(along * n) / n
    if kind == 2:
        return np.sin(along * 2 * np.pi * n)
    if kind == 3:
        return np.cos(np.hypot(x, y) * 2 * np.pi * n)
    if kind == 4:
        return np.cos((x**2 + y**2) * np.pi * n * 8)
    if kind == 5:  # grey wedge, circles, corner marks
        image = np.floor((x + 0.5) * n) / n
        image = np.where(np.hypot(x, y) < 0.3, 1 - image, image)
        return np.where(np.abs(np.hypot(x, y) - 0.42) < 0.01, 1, image)
    if kind == 6:
        return (np.sin(x * n * 6) > 0).astype(float) * (np.sin(y * n * 6) > 0) + 0.1 * along
    return np.arctan2(y, x) * n % (2 * np.pi)


def gradient(rng: Rng, sources: Sources) -> Pixels:
    """Smooth ramps, bumps and vignettes with a little noise."""
    h, w = SIDE, int(SIDE * rng.uniform(0.6, 1.4))
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    image = sum(c * t for c, t in zip(rng.normal(0, 1, 5), (x, y, x * y, x**2, y**2), strict=True))
    for _ in range(int(rng.integers(0, 4))):
        cy, cx, s = *rng.uniform(-1, 1, 2), rng.uniform(0.1, 0.7)
        image = image + rng.normal(0, 2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / s**2)
    return image + rng.normal(0, 1, (h, w)) * rng.choice([0, 0.02, 0.2])


def noise(rng: Rng, sources: Sources) -> Pixels:
    """White to cloudy noise."""
    h, w = SIDE, int(SIDE * rng.uniform(0.6, 1.4))
    kind = rng.random()
    if kind < 0.3:
        image = rng.random((h, w)).astype(np.float32)
        return image if kind < 0.15 else (image > 0.5) * 0.7 + 0.3 * image
    image = _texture(rng, (h, w), rng.uniform(0.001, 0.05), rng.uniform(0.5, 3))
    return image if rng.random() < 0.7 else np.abs(image - 0.5)


def blobs(rng: Rng, sources: Sources) -> Pixels:
    """Ellipses of any density added up, as in a phantom that is no chest."""
    h, w = SIDE, int(SIDE * rng.uniform(0.6, 1.3))
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    image = np.zeros((h, w))
    for _ in range(int(rng.integers(2, 14))):
        cy, cx, a, b = *rng.uniform(-0.9, 0.9, 2), *rng.uniform(0.05, 0.8, 2)
        t = rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(t) + (y - cy) * np.sin(t)
        v = -(x - cx) * np.sin(t) + (y - cy) * np.cos(t)
        d = np.clip(1 - (u / a) ** 2 - (v / b) ** 2, 0, None)
        image += rng.normal(0.3, 1) * (np.sqrt(d) if rng.random() < 0.6 else d > 0)
    return ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 0.02, image.shape)


# What it looks like instead (as `axon_backend.imaging.content.KINDS`), and how it is made.
KINDS: dict[str, tuple[str, Callable[[Rng, Sources], Pixels]]] = {
    "ct_axial": ("slice", ct_axial),
    "ct_coronal": ("slice", ct_coronal),
    "ct_sagittal": ("slice", ct_sagittal),
    "ct_projected_along_body": ("slice", ct_projected_along_body),
    "part_of_chest": ("part", part_of_chest),
    "several": ("several", several),
    "abdomen": ("body", abdomen),
    "hand": ("body", hand),
    "limb": ("body", limb),
    "skull": ("body", skull),
    "mammogram": ("body", mammogram),
    "spine": ("body", spine),
    "ultrasound": ("medical", ultrasound),
    "mri": ("medical", mri),
    "microscopy": ("medical", microscopy),
    "photo": ("photo", photo),
    "text": ("photo", text),
    "drawing": ("photo", drawing),
    "plot": ("photo", plot),
    "screen": ("photo", screen),
    "pattern": ("pattern", pattern),
    "gradient": ("pattern", gradient),
    "noise": ("pattern", noise),
    "blobs": ("pattern", blobs),
}
