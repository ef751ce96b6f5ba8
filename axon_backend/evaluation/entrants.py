"""The bundles in an evaluation, and how they are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.kept import Kept
from axon_backend.imaging.frame import HuWindow
from axon_backend.inference.model_loading import choose_device, parameter_count
from axon_backend.inference.session import InferenceSession
from axon_backend.methods.info import ALL_STAGES
from axon_backend.util.run_context import RunContext

#: If all bundles together have more parameters (1 GB), only one is kept in memory at a time.
MOST_PARAMETERS = 250_000_000


@dataclass(frozen=True)
class Entrant:
    """A bundle in an evaluation.

    Attributes:
        label: unique name.
        session: the session that runs it.
        stages: stages of its method to run.
        stochastic: those of them whose output depends, directly or indirectly, on the seed.
    """

    label: str
    session: InferenceSession
    stages: tuple[str, ...]
    stochastic: tuple[str, ...]

    @property
    def bundle(self) -> Bundle:
        """The bundle itself."""
        return self.session.bundle

    def about(self) -> dict[str, Any]:
        """A description: parameters and, from the metadata, the training (None: not recorded)."""
        training = self.bundle.metadata.get("training") or {}
        return {
            "bundle": self.label,
            "method": self.session.info.label,
            "version": self.bundle.version,
            "sha256": self.bundle.sha256,
            "parameters": parameter_count(self.bundle),
            "minutes": _total(training, "minutes"),
            "samples": _total(training, "samples"),
        }


def entrants(
    bundles: Sequence[str | Path | Bundle | None],
    device: str = "auto",
    stages: tuple[str, ...] | None = None,
) -> list[Entrant]:
    """Open and label the bundles.

    Args:
        bundles: folders, names or loaded bundles; None: the shipped one.
        device: ``auto``, ``cpu`` or ``cuda``.
        stages: names of stages to run, or ``("all",)``; a method with none of them, or None, runs
            those that its bundle recommends.

    Raises:
        AxonInputError: a bundle or the device cannot be used, a bundle is given twice, or no method
            has one of the stages.
    """
    loaded = [b if isinstance(b, Bundle) else load_bundle(b) for b in bundles]
    hashes = [bundle.sha256 for bundle in loaded]
    if twice := [b for i, b in enumerate(loaded) if b.sha256 in hashes[:i]]:
        raise AxonInputError(
            f"The bundle {twice[0].name} ({twice[0].path}) is given twice. Give every bundle once."
        )
    sessions = [InferenceSession(bundle, device) for bundle in loaded]
    known = {name for session in sessions for name in session.info.stage_names}
    named = () if stages in (None, (ALL_STAGES,)) else stages
    if (unknown := [name for name in named if name not in known]) and len(loaded) > 1:
        raise AxonInputError(
            f"No bundle has the stage {unknown[0]!r}; they have {', '.join(sorted(known))}."
        )
    made = []
    for label, session in zip(_labels(loaded), sessions, strict=True):
        own = tuple(s for s in named if s in session.info.stage_names or len(loaded) == 1)
        chosen = session.stages(own if named else stages)
        random = session.info.load().stochastic_stages(session.config)
        first = next((i for i, name in enumerate(chosen) if name in random), len(chosen))
        made.append(Entrant(label, session, chosen, chosen[first:]))
    return made


def _labels(bundles: Sequence[Bundle]) -> list[str]:
    """Unique names: duplicates get the version and, if that is not enough, the hash."""
    names = [bundle.name for bundle in bundles]
    for attribute in ("version", "sha256"):
        names = [
            f"{name} {getattr(bundle, attribute)[:8]}" if names.count(name) > 1 else name
            for name, bundle in zip(names, bundles, strict=True)
        ]
    return names


def _total(training: Mapping[str, Any], name: str) -> float | None:
    """The sum over all trainings; None unless each of them has the value."""
    values = [one.get(name) for one in training.values() if isinstance(one, Mapping)]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class EvaluationRun:
    """Settings of an evaluation that apply to each case.

    Attributes:
        entrants: the bundles; the others are compared with the first one.
        views: 1, 2 or both, ascending.
        steps: sampling steps, if there is one bundle; None: those of the bundles.
        samples: number of samples of a stochastic method.
        context: seed, device, progress and cancellation.
        kept: stored results.
    """

    entrants: Sequence[Entrant]
    views: tuple[int, ...]
    steps: Mapping[str, int] | Sequence[int] | None
    samples: int
    context: RunContext
    kept: Kept

    @property
    def first(self) -> Entrant:
        """The bundle that the others are compared with; its atlas and HU window apply to all."""
        return self.entrants[0]

    @property
    def window(self) -> HuWindow:
        """HU window to which metrics clip."""
        return self.first.session.window

    @cached_property
    def grid(self) -> int:
        """Side in voxels of the smallest grid of all bundles, on which they are compared."""
        return min(entrant.session.config.grid for entrant in self.entrants)

    @cached_property
    def device(self) -> torch.device:
        """The device of the networks."""
        return choose_device(self.context.device)

    @cached_property
    def one_at_a_time(self) -> bool:
        """Whether to keep only the running model in memory, because together they are large."""
        sizes = [parameter_count(entrant.bundle) for entrant in self.entrants]
        return sum(sizes) > MOST_PARAMETERS and len(sizes) > 1
