"""Is it a chest X-ray at all: trains the network of ``imaging/content.py``, and measures it.

    python Testing/benchmarks/content.py fit --data DATA --photos FOLDER ... [--images N]
    python Testing/benchmarks/content.py measure --data DATA --out results/content.json
    python Testing/benchmarks/content.py refuse --data DATA --photos FOLDER ... \\
        --out results/content_refused.json

``fit`` takes the projections, CTs and clinical X-rays of the train split only, and images of
other things from the folders; it chooses nothing by the test split. ``measure`` reads the clinical
X-rays and the projections of the test split with turned, mirrored, inverted, tinted and framed
copies. ``refuse`` reads 1,000 images of ``not_chests.py``, made from other CTs and other images
than those of the training, and CTs with wrong headers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import not_chests
import numpy as np
import torch
import torch.nn.functional as F
from not_chests import VOXEL_MM, Pixels, Rng, Sources
from orientation import is_prone, projection_files
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from scipy import ndimage
from torch import nn

from axon_backend.errors import AxonInputError
from axon_backend.imaging import content
from axon_backend.imaging.borders import crop_border
from axon_backend.imaging.content import INPUT, KINDS, normalised
from axon_backend.imaging.ct_orientation import recognise_ct, reversed_axes
from axon_backend.imaging.layout import thumbnail
from axon_backend.imaging.radiograph import MIN_PIXELS, Radiograph, read_radiograph
from axon_backend.imaging.scene import radiograph_from_pixels
from axon_backend.imaging.turn import TURNS, Turn, reoriented
from axon_backend.imaging.write import write_text

CACHED = 160  # pixels along the longer side of what the training keeps in memory
MEASURED = 320  # and of what is measured
WIDTHS = (16, 32, 32, 64, 96, 128)
BATCH, COPIES, RATE = 128, 2, 2.5e-3
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# How many of each kind the training draws from.
COUNTS = {
    "ct_axial": 450, "ct_coronal": 750, "ct_sagittal": 600, "ct_projected_along_body": 300,
    "part_of_chest": 1700, "several": 1100, "abdomen": 300, "hand": 80, "limb": 300, "skull": 120,
    "mammogram": 200, "spine": 150, "ultrasound": 60, "mri": 80, "microscopy": 50, "photo": 800,
    "text": 100, "drawing": 450, "plot": 80, "screen": 120, "pattern": 150, "gradient": 150,
    "noise": 150, "blobs": 350,
}  # fmt: skip


# Data


def clinical_files(data: Path, part: str) -> list[Path]:
    """The clinical frontal X-rays of a part: five in eight for training, one for validation, two
    for the test."""
    found = sorted((data / "xray").iterdir())
    files = [p for p in found if p.suffix != ".json" and "scout" not in p.name]
    parts = ("train", "test", "train", "validation", "train", "test", "train", "train")
    return [p for k, p in enumerate(files) if parts[k % 8] == part]


def clinical(data: Path, part: str, side: int = CACHED) -> dict[str, Pixels]:
    """`clinical_files`, read as they are stored (all are upright)."""
    files = clinical_files(data, part)
    return {p.name: cached(read_radiograph(p, flip=False).pixels, side) for p in files}


def cached(pixels: np.ndarray, side: int = CACHED) -> Pixels:
    """Smaller, 0 to 1."""
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    scale = min(1.0, side / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    small = np.asarray(image.resize(size, Image.Resampling.BOX))
    low, high = np.percentile(small, (0.2, 99.8))
    return np.clip((small - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)


def projections(data: Path, split: str, side: int = CACHED) -> dict[tuple[str, str], Pixels]:
    """By patient and view (``ap``, ``lat``)."""
    return {
        key: cached(np.asarray(Image.open(file)), side)
        for key, file in projection_files(data, split).items()
    }


def cts_of(data: Path, split: str) -> list[np.ndarray]:
    """HU volumes of the catalogue's split, see `not_chests.load_ct`."""
    rows = [line.split("|") for line in (data / "CATALOGUE.md").read_text("utf-8").splitlines()]
    names = [r[1].strip() for r in rows if len(r) > 8 and r[2].strip().split(" ")[0] == split]
    return [not_chests.load_ct(data / "ct" / f"{name}.nii.gz") for name in names]


