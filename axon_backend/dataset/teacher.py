"""Patients without a CT: a model reconstructs their volume from both X-rays.

A network that sees one X-ray learns from these volumes what the other X-ray told the teacher
(Testing/benchmarks/README.md, "Patients without a CT").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.dataset.plan import CasePlan
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.dataset.views import PlacedXray, with_air
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.inference.session import InferenceSession
from axon_backend.util.run_context import RunContext


@dataclass(frozen=True)
class PseudoLabelled:
    """A patient as the teacher sees them.

    Attributes:
        volume: int16 HU of the last stage that the model recommends.
        frame: the box that it fills.
        xrays: the X-rays, registered to the atlas.
        views: the registered X-rays by role, (S, S) float32.
        note: which model made the volume.
    """

    volume: CTVolume
    frame: ThoraxFrame
    xrays: list[PlacedXray]
    views: dict[str, np.ndarray]
    note: str


# A process prepares many patients with the same model.
@lru_cache(maxsize=1)
def _session(bundle: str | None) -> InferenceSession:
    return InferenceSession(bundle, "cpu")


def reconstructed(plan: CasePlan, settings: PrepareSettings) -> PseudoLabelled:
    """Reconstruct a patient from a frontal and a lateral X-ray.

    Raises:
        AxonInputError: an X-ray cannot be read, does not show a chest, or has a poor registration.
    """
    session = _session(settings.teacher)
    bundle = session.bundle
    found = {xray.role: xray for xray in plan.xrays}
    result = session.reconstruct(
        found["frontal"].file,
        found["lateral"].file,
        stated={role: settings.stated_for(plan.id, role) for role in ("frontal", "lateral")},
        context=RunContext(seed=settings.seed),
    )
    hu, frame = result.volume, result.frame
    n = hu.shape[0]
    volume = CTVolume(np.rint(hu).astype(np.int16), frame.spacing_mm(n), frame.origin_mm(n))
    xrays = [
        PlacedXray(found[role], role, result.xrays[role], view, result.xrays[role].assumptions)
        for role, view in result.views.items()
    ]
    views = {}
    for xray in xrays:
        pixels = torch.as_tensor(with_air(xray.placed))[None, None]
        size = min(settings.view_size, pixels.shape[-1])
        views[xray.role] = F.adaptive_avg_pool2d(pixels, size)[0, 0].numpy()
    note = f"no CT: the volume was reconstructed from both X-rays by {bundle.name} {bundle.version}"
    return PseudoLabelled(volume, frame, xrays, views, note)
