"""``axon evaluate``: compare bundles with the true CT, or with a lateral X-ray not used as input.

A case is read, registered and rendered once for all bundles. Results are stored
(``evaluation.kept``), so that an evaluation that was stopped, or to which bundles or cases are
added, computes only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend import __version__
from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError, Cancelled, reason_of
from axon_backend.evaluation.comparison import BASELINE, SAMPLE
from axon_backend.evaluation.entrants import Entrant, EvaluationRun, entrants
from axon_backend.evaluation.evaluated_case import VIEW_PIXELS, EvaluatedCase, frontal_only
from axon_backend.evaluation.kept import Kept
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.evaluation.projection_test import projection_scores, side_view
from axon_backend.evaluation.statistics import coverage, spread_and_skill
from axon_backend.imaging.display import grey
from axon_backend.imaging.matching import shrink_to
from axon_backend.inference.case import PlacedCase
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.inference.result import atlas_on_grid, measure, reprojection
from axon_backend.util.plain_text import without_folders
from axon_backend.util.run_context import Progress, RunContext

#: Default number of samples of a stochastic method.
SAMPLES = 8
#: Number of samples shown in the figure of samples.
SHOWN_SAMPLES = 6


@dataclass
class EvaluationResult:
    """Result of an evaluation.

    Attributes:
        rows: rows of ``metrics.csv`` (see ``tables.write_metrics_csv``), in the order of cases,
            views and bundles.
        failures: (id, reason) of cases that failed.
        settings: settings of the run.
        inputs: kind of each case's inputs.
        bundles: :meth:`Entrant.about` of each bundle.
        shown: arrays for the figures by (case id, views, bundle).
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    bundles: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[tuple[str, int, str], dict[str, np.ndarray]] = field(default_factory=dict)


