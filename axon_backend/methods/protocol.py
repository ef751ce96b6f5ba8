"""The interface of a method, by which all are trained, exported, run, evaluated and shown.

A :class:`Method` is described by its ``MethodInfo`` and builds a :class:`Model` from a
configuration: networks on a device that run the method's stages. Its trainings are
``methods.objective.Objective`` classes.
"""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.info import MethodInfo
from axon_backend.methods.typed_config import Renamed, from_plain
from axon_backend.networks.precision import Precision
from axon_backend.util.run_context import RunContext

if TYPE_CHECKING:
    from axon_backend.methods.batch import Batch
    from axon_backend.methods.objective import Objective


@dataclass(frozen=True)
class RegisteredViews:
    """The input of a method.

    Attributes:
        frontal: (B, 1, S, S) standardised registered frontal view.
        lateral: the same, or None.
        beam: (B, 2) beam parameters (``physics.geometry.beam_parameter``).
        has_lateral: (B,) bool, which samples of a batch have a lateral view; None: all of them, if
            ``lateral`` is given.
    """

    frontal: torch.Tensor
    lateral: torch.Tensor | None
    beam: torch.Tensor
    has_lateral: torch.Tensor | None = None

    @property
    def both(self) -> list[torch.Tensor]:
        """The available views, frontal first."""
        return [view for view in (self.frontal, self.lateral) if view is not None]

    @property
    def lateral_present(self) -> torch.Tensor:
        """(B,) bool on the views' device: which samples have a lateral view; ``has_lateral`` with
        None resolved."""
        if self.lateral is not None and self.has_lateral is not None:
            return self.has_lateral
        there = self.lateral is not None
        return torch.full((len(self.frontal),), there, device=self.frontal.device)

    def split(self) -> list[RegisteredViews]:
        """Each sample's views, a batch of one."""
        samples = []
        for i in range(len(self.frontal)):
            one = slice(i, i + 1)
            present = self.has_lateral is None or bool(self.has_lateral[i])
            lateral = self.lateral[one] if self.lateral is not None and present else None
            samples.append(RegisteredViews(self.frontal[one], lateral, self.beam[one]))
        return samples

    def to(self, device: torch.device | str) -> RegisteredViews:
        """The views on another device."""

        def moved(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor.to(device)

        return RegisteredViews(
            self.frontal.to(device),
            moved(self.lateral),
            self.beam.to(device),
            moved(self.has_lateral),
        )


@dataclass(frozen=True)
class StageVolumes:
    """Volumes by stage name, (1, 1, n, n, n) in normalised HU, and the seconds each took."""

    volumes: dict[str, torch.Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class ModelConfig(Protocol):
    """Everything that defines a model except its weights: a frozen dataclass of plain values.

    Attributes:
        view_size: side in pixels of the views that the networks take.
        grid: side h of the first stage's volume in voxels.
        output_grid: side of the last stage's volume.
        window: the HU that are mapped to -1 and 1.
        networks: names of the model's networks.
    """

    @property
    def view_size(self) -> int: ...
    @property
    def grid(self) -> int: ...
    @property
    def output_grid(self) -> int: ...
    @property
    def window(self) -> HuWindow: ...
    @property
    def networks(self) -> tuple[str, ...]: ...

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON and YAML."""
        ...


class OneGridConfig:
    """Base class of :class:`ModelConfig` dataclasses whose output has the side ``grid``."""

    @property
    def output_grid(self: ModelConfig) -> int:
        """Side of the volume in voxels."""
        return self.grid

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON and YAML."""
        return asdict(self)  # type: ignore[call-overload]


class Model(nn.Module):
    """The networks of a method, and how they are run.

    A network is a submodule with its name in ``config.networks``, or at the path given in
    :attr:`PATHS`. A model may hold only some of its networks (:meth:`keep_networks`).

    Args:
        method: the method of this model.
        config: the model's configuration.
    """

    PATHS: Mapping[str, str] = {}
    """{network: dotted name of the submodule}, if it differs from the network's name."""
    AUTOCASTS = False
    """Whether :meth:`run_stage` calls the networks under ``networks.precision.autocast`` only, so
    that the weights of convolutions and linear layers can be stored in the type that it uses."""

    def __init__(self, method: Method, config: Any) -> None:
        super().__init__()
        self.method, self.config = method, config
        self.precision = Precision()

    # -- networks ------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """The device of the weights or, without weights, of the buffers."""
        first = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def network(self, name: str) -> nn.Module:
        """A network by name; raises AttributeError if the model does not hold it."""
        return self.get_submodule(self.PATHS.get(name, name))

    def has_network(self, name: str) -> bool:
        """Whether the model holds that network."""
        try:
            self.network(name)
        except AttributeError:
            return False
        return True

    def keep_networks(self, names: Iterable[str]) -> None:
        """Remove all other networks."""
        for name in set(self.config.networks) - set(names):
            if self.has_network(name):
                self._put(name, None)

    def _put(self, name: str, network: nn.Module | None) -> None:
        owner, _, attribute = self.PATHS.get(name, name).rpartition(".")
        setattr(self.get_submodule(owner), attribute, network)

    def copy_of_stage(self, stage: str) -> Model:
        """An independent copy of the model with only the networks of one stage."""
        needed = self.method.networks_of(self.config, stage)
        with torch.device("meta"):
            other = self.method.build(self.config)
        other.keep_networks(needed)
        for name in needed:
            other._put(name, copy.deepcopy(self.network(name)))
        other.compute_in_bfloat16(self.always_bfloat16)
        return other.eval()

    @property
    def always_bfloat16(self) -> bool:
        """Whether to compute in bfloat16 even where the hardware does not favour it."""
        return self.precision.always_bfloat16

    def compute_in_bfloat16(self, always: bool = True) -> None:
        """Compute in bfloat16 even where the hardware does not favour it."""
        self.precision.always_bfloat16 = always

    def set_mean_volume(self, mean: torch.Tensor) -> None:
        """Receive the mean training volume, (1, 1, n, n, n) in [-1, 1] with n a multiple of
        ``grid``; called once before training. By default it is ignored."""

    def initialise(self, network: str) -> str | None:
        """Initialise an untrained network from another one, if that is better than random weights.

        Returns:
            the name of the other network, or None.
        """
        return None

    def complete(
        self, network: str, state: Mapping[str, torch.Tensor]
    ) -> Mapping[str, torch.Tensor]:
        """Complete the weights of a bundle that training starts from with parameters that they
        lack and this model's network has."""
        return state

    # -- running -------------------------------------------------------------------------------

    @abstractmethod
    def run_stage(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: int | None = None,
        context: RunContext | None = None,
        slab: int | None = None,
    ) -> torch.Tensor:
        """Run one stage on the volume of the stage before it (None for the first).

        Each stage uses its own generator (:meth:`generator`), so that omitting a later stage does
        not change an earlier one.

        Args:
            stage: one of the method's stages.
            views: the views of one patient.
            volume: (1, 1, n, n, n) in normalised HU, the output of the stage before; None for the
                first stage.
            steps: sampling steps; by default those of the configuration.
            context: seed, progress and cancellation.
            slab: slices processed at a time, for stages with ``StageInfo.in_slabs``.

        Returns:
            (1, 1, n, n, n) in normalised HU, on this model's device.

        Raises:
            ValueError: the stage needs a volume and there is none.
            Cancelled: ``context`` was cancelled.
        """

    def generator(self, stage: str, seed: int) -> torch.Generator:
        """The source of a stage's noise, on the CPU so that a seed gives the same noise for any
        device."""
        names = self.method.info.stage_names
        return torch.Generator().manual_seed(seed * len(names) + names.index(stage))

    def reconstruct(
        self,
        views: RegisteredViews,
        *,
        stages: tuple[str, ...] | None = None,
        steps: dict[str, int] | None = None,
        context: RunContext | None = None,
    ) -> StageVolumes:
        """Run the given stages (by default all), each on the volume of the previous one.

        Raises:
            ValueError: a stage is unknown, or needs one that is not run.
        """
        names = self.method.info.stage_names
        stages = names if stages is None else stages
        unknown = {*stages, *(steps or {})} - set(names)
        if unknown:
            raise ValueError(f"the stages are {names}, got {sorted(unknown)}")
        result = StageVolumes()
        volume: torch.Tensor | None = None
        for stage in self.method.info.stages:
            if stage.name not in stages:
                continue
            if stage.needs is not None and stage.needs not in result.volumes:
                raise ValueError(f"stage {stage.name!r} needs stage {stage.needs!r} before it")
            began = time.perf_counter()
            volume = self.run_stage(
                stage.name,
                views.to(self.device),
                volume,
                steps=(steps or {}).get(stage.name),
                context=context,
            )
            result.volumes[stage.name] = volume
            result.seconds[stage.name] = time.perf_counter() - began
        return result


class Method(ABC):
    """A method to reconstruct a CT volume from X-rays.

    Attributes:
        info: names, stages, trainings.
        config_type: dataclass of the configuration, a :class:`ModelConfig`.
        presets: configurations by name, as in ``info.presets``.
        objectives: objectives by training, as in ``info.trainings``.
        loss_settings: dataclass of the objectives' settings.
        references: papers, for the model card.
        sampling_key: key of the configuration's part that may change without retraining.
        renamed_settings: former names of ``model`` and ``loss`` settings in YAML files and
            checkpoints of earlier versions (``methods.typed_config.with_new_names``).
    """

    info: MethodInfo
    config_type: type
    presets: Mapping[str, Callable[[], Any]]
    objectives: Mapping[str, type[Objective]]
    loss_settings: type
    references: tuple[str, ...] = ()
    sampling_key: str = "sampling"
    renamed_settings: Renamed = {}

    def configure(self, values: Mapping[str, Any]) -> Any:
        """A configuration from the plain values of ``as_dict``. A method whose settings were
        renamed overrides this to accept the former names.

        Raises:
            TypeError, ValueError: a key is unknown, or a value invalid.
        """
        return from_plain(self.config_type, values)

    @abstractmethod
    def build(self, config: Any) -> Model:
        """A model with random weights."""

    def networks_of(self, config: Any, stage: str) -> tuple[str, ...]:
        """The networks that a stage runs, by default all."""
        return config.networks

    @abstractmethod
    def network_formats(self, config: Any) -> dict[str, dict[str, Any]]:
        """{network: {"inputs": ..., "outputs": ...}} for MONAI's metadata (``methods.formats``)."""

    def default_steps(self, config: Any) -> dict[str, int]:
        """Default number of sampling steps of each stage."""
        return dict.fromkeys(self.info.stage_names, 1)

    def draw_steps(self, config: Any) -> dict[str, int]:
        """Steps of the stages that take another number of them where several samples are drawn."""
        return {}

    def calibrated(
        self, model: Model, batches: Sequence[Batch], steps: int, tell: Callable[[str], None]
    ) -> Any:
        """The configuration with which samples of a trained model vary as much as patients whose
        X-rays look alike; None if the method has no such calibration.

        Args:
            model: the model.
            batches: one patient each, without draws, that the networks were not trained on.
            steps: sampling steps of a sample.
            tell: called with a line on each attempt.
        """
        return None

    def stochastic_stages(self, config: Any) -> tuple[str, ...]:
        """The stages whose output depends on the seed, by default those that take steps. If there
        are any, the evaluation measures a single sample and the mean of several."""
        return tuple(stage.name for stage in self.info.stages if stage.takes_steps)

    def network_settings(self, config: Any, network: str) -> dict[str, Any]:
        """The part of the configuration that a network is built from and trained with, which must
        agree within a bundle. By default everything except the sampling."""
        return {k: v for k, v in config.as_dict().items() if k != self.sampling_key}

    def merge(self, config: Any, network: str, trained: Any) -> Any:
        """Merge the configuration ``trained`` of the run that trained ``network`` into that of the
        bundle."""
        return config

    def can_start_from(self, network: str, config: Any, start: Any) -> bool:
        """Whether weights of a bundle with the configuration ``start`` can initialise a network
        that is to be trained."""
        return True

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        """Settings of ``axon train`` that differ from its defaults, nested as in its YAML."""
        return {}

    def deviations(self, preset: str) -> tuple[str, ...]:
        """Deviations of a paper's preset from the paper, and what the paper does not specify, as
        sentences; ``axon train --show`` prints them."""
        return ()

    def smallest_side(self, config: Any) -> int | None:
        """Side of the coarsest 3-D feature volume, None if irrelevant (see
        ``training.run.fabric.resolve_precision``)."""
        return None

    def describe(self, config: Any) -> str:
        """One or two sentences on the networks, for the model card."""
        return f"{self.info.label}: {self.info.summary}"
