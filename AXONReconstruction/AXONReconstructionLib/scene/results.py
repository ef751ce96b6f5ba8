"""Return types of the logic's methods."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from slicer.i18n import tr as _


@dataclass
class RadiographDescription:
    """What is known and what was assumed about an X-ray.

    Attributes:
        view: ``pa``, ``ap``, ``ll`` or ``rl``.
        pixelMm: (row, column) in millimetres in the plane of the patient; None if unknown.
        inverted: the intensities were inverted so that bones are bright.
        assumptions: messages for the user.
        looksLike: what the image shows instead of a chest X-ray of its view; it is refused. Empty
            if it shows one, or if it was accepted.
    """

    view: str
    pixelMm: tuple[float, float] | None
    inverted: bool
    assumptions: list[str] = field(default_factory=list)
    looksLike: str = ""


@dataclass
class RegistrationResult:
    """Registration of an X-ray to the reference.

    Attributes:
        transformNode: linear transform applied to the X-ray's node.
        matrix: (3, 3), canonical view in [0, 1]^2 (x to the viewer's right, y down) to (column,
            row) pixels of the X-ray; the format of `reconstruct(accepted=...)`.
        quality: ``ncc``, ``gradient_ncc``, ``mutual_information``, ``verdict`` (good, fair, poor).
        warnings: messages for the user.
    """

    transformNode: Any
    matrix: Any
    quality: dict
    warnings: list[str] = field(default_factory=list)


class RegistrationResults(dict):
    """`RegistrationResult` by role (``frontal``, ``lateral``).

    Attributes:
        pose: the backend's `Pose`, estimated or given; None for a planar registration.
        history: (step, similarity) of a pose registration.
        warnings: messages about the pose; those about one X-ray are in its own result.
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


def metricsByStage(record: dict) -> dict[str, dict[str, float]]:
    """Metrics against the CT by stage, followed by those of the atlas (``atlas_mean``)
    as a baseline; empty without a CT."""
    found = dict(record.get("metrics") or {})
    if found and record.get("atlas_mean"):
        found["atlas_mean"] = record["atlas_mean"]
    return found


@dataclass
class ReconstructionResult:
    """The volumes of one run as nodes of the scene, and its record.

    Attributes:
        volumes: scalar volume nodes in HU by stage in the order in which they ran.
        deviation: standard deviation over the samples of the last stage, or None.
        truth: the CT in the thorax frame, on the grid of the last stage, or None.
        difference: last stage minus CT, or None.
        metricsTable: one row per stage and one for the atlas, or None without a CT.
        record: contents of the backend's ``result.json``.
        cancelled: the run was cancelled; `volumes` holds the finished stages.
        samples: sequence browser of the single samples of the last stage, or None.
    """

    volumes: dict[str, Any]
    deviation: Any = None
    truth: Any = None
    difference: Any = None
    metricsTable: Any = None
    record: dict = field(default_factory=dict)
    cancelled: bool = False
    samples: Any = None

    @property
    def finalStage(self) -> str:
        """The last finished stage; empty if there is none."""
        return list(self.volumes)[-1] if self.volumes else ""

    @property
    def recommendedStage(self) -> str:
        """The stage to look at first: the one that the model's authors recommend, else the last."""
        recommended = str(self.record.get("recommended_stage") or "")
        return recommended if recommended in self.volumes else self.finalStage

    @property
    def volume(self) -> Any:
        """The last stage's node, or None."""
        return self.volumes[self.finalStage] if self.volumes else None


def nameOf(record: dict, views: int) -> str:
    """What tells a run from others of the same case: views, seed, samples, model.

    Args:
        record: with ``bundle``, ``seed`` and ``samples``.
        views: number of X-rays, rendered ones included.
    """
    bundle = record.get("bundle") or {}
    parts = [
        _("1 view") if views == 1 else _("{n} views").format(n=views),
        _("seed {seed}").format(seed=record.get("seed", "?")),
    ]
    if record.get("samples", 1) > 1:
        parts.append(_("{n} samples").format(n=record["samples"]))
    model = "{name} {version}".format(**{"name": "?", "version": "", **bundle}).strip()
    return ", ".join([*parts, model])  # lists cut off what is last


def resultOf(result: Any) -> ReconstructionResult:
    """The `ReconstructionResult` of a parameter node; a result is returned unchanged.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(result, ReconstructionResult):
        return result
    if not hasattr(result, "volumes"):
        kind = type(result).__name__
        raise TypeError(f"expected a ReconstructionResult or a parameter node, got {kind}")
    return ReconstructionResult(
        # A node deleted by the user is None.
        volumes={stage: node for stage, node in result.volumes.items() if node is not None},
        deviation=result.deviationVolume,
        truth=result.truthVolume,
        difference=result.differenceVolume,
        metricsTable=result.metricsTable,
        record=json.loads(result.record) if result.record else {},
        samples=result.samplesBrowser,
    )