def images_in(folders: list[Path]) -> list[Path]:
    """Readable images that are more than icons."""
    found = []
    for path in sorted(p for folder in folders for p in folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stat().st_size > 15_000:
            try:
                with Image.open(path) as opened:
                    if min(opened.size) >= 64:
                        found.append(path)
            except OSError:
                continue
    return found


def drrs(rng: Rng, cts: list[np.ndarray], count: int) -> tuple[list[Pixels], list[Pixels]]:
    """Frontal and lateral parallel projections of rotated chests, with more or less of the neck
    and abdomen than is usual."""
    frontals, laterals = [], []
    for hu in cts:
        lungs = not_chests.lung_levels(hu, 0.15)
        height = lungs[-1] - lungs[0]
        for _ in range(count):
            low, high = (int(height * rng.uniform(0.05, m)) for m in (0.6, 0.3))
            part = hu[max(0, lungs[0] - low) : lungs[-1] + high]
            line = not_chests.attenuation(part)
            for axes in ((1, 2), (0, 2), (0, 1)):
                line = ndimage.rotate(line, rng.normal(0, 4), axes, reshape=False, order=1)
            for axis, images in ((1, frontals), (2, laterals)):
                images.append(cached(not_chests.exposed(rng, line.sum(axis)[::-1])))
    return frontals, laterals


def phantoms(rng: Rng, count: int) -> tuple[list[Pixels], list[Pixels]]:
    """Chests made of a few ellipses, as programs are tested with: flat ones, and projections."""
    frontals, laterals = [], []
    z, y, x = np.mgrid[0:1:60j, 0:1:48j, 0:1:60j].astype(np.float32)
    row, column = np.mgrid[0:1:140j, 0:1:120j]
    for k in range(count):
        u = rng.uniform

        def ball(cz: float, cy: float, cx: float, az: float, ay: float, ax: float) -> np.ndarray:
            return ((z - cz) / az) ** 2 + ((y - cy) / ay) ** 2 + ((x - cx) / ax) ** 2 < 1

        line = np.where(((x - 0.5) / u(0.4, 0.48)) ** 2 + ((y - 0.5) / u(0.38, 0.48)) ** 2 < 1,
                        1.0, 0.0)  # fmt: skip
        apart = u(0.17, 0.23)
        for side in (-1, 1):
            where = (u(0.42, 0.55), u(0.42, 0.55), 0.5 + side * apart)
            line[ball(*where, u(0.3, 0.42), u(0.22, 0.32), u(0.12, 0.17))] = u(0.1, 0.25)
        if k % 3:
            line[ball(0.6, 0.4, u(0.54, 0.6), u(0.12, 0.18), 0.15, u(0.1, 0.15))] = 1.05
        line[np.hypot(y - u(0.74, 0.84), x - 0.5) < u(0.05, 0.08)] = u(1.3, 1.8)
        if k % 2:
            line[z > u(0.78, 0.92)] = np.maximum(line, 1.0)[z > 0.85].mean() if k % 4 == 1 else 1.0
        frontals.append(cached(line.sum(1)))
        laterals.append(cached(line.sum(2)))
        image = np.full(row.shape, u(0.02, 0.1)) + 0.05 * row
        body = (np.abs(column - 0.5) < u(0.36, 0.45)) & (row > u(0.02, 0.12))
        image[body] = u(0.5, 0.65)
        apart, high, wide = u(0.17, 0.21), u(0.27, 0.36), u(0.12, 0.15)
        for side in (-1, 1):
            lung = ((column - 0.5 - side * apart) / wide) ** 2 + ((row - 0.46) / high) ** 2 < 1
            image[lung] = u(0.18, 0.28)
        if k % 3:
            heart = ((column - u(0.54, 0.6)) / 0.14) ** 2 + ((row - u(0.58, 0.66)) / 0.14) ** 2 < 1
            image[heart] = u(0.65, 0.75)
        image[(np.abs(column - 0.5) < u(0.04, 0.07)) & (row > 0.04)] = u(0.8, 0.95)
        if k % 2:
            bend = 0.3 * (np.abs(column - 0.5) - 0.1) ** 2 * 4
            ribs = np.sin((row - bend) * u(60, 90)) > 0.75
            image[ribs & body & (np.abs(column - 0.5) > 0.06) & (row < 0.85)] += u(0.05, 0.15)
            image[(row > u(0.78, 0.9)) & body] = u(0.6, 0.7)
        frontals.append(image.astype(np.float32))
    return frontals, laterals


# Augmentation: the image at 64 pixels


def shrunk(rng: Rng, image: Image.Image, most_cut: float, turned: float) -> np.ndarray:
    """Cropped, stretched, slightly rotated and framed, at most 64 pixels along a side."""
    w, h = image.size
    left, right, top, bottom = (max(0.0, rng.uniform(-most_cut, most_cut)) for _ in range(4))
    box = (left * w, top * h, (1 - right) * w, (1 - bottom) * h)
    wide = (box[2] - box[0]) * np.exp(rng.normal(0, 0.07))
    high = box[3] - box[1]
    frame = rng.uniform(0, 0.16, 4) * (rng.random(4) < 0.15) * (INPUT if rng.random() < 0.7 else 0)
    room = (INPUT - frame[0] - frame[1], INPUT - frame[2] - frame[3])
    scale = min(room[0] / wide, room[1] / high)
    size = (max(8, round(wide * scale)), max(8, round(high * scale)))
    small = image.resize(size, Image.Resampling.BILINEAR, box=box)
    if turned and rng.random() < 0.5:
        fill = int(np.asarray(small)[:3].mean()) if rng.random() < 0.5 else 0
        small = small.rotate(rng.normal(0, turned), Image.Resampling.BILINEAR, fillcolor=fill)
    pixels = np.asarray(small, np.float32) / 255
    if frame.any():
        pad = [(int(frame[2]), int(frame[3])), (int(frame[0]), int(frame[1]))]
        ground = float(rng.choice([0.0, 0.0, 1.0, 0.5 * rng.random()]))
        pixels = np.pad(pixels, pad, constant_values=ground)[:INPUT, :INPUT]
    return pixels


def marked(rng: Rng, image: Image.Image) -> Image.Image:
    """With letters, cables, devices and opacities."""
    image = image.copy()
    draw, (w, h) = ImageDraw.Draw(image), image.size
    for _ in range(int(rng.integers(0, 3))):
        place = (int(rng.uniform(0, 0.9) * w), int(rng.choice([0.02, 0.06, 0.85, 0.92]) * h))
        word = str(rng.choice(["L", "R", "AP", "PORTABLE", "SUPINE", "12:30", "P. 44", "->"]))
        draw.text(place, word, fill=int(rng.choice([255, 255, 230, 0])))
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 5))):
            at = rng.uniform(0.05, 0.95, 2) * (w, h)
            points = [tuple(at)]
            for _ in range(5):
                at = at + rng.normal(0, 0.12, 2) * (w, h)
                points.append(tuple(at))
            draw.line(points, fill=int(rng.integers(200, 256)), width=int(rng.integers(1, 3)))
    if rng.random() < 0.15:
        x, y, s = rng.uniform(0.1, 0.8) * w, rng.uniform(0.05, 0.5) * h, rng.uniform(0.05, 0.12) * w
        draw.ellipse((x, y, x + s, y + s * 1.2), fill=int(rng.integers(220, 256)))
    return image


