"""Whole patients for validation: no augmentation, the views as ``axon evaluate`` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.imaging.standardise import standardise_view
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_view
from axon_backend.physics.geometry import DEFAULT_SOD_MM, beam_parameter
from axon_backend.training.batch import Batch

VIEWS = (View.pa, View.lateral_left)


@dataclass
class Case:
    """A patient's name and its batch of one."""

    name: str
    batch: Batch


def load_case(path: Path, *, size: int = 64, window: HuWindow | None = None) -> Case:
    """Read a CT, find its frame, render its DRRs at 1024 x 1024 and standardise them."""
    window = window or HuWindow()
    ct = read_ct(path)
    frame = find_thorax_frame(ct)
    fine = torch.as_tensor(window.normalise(resample_to_frame(ct, frame, 2 * size)))[None, None]
    views = [
        standardise_view(torch.as_tensor(render_view(ct, frame, v, 1024))[None, None])
        for v in VIEWS
    ]
    beam = [
        beam_parameter(frame.size_mm[1 if v.is_frontal else 0], DEFAULT_SOD_MM, v) for v in VIEWS
    ]
    batch = Batch(F.avg_pool3d(fine, 2), fine, views[0], views[1], torch.tensor([beam]))
    return Case(path.name.split(".")[0], batch)
