"""Validation cases: no augmentation, and the same views as in ``axon evaluate``."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.dataset.dataset import DatasetCase
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.imaging.standardise import standardise_view
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.training.data.source import case_views

VIEW_SIZE = 1024


def load_case(
    case: DatasetCase,
    *,
    size: int = 64,
    gamma: int = 2,
    window: HuWindow | None = None,
    real: bool = True,
) -> ValidationCase:
    """Read a CT and its views at 1024 x 1024: real ones where available and if ``real``, else
    DRRs.

    Raises:
        AxonInputError: the case cannot be used; the message names it.
    """
    window = window or HuWindow()
    try:
        ct = read_ct(case.ct)
        frame = find_thorax_frame(ct) if case.frame is None else case.frame
        fine = window.normalise(resample_to_frame(ct, frame, gamma * size))
        images, beam, shown = case_views(case, frame, ct, VIEW_SIZE, real=real)
        views = [standardise_view(torch.as_tensor(image)[None, None]) for image in images]
    except AxonInputError as error:
        raise AxonInputError(f"Validation case {case.id}: {error}") from error
    volume = torch.as_tensor(fine)[None, None]
    batch = Batch(F.avg_pool3d(volume, gamma), volume, views[0], views[1], torch.tensor([beam]))
    return ValidationCase(case.id, batch, frame, shown)