def limbs(rng: Rng, pixels: np.ndarray) -> np.ndarray:
    """Arms, shoulders or a chin: bright from one edge inwards."""
    rows, columns = np.mgrid[0 : 1 : pixels.shape[0] * 1j, 0 : 1 : pixels.shape[1] * 1j]
    for _ in range(int(rng.integers(1, 3))):
        away = (rows, columns, 1 - columns)[rng.integers(3)]
        along = columns if away is rows else rows
        reach = rng.uniform(0.05, 0.22) * np.exp(
            -(((along - rng.random()) / rng.uniform(0.1, 0.6)) ** 2)
        )
        weight = 1 / (1 + np.exp(np.clip((away - reach) / rng.uniform(0.005, 0.04), -30, 30)))
        pixels = pixels + weight * rng.uniform(0.2, 0.8) * np.clip(0.95 - pixels, 0, 1)
    return pixels


def opacities(rng: Rng, pixels: np.ndarray) -> np.ndarray:
    """Soft bright areas: consolidation, effusion, a lung that is white."""
    rows, columns = np.mgrid[0 : 1 : pixels.shape[0] * 1j, 0 : 1 : pixels.shape[1] * 1j]
    for _ in range(int(rng.integers(1, 5))):
        cy, cx = rng.uniform(0.2, 0.85), rng.choice([0.3, 0.7]) + rng.normal(0, 0.08)
        a, b = rng.uniform(0.05, 0.3, 2)
        weight = np.exp(-(((rows - cy) / a) ** 2) - ((columns - cx) / b) ** 2)
        pixels = pixels + weight * rng.uniform(0.2, 0.9) * np.clip(0.85 - pixels, 0, 1)
    return pixels


