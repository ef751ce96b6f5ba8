"""Descriptions of methods that can be used without loading them: names, labels, stages.

Listings, dialogs and command-line help are generated from these. This module does not import torch.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


ALL_STAGES = "all"
"""What asks for every stage of a method; no stage has this name."""


@dataclass(frozen=True)
class StageInfo:
    """One stage of a reconstruction.

    Attributes:
        name: identifier in commands, file names and records.
        label: display name.
        description: the stage's output, a noun phrase.
        needs: the stage that must have run before, or None.
        takes_steps: whether the number of sampling steps can be chosen.
        in_slabs: whether it can process a few slices at a time if memory is short.
    """

    name: str
    label: str
    description: str = ""
    needs: str | None = None
    takes_steps: bool = True
    in_slabs: bool = False


@dataclass(frozen=True)
class TrainingInfo:
    """One training of a method (``axon train NAME``).

    Attributes:
        name: identifier in commands and run folders.
        label, description: display texts.
        takes_minutes: a sensible budget for the preview size on two CPU cores.
    """

    name: str
    label: str
    description: str = ""
    takes_minutes: int = 60


@dataclass(frozen=True)
class MethodInfo:
    """A method's name, its stages and its trainings, in the order in which they run.

    Attributes:
        name: identifier in bundles, tables and commands.
        label: display name.
        summary: a phrase that follows the label and a colon.
        presets: names of its configurations; the first is the default.
        implementation: "module:object", the :class:`Method` itself, imported by :meth:`load`.
    """

    name: str
    label: str
    summary: str
    stages: tuple[StageInfo, ...]
    trainings: tuple[TrainingInfo, ...]
    implementation: str
    presets: tuple[str, ...] = ("preview",)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The names of the stages."""
        return tuple(stage.name for stage in self.stages)

    def stages_until(self, name: str | None) -> tuple[str, ...]:
        """The names up to and including a stage; all of them for None, or if there is no such
        stage."""
        names = self.stage_names
        return names[: names.index(name) + 1] if name in names else names

    @property
    def training_names(self) -> tuple[str, ...]:
        """The names of the trainings."""
        return tuple(training.name for training in self.trainings)

    def stage(self, name: str) -> StageInfo:
        """The stage with a name; raises KeyError if there is none."""
        return {stage.name: stage for stage in self.stages}[name]

    def load(self) -> Method:
        """The method itself; imports torch."""
        module, _, name = self.implementation.partition(":")
        return getattr(importlib.import_module(module), name)