def evaluate_cases(
    cases: Sequence[ManifestCase],
    *,
    bundles: Sequence[str | Path | Bundle | None] = (None,),
    views: Sequence[int] = (1, 2),
    stages: tuple[str, ...] | None = None,
    steps: Mapping[str, int] | Sequence[int] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    device: str = "auto",
    figures: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EvaluationResult:
    """Reconstruct every case with every bundle, from its frontal view and from both views.

    Each stage is compared with the CT at its own resolution and on the smallest grid of all
    bundles, in the frame found in the CT and the HU window of the first bundle. The atlas of the
    first bundle (the mean training volume) is measured too. A stochastic method is measured by one
    sample and by the mean of several.

    A case without a CT is used for the projection test (``evaluation.projection_test``): it is
    reconstructed from its frontal X-ray alone, registered to the atlas of the first bundle.

    A case that fails is listed with the reason; the remaining cases are still processed.

    Args:
        cases: cases of a manifest.
        bundles: the models; the others are compared with the first one.
        views: 1, 2 or both.
        stages: see ``entrants.entrants``.
        steps: sampling steps, if there is one bundle.
        samples: number K of samples of a stochastic method; 1 measures a single sample only.
        seed: seed of the first sample.
        device: ``auto``, ``cpu`` or ``cuda``.
        figures: number of cases of each kind of input whose volumes are kept for figures.
        folder: folder of stored results; None stores nothing.
        progress, cancelled: see ``RunContext``.

    Raises:
        AxonInputError: a bundle, the device or an argument cannot be used.
        Cancelled: ``cancelled()`` returned True; finished results are stored.
    """
    if not views or not set(views) <= {1, 2}:
        raise AxonInputError(f"The views are {list(views)}; give 1, 2 or both.")
    if samples < 1:
        raise AxonInputError(f"At least one sample is needed; {samples} were requested.")
    opened = entrants(bundles, device, stages)
    if steps is not None:
        if len(opened) > 1:
            raise AxonInputError(
                "Steps can be chosen for a single bundle only; several bundles use their own steps."
            )
        opened[0].session.steps(steps)
    run = EvaluationRun(
        opened,
        tuple(sorted(set(views))),
        steps,
        samples,
        RunContext(seed, device, progress, cancelled),
        Kept(folder),
    )
    return _Evaluation(run).cases(cases, figures)


class _Evaluation:
    def __init__(self, run: EvaluationRun) -> None:
        self.run = run

    def cases(self, cases: Sequence[ManifestCase], figures: int) -> EvaluationResult:
        result = EvaluationResult(settings=self._settings())
        result.bundles = [entrant.about() for entrant in self.run.entrants]
        shown = cases_for_figures(cases, figures)
        tested: list[EvaluatedCase] = []
        for number, case in enumerate(cases):
            name = f"{case.id} ({number + 1} of {len(cases)})"
            try:
                one = EvaluatedCase(case, self.run, name, case.id in shown)
                rows = self._projections(one) if case.ct is None else self._against_ct(one, result)
            except (Cancelled, KeyboardInterrupt):
                raise
            except Exception as error:
                result.failures.append((case.id, without_folders(reason_of(error), case.files)))
                continue
            if case.ct is None:
                tested.append(one)
            result.rows += rows
            result.inputs[case.id] = "; ".join(
                dict.fromkeys(case.source(v) for v in ((1,) if case.ct is None else self.run.views))
            )
        result.rows += self._projection_rows(tested)
        return result

    def _settings(self) -> dict[str, str]:
        context, window = self.run.context, self.run.window
        return {
            "AXON": __version__,
            **{
                f"bundle {e.label}": f"version {e.bundle.version}, stages {', '.join(e.stages)}, "
                f"SHA-256 {e.bundle.sha256}"
                for e in self.run.entrants
            },
            "seed": str(context.seed),
            "samples of a stochastic method": str(self.run.samples),
            "steps": str(self.run.steps) if self.run.steps else "as in the bundles",
            "HU window of the metrics": f"{window.low:g} to {window.high:g}",
            "device": str(self.run.device),
        }

    # -- against the CT ------------------------------------------------------------------------

    def _against_ct(self, one: EvaluatedCase, result: EvaluationResult) -> list[dict[str, Any]]:
        rows = []
        for views in self.run.views:
            for entrant in self.run.entrants:
                key = one.key(entrant, views)
                found = self.run.kept.rows(key)
                if found is None or (one.shown and self.run.kept.arrays(key) is None):
                    placed = one.placed if views == 2 else frontal_only(one.placed)
                    self.run.kept.put(key, *self._measured(one, placed, entrant, views))
                    found = self.run.kept.rows(key) or []
                rows += [one.labelled(row, entrant, views) for row in found]
                if one.shown:
                    arrays = self.run.kept.arrays(key)
                    if arrays is not None:
                        result.shown[one.case.id, views, entrant.label] = arrays
        return rows

    def _measured(
        self, one: EvaluatedCase, placed: PlacedCase, entrant: Entrant, views: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray] | None]:
        """Rows (without the entries of :meth:`EvaluatedCase.labelled`), and arrays for figures."""
        rows: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for stage, found in self._samples(one, placed, entrant, views).items():
            own = found[0].shape[-1]
            for estimate, volume in self._estimates(entrant, stage, found):
                hu = entrant.session.window.to_hu(volume).numpy().astype(np.float32)
                seen = {f"reprojection_{k}": v for k, v in reprojection(hu, one.placed).items()}
                for grid in sorted({own, self.run.grid}):
                    row = {
                        "method": entrant.session.info.name, "stage": stage,
                        "estimate": estimate, "grid": grid,
                        **self._metrics(one, _on_grid(hu, grid)), **seen,
                    }  # fmt: skip
                    if estimate.startswith("mean"):
                        row |= self._spread(one, entrant, found, grid)
                    rows.append(row)
                if one.shown and not estimate.startswith("mean"):
                    arrays[f"volume_{stage}"] = np.rint(hu).astype(np.int16)
            if one.shown:
                arrays[f"truth_{own}"] = np.rint(one.truth(own)).astype(np.int16)
                if len(found) > 1 and stage in entrant.stochastic:
                    arrays["samples"] = np.stack([
                        np.rint(entrant.session.window.to_hu(f[0, 0]).numpy()).astype(np.int16)
                        for f in found[:SHOWN_SAMPLES]
                    ])  # fmt: skip
        if entrant is self.run.first:
            hu = atlas_on_grid(atlas_ct(entrant.bundle), self.run.grid)
            seen = {f"reprojection_{k}": v for k, v in reprojection(hu, one.placed).items()}
            rows.append({
                "bundle": BASELINE, "method": BASELINE, "stage": "", "estimate": "",
                "grid": self.run.grid, **self._metrics(one, hu), **seen,
            })  # fmt: skip
        if not one.shown:
            return rows, None
        arrays["size_mm"] = np.asarray(placed.frame.size_mm)
        for role, view in placed.views.items():
            small = shrink_to(grey(view.pixels, view.valid), VIEW_PIXELS, VIEW_PIXELS)
            arrays[f"view_{role}"] = np.rint(255 * small.clip(0, 1)).astype(np.uint8)
        return rows, arrays

    def _samples(
        self, one: EvaluatedCase, placed: PlacedCase, entrant: Entrant, views: int
    ) -> dict[str, list[torch.Tensor]]:
        label = f"{one.name} {entrant.label}, {views}-view "

        def report(stage: str, step: int, total: int, preview: Any) -> None:
            self.run.context.report(label + stage, step, total, preview)

        found = entrant.session.sample(
            placed,
            stages=entrant.stages,
            steps=self.run.steps,
            samples=self.run.samples if entrant.stochastic else 1,
            context=self.run.context.with_progress(report),
        )
        if self.run.one_at_a_time:
            entrant.session.release()
        return found

    def _estimates(
        self, entrant: Entrant, stage: str, found: list[torch.Tensor]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        if stage not in entrant.stochastic:
            yield "", found[0][0, 0]
            return
        yield SAMPLE, found[0][0, 0]
        if len(found) > 1:
            yield f"mean of {len(found)}", torch.stack(found).mean(0)[0, 0]

    def _metrics(self, one: EvaluatedCase, hu: np.ndarray) -> dict[str, float]:
        n = hu.shape[0]
        return measure(hu, one.truth(n), self.run.window, one.placed.frame.spacing_mm(n))

    def _spread(
        self, one: EvaluatedCase, entrant: Entrant, found: list[torch.Tensor], grid: int
    ) -> dict[str, float]:
        window = entrant.session.window
        samples = np.stack(
            [self._unit(_on_grid(window.to_hu(f[0, 0]).numpy(), grid)) for f in found]
        )
        truth = self._unit(one.truth(grid))
        spread, ratio = spread_and_skill(samples, truth)
        return {
            "spread": spread,
            "spread_skill": ratio,
            "coverage_50": coverage(samples, truth, 0.5),
            "coverage_90": coverage(samples, truth, 0.9),
        }

    def _unit(self, hu: np.ndarray) -> np.ndarray:
        return (self.run.window.normalise(hu) + 1) / 2

    # -- the projection test -------------------------------------------------------------------

    def _projections(self, one: EvaluatedCase) -> list[dict[str, Any]]:
        """Reconstruct from the frontal X-ray and store the projections along x."""
        for entrant in self.run.entrants:
            key = one.key(entrant, 1)
            if self.run.kept.rows(key) is not None and self.run.kept.arrays(key) is not None:
                continue
            rows: list[dict[str, Any]] = []
            arrays: dict[str, np.ndarray] = {}
            for stage, found in self._samples(one, one.placed, entrant, 1).items():
                for estimate, volume in self._estimates(entrant, stage, found):
                    arrays[f"side_{len(rows)}"] = side_view(
                        entrant.session.window.to_hu(volume).numpy()
                    )
                    rows.append({
                        "method": entrant.session.info.name, "stage": stage,
                        "estimate": estimate, "grid": 0,
                    })  # fmt: skip
            self.run.kept.put(key, rows, arrays)
        one.lateral()  # an unusable image fails here, as a failure of this case
        one.release()
        return []

    def _projection_rows(self, tested: list[EvaluatedCase]) -> list[dict[str, Any]]:
        """Compare the projections of all cases with all lateral images."""
        if not tested:
            return []
        laterals = [one.lateral() for one in tested]
        patients = [one.case.of_patient for one in tested]
        scored: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for e, entrant in enumerate(self.run.entrants):
            keys = [one.key(entrant, 1) for one in tested]
            of_cases = [self.run.kept.rows(key) or [] for key in keys]
            arrays = [self.run.kept.arrays(key) or {} for key in keys]
            for k in range(min(len(rows) for rows in of_cases)):
                scores = projection_scores([a[f"side_{k}"] for a in arrays], laterals, patients)
                for i, (rows, score) in enumerate(zip(of_cases, scores, strict=True)):
                    scored.setdefault((i, e), []).append({**rows[k], **score})
        return [
            one.labelled(row, entrant, 1)
            for i, one in enumerate(tested)
            for e, entrant in enumerate(self.run.entrants)
            for row in scored.get((i, e), ())
        ]


def cases_for_figures(cases: Sequence[ManifestCase], figures: int) -> set[str]:
    """Ids of the first ``figures`` cases of each kind of input."""
    kinds: dict[str, list[str]] = {}
    for case in cases:
        if case.ct is not None:
            kinds.setdefault(case.source(2), []).append(case.id)
    return {name for ids in kinds.values() for name in ids[:figures]}


def _on_grid(hu: np.ndarray, n: int) -> np.ndarray:
    """A volume on a coarser grid of the same box, by averaging its voxels."""
    if hu.shape[0] == n:
        return hu
    return F.adaptive_avg_pool3d(torch.as_tensor(hu)[None], n)[0].numpy()