def regraded(rng: Rng, pixels: np.ndarray) -> np.ndarray:
    """Another grey scale: gamma, tone curve, sharpness, window, local contrast, slope, noise."""
    p = np.clip(pixels, 0, 1) ** np.exp(rng.normal(0, 0.4))
    if rng.random() < 0.3:
        p = 1 / (1 + np.exp(-rng.uniform(3, 9) * (p - rng.uniform(0.3, 0.7))))
    if rng.random() < 0.3:
        smooth = ndimage.uniform_filter(p, int(rng.choice([9, 15, 25])), mode="nearest")
        p = p - rng.uniform(-0.3, 0.8) * smooth
    if rng.random() < 0.3:
        p = p + rng.uniform(0.3, 2) * (p - ndimage.gaussian_filter(p, rng.uniform(1, 3)))
    if rng.random() < 0.25:
        low, high = np.quantile(p, (rng.uniform(0, 0.25), rng.uniform(0.75, 1)))
        p = np.clip(p, low, max(high, low + 1e-3))
    if rng.random() < 0.2:
        slope = np.linspace(-1, 1, p.shape[int(rng.integers(2))])
        p = p + rng.normal(0, 0.2) * (slope if len(slope) == p.shape[1] else slope[:, None])
    if rng.random() < 0.25:
        p = ndimage.gaussian_filter(p, rng.uniform(0.3, 1.0))
    return p + rng.normal(0, rng.choice([0, 0.01, 0.04]) + 1e-6, p.shape)


@dataclass
class Pool:
    """Images of one kind: which outputs of the network are right for an upright one, and how far
    it may be cropped (of each side) and rotated (degrees)."""

    images: list[Image.Image]
    right: tuple[int, ...]
    share: float
    cut: float = 0.0
    turned: float = 0.0

    @property
    def chest(self) -> bool:
        return self.right[0] < 16


def sample(rng: Rng, pool: Pool) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """An altered image in ``COPIES`` orientations and polarities: the input (2, 64, 64), the right
    outputs (23,) bool, and whether bones are dark (-1 unknown)."""
    image = pool.images[rng.integers(len(pool.images))]
    if pool.chest and rng.random() < 0.4:
        image = marked(rng, image)
    pixels = shrunk(rng, image, pool.cut, pool.turned)
    if pool.chest and rng.random() < 0.25:
        pixels = opacities(rng, pixels)
    if pool.chest and rng.random() < 0.2:
        pixels = limbs(rng, pixels)
    upright, made = normalised(regraded(rng, pixels)), []
    for which in rng.choice(8, COPIES, replace=False):
        right = np.zeros(16 + len(KINDS), bool)
        for one in pool.right:
            if one < 16:
                view, undone = divmod(one, 8)
                one = 8 * view + content._order(TURNS[which])[undone]
            right[one] = True
        inverted = bool(rng.random() < 0.3)  # the input of the inverted image is the negative
        turned = np.ascontiguousarray(reoriented(upright, TURNS[which]))
        made.append(
            (-turned if inverted else turned, right, float(inverted) if pool.chest else -1.0)
        )
    return made


