"""What the logic's methods return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class RadiographDescription:
    """What is known and was assumed about an X-ray.

    Attributes:
        view: ``pa``, ``ap``, ``ll`` or ``rl``.
        pixelMm: (row, column) in millimetres in the patient, or None when unknown.
        inverted: the greys were turned, so that bones are bright.
        assumptions: sentences for the user.
    """

    view: str
    pixelMm: tuple[float, float] | None
    inverted: bool
    assumptions: list[str] = field(default_factory=list)


@dataclass
class RegistrationResult:
    """Where an X-ray lies over the reference.

    Attributes:
        transformNode: carries the X-ray's node to its place.
        matrix: (3, 3), canonical view in [0, 1]^2 (x to the viewer's right, y down) to (column,
            row) pixels of the X-ray; what `reconstruct(accepted=...)` takes.
        quality: ``ncc``, ``gradient_ncc``, ``mutual_information``, ``verdict`` (good, fair, poor).
        warnings: sentences for the user.
    """

    transformNode: Any
    matrix: Any
    quality: dict
    warnings: list[str] = field(default_factory=list)


class RegistrationResults(dict):
    """`RegistrationResult` by role (``frontal``, ``lateral``).

    Attributes:
        pose: the backend's `Pose` that was found or given; None for a planar registration.
        history: (step, similarity) of a pose registration.
        warnings: sentences for the user about the pose; those about one X-ray are with it.
    """

    def __init__(
        self,
        results: dict,
        pose: Any = None,
        history: list | None = None,
        warnings: list[str] | None = None,
    ) -> None:
        super().__init__(results)
        self.pose = pose
        self.history = list(history or [])
        self.warnings = list(warnings or [])


def measures(record: dict) -> dict[str, dict[str, float]]:
    """The measures against the true CT by stage, then those of the mean training volume
    (``atlas_mean``), the floor to beat; empty without a CT."""
    found = dict(record.get("metrics") or {})
    if found and record.get("atlas_mean"):
        found["atlas_mean"] = record["atlas_mean"]
    return found


@dataclass
class ReconstructionResult:
    """The volumes of one run as nodes of the scene, and its record.

    Attributes:
        volumes: scalar volume nodes in HU by stage (``coarse``, ``fine``, ``sr``).
        deviation: standard deviation over the samples of the last stage, or None.
        truth: the given CT in the thorax frame, on the grid of the last stage, or None.
        difference: last stage minus truth, or None.
        metricsTable: one row a stage and one for the mean training volume, or None without a CT.
        record: everything that the backend's ``result.json`` holds.
        cancelled: the run was stopped; `volumes` holds the stages that had ended.
    """

    volumes: dict[str, Any]
    deviation: Any = None
    truth: Any = None
    difference: Any = None
    metricsTable: Any = None
    record: dict = field(default_factory=dict)
    cancelled: bool = False

    @property
    def finalStage(self) -> str:
        """The last stage that ended; empty when none did."""
        return list(self.volumes)[-1] if self.volumes else ""

    @property
    def volume(self) -> Any:
        """The last stage's node, or None."""
        return self.volumes[self.finalStage] if self.volumes else None
