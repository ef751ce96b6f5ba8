"""The nearest training patient as a :class:`Method`: a library of 8-bit X-rays and volumes.

A bundle contains the volumes of its training patients: h^3 bytes each (0.26 MB at 64^3, 2.1 MB at
128^3) for each of the ``patients`` entries of the library.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import HuWindow
from axon_backend.imaging.standardise import LIMIT
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.formats import views_to_volume
from axon_backend.methods.generator import OnePassModel
from axon_backend.methods.nearest_patient import INFO
from axon_backend.methods.objective import Measurement, Objective
from axon_backend.methods.protocol import Method, OneGridConfig, RegisteredViews


@dataclass(frozen=True)
class NearestPatientConfig(OneGridConfig):
    """Sizes and window.

    Attributes:
        grid: side of the volumes in voxels.
        view_size: side of the X-rays.
        match_size: side that X-rays are averaged down to for comparison.
        patients: capacity of the library; unused entries are stored as well.
        window: the HU that are mapped to -1 and 1.
    """

    grid: int = 64
    view_size: int = 128
    match_size: int = 32
    patients: int = 64
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("library",)


@dataclass(frozen=True)
class NearestPatientLoss:
    """The library has no loss settings."""


class Library(nn.Module):
    """X-rays and volumes of patients.

    Attributes:
        views: (patients, 2, m, m) uint8, [-LIMIT, LIMIT] of standardised views as 0..255.
        volumes: (patients, h, h, h) uint8, [-1, 1] as 0..255.
        count: number of patients stored.
    """

    views: torch.Tensor
    volumes: torch.Tensor
    count: torch.Tensor

    def __init__(self, config: NearestPatientConfig) -> None:
        super().__init__()
        patients, m, h = config.patients, config.match_size, config.grid
        self.register_buffer("views", torch.zeros(patients, 2, m, m, dtype=torch.uint8))
        self.register_buffer("volumes", torch.zeros(patients, h, h, h, dtype=torch.uint8))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return int(self.count)

    def add(self, views: torch.Tensor, volume: torch.Tensor) -> None:
        """Store a patient, once.

        Args:
            views: (2, S, S), standardised.
            volume: (h, h, h) in [-1, 1].

        Raises:
            AxonInputError: the library is full.
        """
        stored = ((volume.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        n = len(self)
        if any(torch.equal(stored, self.volumes[i]) for i in range(n)):
            return
        if n == len(self.volumes):
            raise AxonInputError(
                f"The library has room for {n} patients, but the data set has more training cases. "
                "Set model.patients to their number."
            )
        small = F.adaptive_avg_pool2d(views.float(), self.views.shape[-1])
        self.volumes[n] = stored
        self.views[n] = ((small / LIMIT + 1) * 127.5).round().to(torch.uint8)
        self.count += 1

    def similarity(self, views: RegisteredViews) -> torch.Tensor:
        """(B, stored patients) normalised cross-correlation with each patient's views, averaged
        over the available views."""

        def normalised(images: torch.Tensor) -> torch.Tensor:
            flat = images.float().flatten(1)
            flat = flat - flat.mean(1, keepdim=True)
            return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-6)

        found = []
        for i, view in enumerate(views.both):
            small = F.adaptive_avg_pool2d(view.float(), self.views.shape[-1])
            stored = normalised(self.views[: len(self), i])
            # Not a matrix product, which autocast would compute in bfloat16 during training.
            found.append((normalised(small)[:, None] * stored[None]).sum(-1))
        if len(found) == 1:
            return found[0]
        both = (found[0] + found[1]) / 2
        if views.has_lateral is None:
            return both
        return torch.where(views.has_lateral[:, None], both, found[0])

    def forward(self, views: RegisteredViews) -> torch.Tensor:
        """(B, 1, h, h, h) in [-1, 1], the volumes of the most similar patients."""
        if not len(self):
            raise AxonInputError(
                "The library of patients is empty. Train it: axon train library --method "
                "nearest_patient."
            )
        nearest = self.similarity(views).argmax(1)
        return self.volumes[nearest][:, None].float() / 127.5 - 1


class NearestPatientModel(OnePassModel):
    """A model that looks up volumes in the library."""

    config: NearestPatientConfig

    def __init__(self, method: Method, config: NearestPatientConfig) -> None:
        super().__init__(method, config)
        self.library = Library(config)

    def reconstruct_views(self, views: RegisteredViews) -> torch.Tensor:
        return self.library(views)


class LibraryObjective(Objective):
    """Stores the patients of each batch. The loss is the squared error of the nearest patient
    stored before."""

    model: NearestPatientModel

    @torch.no_grad()
    def forward(self, batch: Batch) -> torch.Tensor:
        library = self.model.library
        errors = []
        for i in range(len(batch)):
            one = batch[i : i + 1]
            error = torch.zeros((), device=batch.volume.device)
            if len(library):
                error = (library(one.views()) - one.volume).square().mean()
            errors.append(error)
            library.add(torch.cat([one.frontal[0], one.lateral[0]]), one.volume[0, 0])
        return torch.stack(errors).mean().requires_grad_()

    def measure(self, case: ValidationCase) -> Measurement:
        measured = self.measure_views(case, self.model.library)
        patients = {"patients": float(len(self.model.library))}
        return Measurement(patients | measured.metrics, measured.sample)

    def score(self, metrics: dict[str, float]) -> float:
        """The negative number of patients: validation does not influence which are stored."""
        return -metrics["patients"]


def full() -> NearestPatientConfig:
    """128^3; a library of 200 patients takes 420 MB."""
    return NearestPatientConfig(grid=128, patients=200)


class NearestPatientMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = NearestPatientConfig
    presets = {"preview": NearestPatientConfig, "full": full}
    objectives = {"library": LibraryObjective}
    loss_settings = NearestPatientLoss

    def build(self, config: NearestPatientConfig) -> NearestPatientModel:
        return NearestPatientModel(self, config)

    def network_formats(self, config: NearestPatientConfig) -> dict[str, dict[str, Any]]:
        return {"library": views_to_volume(config.view_size, config.grid)}

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        """Every patient once, without augmentation."""
        return {
            "minutes": None,
            "epochs": 1.0,
            "log_steps": 1,
            "data": {
                "cache": 0,
                "blended": 0.0,
                "single_view": 0.0,
                "deformed": False,
                "appearance": {"clean": 1.0},
            },
        }

    def describe(self, config: NearestPatientConfig) -> str:
        return (
            "The volume of the training patient whose X-rays, averaged to "
            f"{config.match_size} x {config.match_size} pixels, correlate best with those given."
        )


NEAREST_PATIENT = NearestPatientMethod()