def pools(data: Path, photos: list[Path], rng: Rng) -> list[Pool]:
    """What the training draws from; laterals of prone patients, which face the other way, are left
    out."""
    films, real = projections(data, "train"), list(clinical(data, "train").values())
    start = time.time()
    laterals = [a for (_, view), a in films.items() if view == "lat"]
    frontals = [a for (_, view), a in films.items() if view == "ap"]
    prone = [is_prone(thumbnail(a, 80)) for a in laterals]
    frontals, laterals = ([a for a, p in zip(all_, prone, strict=True) if not p]
                          for all_ in (frontals, laterals))  # fmt: skip
    print(f"{sum(prone)} prone patients left out, {time.time() - start:.0f} s", flush=True)
    cts = cts_of(data, "train")
    sources = Sources(cts, frontals + 4 * real, laterals, photos)

    def stored(images: list[Pixels]) -> list[Image.Image]:
        return [Image.fromarray(np.uint8(255 * i + 0.5)) for i in images]

    made = drrs(rng, cts, 8)
    drawn = phantoms(rng, 60)
    found = [
        Pool(stored(frontals), (0,), 0.16, 0.13, 5),
        Pool(stored(laterals), (8,), 0.19, 0.13, 5),
        Pool(stored(real), (0,), 0.14, 0.09, 5),
        Pool(stored(made[0]), (0,), 0.03, 0.1, 3),
        Pool(stored(made[1]), (8,), 0.03, 0.1, 3),
        Pool(stored(drawn[0]), (0, 4), 0.02, 0.06, 2),
        Pool(stored(drawn[1]), (8, 12), 0.01, 0.06, 2),
    ]
    rest = 1 - sum(p.share for p in found)
    for kind, count in COUNTS.items():
        start = time.time()
        images = [not_chests.make(kind, rng, sources) for _ in range(count)]
        share = rest * count / sum(COUNTS.values())
        right = (16 + list(KINDS).index(not_chests.KINDS[kind][0]),)
        found.append(Pool(stored([cached(i) for i in images]), right, share, 0.05, 4))
        print(f"{kind:24s} {len(images):5d} {time.time() - start:5.1f} s", flush=True)
    return found


# The network


class Network(nn.Module):
    """Six convolutions with batch normalisation, and one linear layer from every place."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide, before, stride in zip(WIDTHS, (2, *WIDTHS[:-1]), content.STRIDES, strict=True):
            layers += [
                nn.Conv2d(before, wide, 3, stride, 1, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(WIDTHS[-1] * 16, 16 + len(KINDS) + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.body(x).flatten(1)))

    def folded(self) -> dict[str, torch.Tensor]:
        """The weights that ``content.py`` runs, float16."""
        made = {"head.weight": self.head.weight, "head.bias": self.head.bias}
        for k in range(len(WIDTHS)):
            conv, norm = self.body[3 * k], self.body[3 * k + 1]
            factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            made[f"conv{k}.weight"] = conv.weight * factor[:, None, None, None]
            made[f"conv{k}.bias"] = norm.bias - norm.running_mean * factor
        return {name: a.detach().half().contiguous() for name, a in made.items()}


def loss_of(out: torch.Tensor, right: torch.Tensor, dark: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over the outputs that are right, smoothed, and that of the polarity."""
    logs = F.log_softmax(out[:, :-1], 1)
    hit = torch.logsumexp(logs.masked_fill(~right, -1e9), 1)
    known = dark >= 0
    polarity = F.binary_cross_entropy_with_logits(out[known, -1], dark[known])
    return -(0.97 * hit + 0.03 * logs.mean(1)).mean() + 0.2 * polarity


def fit(data: Path, folders: list[Path], images: int, seed: int, out: Path) -> None:
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    photos = images_in(folders)
    print(len(photos), "images", flush=True)
    train = pools(data, photos, rng)
    shares = np.cumsum([p.share for p in train]) / sum(p.share for p in train)
    network = Network()
    print(sum(a.numel() for a in network.parameters()), "weights", flush=True)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.02)
    seen, told, running = 0, 0.0, 0.0
    while (done := seen / images) < 1:
        for group in optimiser.param_groups:  # a short warm-up, then a cosine
            group["lr"] = RATE * min(1.0, done / 0.03 + 0.02) * 0.5 * (1 + np.cos(np.pi * done))
        which = np.searchsorted(shares, rng.random(BATCH // COPIES))
        drawn = [one for k in which for one in sample(rng, train[k])]
        inputs, right, dark = (torch.as_tensor(np.stack(a)) for a in zip(*drawn, strict=True))
        loss = loss_of(network(inputs), right, dark.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen += BATCH
        running = 0.98 * running + 0.02 * loss.item()
        if time.time() - told > 60:
            told = time.time()
            print(f"{done:5.0%} {seen:8d} images, loss {running:.3f}", flush=True)
            save_file(network.eval().folded(), out)
            network.train()
    save_file(network.eval().folded(), out)
    print(f"{out}: {seen} images", flush=True)


# What is measured


def copies(rng: Rng, image: Pixels) -> list[tuple[Turn, str, np.ndarray]]:
    """An upright image (0 to 1) as it is and with one alteration, and two turned or mirrored
    copies with another each: what undoes the turn, what was altered, 8-bit pixels."""
    made = []
    kinds = ["inverted", "tinted", "framed", "plain"]
    first = int(rng.integers(4))
    for k, which in enumerate([0, 0, *rng.choice(np.arange(1, 8), 2, replace=False)]):
        turn, kind = TURNS[which], "plain" if k == 0 else kinds[(first + k) % 4]
        pixels = np.uint8(255 * reoriented(image, turn) + 0.5)
        if kind == "inverted":
            pixels = 255 - pixels
        elif kind == "tinted":
            curve = [np.arange(256) ** g * 255 ** (1 - g) for g in (1.08, 1.0, 0.9)]
            pixels = np.stack([np.uint8(c)[pixels] for c in curve], -1)
        elif kind == "framed":
            grey = int(rng.integers(20, 236))
            pad = [tuple(rng.integers(10, 60, 2)) for _ in range(2)]
            pixels = np.pad(pixels, pad, constant_values=grey)
        made.append((turn, kind, pixels))
    return made


def outcome(found: Radiograph, upright: Pixels, turn: Turn) -> str:
    """``right``, ``right, but warned of``, ``named`` (a correct warning), ``refused``, ``kept`` (no
    warning), or ``wrong``."""
    if found.looks_like:
        return "refused"

    def small(image: np.ndarray) -> np.ndarray:
        pixels = Image.fromarray(np.ascontiguousarray(image, np.float32))
        return np.asarray(pixels.resize((40, 40), Image.Resampling.BOX)).ravel()

    got, whole = small(found.pixels), crop_border(upright)[0]
    fits = [abs(np.corrcoef(got, small(reoriented(whole, t)))[0, 1]) for t in TURNS]
    lies = TURNS[int(np.argmax(fits))]
    words = turn.words(found.view.is_frontal)
    named = [w for w in found.warnings if "looks" in w]
    if lies == Turn():
        return "right" if turn != Turn() or not named else "right, but warned of"
    if lies == turn:
        return "named" if any(words in w for w in named) else "kept"
    return "wrong"


class Tally:
    """Counts of outcomes by case, which become a file."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter] = {}

    def note(self, case: str, said: str) -> None:
        self.counts.setdefault(case, Counter())[said] += 1

    def write(self, out: Path, **more: object) -> None:
        record = {"counts": {case: dict(n) for case, n in self.counts.items()}, **more}
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(out, json.dumps(record, indent=1))
        print(json.dumps(record, indent=1))


def test_projections(data: Path) -> dict[tuple[str, str], Pixels]:
    """Without those of prone patients."""
    films = projections(data, "test", MEASURED)
    prone = {p for (p, view), a in films.items() if view == "lat" and is_prone(thumbnail(a, 80))}
    print("prone patients left out:", sorted(prone), flush=True)
    return {(p, view): a for (p, view), a in films.items() if p not in prone}


def measure(data: Path, seed: int, out: Path) -> None:
    """Chest X-rays, as they are and altered: what is read."""
    rng, tally, seconds = np.random.default_rng(seed), Tally(), []
    sets = []
    for part in ("train", "validation", "test"):
        images = clinical(data, part, MEASURED)
        sets.append((f"clinical, {part}", "pa", images))
        for file in clinical_files(data, part):
            said = outcome(read_radiograph(file), images[file.name], Turn())
            tally.note(f"clinical, {part}, as stored", said)
    films = test_projections(data)
    for view, given in (("ap", "pa"), ("lat", "ll")):
        images = {p: a for (p, v), a in films.items() if v == view}
        sets.append((f"projection, {view}", given, images))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.png"
        for title, view, images in sets:
            for name, image in images.items():
                for turn, kind, pixels in copies(rng, image):
                    Image.fromarray(pixels).save(path)
                    found = read_radiograph(path, view)
                    said = outcome(found, image, turn)
                    lies = "upright" if turn == Turn() else "turned"
                    tally.note(f"{title}, {lies}", said)
                    if said not in ("right", "named"):
                        print(
                            name, turn.words(view == "pa"), kind, said, found.warnings, flush=True
                        )
                start = time.process_time()
                content.see(image)
                seconds.append(time.process_time() - start)
            print(
                title,
                {c: dict(n) for c, n in tally.counts.items() if c.startswith(title)},
                flush=True,
            )
    typical, worst = round(float(np.median(seconds)), 3), round(max(seconds), 3)
    tally.write(out, **{"CPU seconds of the network, median and worst": [typical, worst]})


def refuse(data: Path, folders: list[Path], seed: int, out: Path) -> None:
    """1,000 images of other things; and CTs with a wrong header, in the test CTs and the pairs of
    projections."""
    rng, tally = np.random.default_rng(seed), Tally()
    films = test_projections(data)
    frontals, laterals = ([a for (_, v), a in films.items() if v == view]
                          for view in ("ap", "lat"))  # fmt: skip
    frontals += list(clinical(data, "test", MEASURED).values())
    cts = cts_of(data, "test")
    sources = Sources(cts, frontals, laterals, images_in(folders))
    kinds = list(not_chests.KINDS)
    for k in range(1000):
        kind = kinds[k % len(kinds)]
        image = not_chests.make(kind, rng, sources)
        if min(image.shape) < MIN_PIXELS:
            image = np.kron(image, np.ones((4, 4), np.float32))
        try:
            found = radiograph_from_pixels(image, view=("pa", "ll")[k % 2])
            tally.note(f"no chest X-ray, {kind}", "refused" if found.looks_like else "passed")
        except AxonInputError:  # blank, for example
            tally.note(f"no chest X-ray, {kind}", "refused")
    for hu in cts:
        for axes in product((1, -1), repeat=3):
            found_ct = recognise_ct(hu[:: axes[2], :: axes[1], :: axes[0]], (VOXEL_MM,) * 3)
            right = found_ct.flips == tuple(a < 0 for a in axes)
            tally.note(
                "CT, upright" if axes == (1, 1, 1) else "CT, reversed",
                "right" if right else "wrong",
            )
    for patient in sorted({p for p, _ in films}):
        for flips in [(False,) * 3, *(tuple(bool(b) for b in rng.integers(0, 2, 3)) for _ in "ab")]:
            x, y, z = flips
            front, side = (
                content.see(films[patient, view][:: -1 if z else 1, :: -1 if across else 1])
                for view, across in (("ap", x), ("lat", y))
            )
            said = "right" if tuple(reversed_axes(front, side) > 0.5) == flips else "wrong"
            tally.note(f"both projections, {'reversed' if any(flips) else 'upright'}", said)
    passed = sum(n["passed"] for case, n in tally.counts.items() if case.startswith("no chest"))
    tally.write(out, **{"no chest X-ray, passed of 1000": passed})


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("what", choices=("fit", "measure", "refuse"))
    ask.add_argument("--data", type=Path, required=True)
    ask.add_argument("--photos", type=Path, nargs="+", default=[])
    ask.add_argument("--images", type=int, default=106_624, help="that the training sees")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--out", type=Path)
    chosen = ask.parse_args()
    if chosen.what == "fit":
        out = chosen.out or content.WEIGHTS
        fit(chosen.data, chosen.photos, chosen.images, chosen.seed, out)
    elif chosen.what == "measure":
        measure(chosen.data, chosen.seed, chosen.out or Path("results/content.json"))
    else:
        out = chosen.out or Path("results/content_refused.json")
        refuse(chosen.data, chosen.photos, chosen.seed, out)


if __name__ == "__main__":
    main()
