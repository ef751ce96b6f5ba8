"""``axon evaluate``: bundles against the true CT, or against a lateral X-ray they have not seen.

A case is read, registered and rendered once for all bundles. What is measured is kept
(``evaluation.kept``), so that an evaluation that was stopped, or that gets a bundle or a case more,
computes only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend import __version__
from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.evaluation.comparison import BASELINE, SAMPLE
from axon_backend.evaluation.kept import Kept, content_hash, key_of
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.evaluation.projection_test import (
    LateralCuts,
    canonical_rows,
    cut_lateral,
    projection_scores,
    side_view,
)
from axon_backend.evaluation.statistics import spread_and_skill
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.display import grey
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame, resample_to_frame
from axon_backend.imaging.matching import shrink_to
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.view import View
from axon_backend.inference.case import CaseInputs, PlacedCase, place_case, read_case
from axon_backend.inference.model_loading import atlas_ct, choose_device, parameter_count
from axon_backend.inference.result import atlas_on_grid, measure, reprojection
from axon_backend.inference.session import InferenceSession
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.registration import register as register_xrays
from axon_backend.util.input_file import check_input
from axon_backend.util.plain_text import without_folders
from axon_backend.util.run_context import Progress, RunContext

#: Samples of a stochastic method that are averaged, unless asked otherwise.
SAMPLES = 8
#: Samples whose volumes are kept for the figure that shows how they differ.
SHOWN_SAMPLES = 6
VIEW_PIXELS = 256
#: With more than that in all bundles together, a gigabyte, only one bundle is in memory at a time.
MOST_PARAMETERS = 250_000_000


@dataclass(frozen=True)
class Entrant:
    """A bundle that takes part.

    Attributes:
        label: unlike those of the others.
        session: runs it.
        stages: of its method that are run.
        stochastic: those of them whose output depends on the seed, or is made from one that does.
    """

    label: str
    session: InferenceSession
    stages: tuple[str, ...]
    stochastic: tuple[str, ...]

    @property
    def bundle(self) -> Bundle:
        """Its weights."""
        return self.session.bundle

    def about(self) -> dict[str, Any]:
        """Parameters, and what its metadata say about the training (None: not recorded)."""
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


@dataclass
class EvaluationResult:
    """What was found.

    Attributes:
        rows: of ``metrics.csv`` (see ``tables.write_metrics_csv``), in the order of cases, views
            and bundles.
        failures: (id, reason) of cases that failed.
        settings: of the run.
        inputs: the source of each case's X-rays.
        bundles: :meth:`Entrant.about` of each.
        shown: of the cases for the figures, by (case id, views, bundle) the kept arrays.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    bundles: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[tuple[str, int, str], dict[str, np.ndarray]] = field(default_factory=dict)


def entrants(
    bundles: Sequence[str | Path | Bundle | None],
    device: str = "auto",
    stages: tuple[str, ...] | None = None,
) -> list[Entrant]:
    """The bundles, opened and labelled.

    Args:
        bundles: folders, names or loaded ones; None is the shipped one.
        device: ``auto``, ``cpu`` or ``cuda``.
        stages: to run, by name; each method runs those of them that it has, and all of its own
            where it has none.

    Raises:
        AxonInputError: a bundle or the device cannot be used, one is named twice, or no method has
            such a stage.
    """
    loaded = [b if isinstance(b, Bundle) else load_bundle(b) for b in bundles]
    hashes = [bundle.sha256 for bundle in loaded]
    if twice := [b for i, b in enumerate(loaded) if b.sha256 in hashes[:i]]:
        raise AxonInputError(
            f"The bundle {twice[0].name} ({twice[0].path}) is given twice. Give every bundle once."
        )
    sessions = [InferenceSession(bundle, device) for bundle in loaded]
    known = {name for session in sessions for name in session.info.stage_names}
    if stages and (unknown := [name for name in stages if name not in known]) and len(loaded) > 1:
        raise AxonInputError(
            f"No bundle has the stage {unknown[0]!r}; they have {', '.join(sorted(known))}."
        )
    made = []
    for label, session in zip(_labels(loaded), sessions, strict=True):
        own = tuple(s for s in stages or () if s in session.info.stage_names or len(loaded) == 1)
        chosen = session.stages(own or None)
        random = session.info.load().stochastic_stages(session.config)
        first = next((i for i, name in enumerate(chosen) if name in random), len(chosen))
        made.append(Entrant(label, session, chosen, chosen[first:]))
    return made


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

    Each stage is compared with the CT at its own resolution and on the smallest grid that any of
    the bundles has, in the frame found in the CT and in the HU window of the first bundle. The
    atlas of the first bundle (the mean training volume) is measured too. A stochastic method is
    measured by one sample and by the mean of several.

    A case without a CT takes part in the projection test (``evaluation.projection_test``): it is
    reconstructed from its frontal X-ray alone, registered to the atlas of the first bundle.

    A case that fails is listed with the reason; the remaining cases are still processed.

    Args:
        cases: of a manifest.
        bundles: the models; the others are compared with the first one.
        views: 1, 2 or both.
        stages: see :func:`entrants`.
        steps: sampling steps, where there is one bundle.
        samples: K of a stochastic method; 1 measures one sample only.
        seed: of the first sample.
        device: ``auto``, ``cpu`` or ``cuda``.
        figures: of that many cases of each kind of input the volumes are kept for figures.
        folder: where results are kept and looked for; None keeps nothing.
        progress, cancelled: see ``RunContext``.

    Raises:
        AxonInputError: a bundle, the device or an argument cannot be used.
        Cancelled: ``cancelled()`` was true; what is done is kept.
    """
    if not views or not set(views) <= {1, 2}:
        raise AxonInputError(f"The views are {list(views)}; give 1, 2 or both.")
    if samples < 1:
        raise AxonInputError(f"At least one sample is needed, {samples} were asked for.")
    taking_part = entrants(bundles, device, stages)
    if steps is not None:
        if len(taking_part) > 1:
            raise AxonInputError(
                "Steps can be chosen for one bundle only; several run with those of their own."
            )
        taking_part[0].session.steps(steps)
    run = _Evaluation(
        taking_part,
        tuple(sorted(set(views))),
        steps,
        samples,
        RunContext(seed, device, progress, cancelled),
        Kept(folder),
    )
    return run.cases(cases, figures)


class _Evaluation:
    def __init__(
        self,
        taking_part: list[Entrant],
        views: tuple[int, ...],
        steps: Mapping[str, int] | Sequence[int] | None,
        samples: int,
        context: RunContext,
        kept: Kept,
    ) -> None:
        self.entrants, self.views, self.steps, self.samples = taking_part, views, steps, samples
        self.context, self.kept = context, kept
        self.first = taking_part[0]
        self.window = self.first.session.window
        self.grid = min(e.session.config.grid for e in taking_part)
        self.device = choose_device(context.device)
        # Of many large models only the running one is kept in memory.
        sizes = [parameter_count(entrant.bundle) for entrant in taking_part]
        self.one_at_a_time = sum(sizes) > MOST_PARAMETERS and len(sizes) > 1

    def cases(self, cases: Sequence[ManifestCase], figures: int) -> EvaluationResult:
        result = EvaluationResult(settings=self._settings())
        result.bundles = [entrant.about() for entrant in self.entrants]
        shown = cases_for_figures(cases, figures)
        tested: list[_Case] = []
        for number, case in enumerate(cases):
            name = f"{case.id} ({number + 1} of {len(cases)})"
            try:
                one = _Case(case, self, name, case.id in shown)
                rows = self._projections(one) if case.ct is None else self._against_ct(one, result)
            except (Cancelled, KeyboardInterrupt):
                raise
            except Exception as error:
                result.failures.append((case.id, without_folders(_reason(error), case.files)))
                continue
            if case.ct is None:
                tested.append(one)
            result.rows += rows
            result.inputs[case.id] = "; ".join(
                dict.fromkeys(case.source(v) for v in ((1,) if case.ct is None else self.views))
            )
        result.rows += self._projection_rows(tested)
        return result

    def _settings(self) -> dict[str, str]:
        context, window = self.context, self.window
        return {
            "AXON": __version__,
            **{
                f"bundle {e.label}": f"version {e.bundle.version}, stages {', '.join(e.stages)}, "
                f"SHA-256 {e.bundle.sha256}"
                for e in self.entrants
            },
            "seed": str(context.seed),
            "samples of a stochastic method": str(self.samples),
            "steps": str(self.steps) if self.steps else "the bundles'",
            "HU window of the metrics": f"{window.low:g} to {window.high:g}",
            "device": str(self.device),
        }

    # -- against the CT ------------------------------------------------------------------------

    def _against_ct(self, one: _Case, result: EvaluationResult) -> list[dict[str, Any]]:
        rows = []
        for views in self.views:
            for entrant in self.entrants:
                key = one.key(entrant, views)
                found = self.kept.rows(key)
                if found is None or (one.shown and self.kept.arrays(key) is None):
                    placed = one.placed if views == 2 else frontal_only(one.placed)
                    self.kept.put(key, *self._measured(one, placed, entrant, views))
                    found = self.kept.rows(key) or []
                rows += [one.labelled(row, entrant, views) for row in found]
                if one.shown:
                    arrays = self.kept.arrays(key)
                    if arrays is not None:
                        result.shown[one.case.id, views, entrant.label] = arrays
        return rows

    def _measured(
        self, one: _Case, placed: PlacedCase, entrant: Entrant, views: int
    ) -> tuple[list[dict[str, Any]], dict[str, np.ndarray] | None]:
        """Rows (without what :meth:`_Case.labelled` adds) and arrays for the figures."""
        rows: list[dict[str, Any]] = []
        arrays: dict[str, np.ndarray] = {}
        for stage, found in self._samples(one, placed, entrant, views).items():
            own = found[0].shape[-1]
            for estimate, volume in self._estimates(entrant, stage, found):
                hu = entrant.session.window.to_hu(volume).numpy().astype(np.float32)
                seen = {f"reprojection_{k}": v for k, v in reprojection(hu, one.placed).items()}
                for grid in sorted({own, self.grid}):
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
        if entrant is self.first:
            hu = atlas_on_grid(atlas_ct(entrant.bundle), self.grid)
            seen = {f"reprojection_{k}": v for k, v in reprojection(hu, one.placed).items()}
            rows.append({
                "bundle": BASELINE, "method": BASELINE, "stage": "", "estimate": "",
                "grid": self.grid, **self._metrics(one, hu), **seen,
            })  # fmt: skip
        if not one.shown:
            return rows, None
        arrays["size_mm"] = np.asarray(placed.frame.size_mm)
        for role, view in placed.views.items():
            small = shrink_to(grey(view.pixels, view.valid), VIEW_PIXELS, VIEW_PIXELS)
            arrays[f"view_{role}"] = np.rint(255 * small.clip(0, 1)).astype(np.uint8)
        return rows, arrays

    def _samples(
        self, one: _Case, placed: PlacedCase, entrant: Entrant, views: int
    ) -> dict[str, list[torch.Tensor]]:
        label = f"{one.name} {entrant.label}, {views}-view "

        def tell(stage: str, step: int, total: int, preview: Any) -> None:
            self.context.report(label + stage, step, total, preview)

        found = entrant.session.sample(
            placed,
            stages=entrant.stages,
            steps=self.steps,
            samples=self.samples if entrant.stochastic else 1,
            context=self.context.with_progress(tell),
        )
        if self.one_at_a_time:
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

    def _metrics(self, one: _Case, hu: np.ndarray) -> dict[str, float]:
        n = hu.shape[0]
        return measure(hu, one.truth(n), self.window, one.placed.frame.spacing_mm(n))

    def _spread(
        self, one: _Case, entrant: Entrant, found: list[torch.Tensor], grid: int
    ) -> dict[str, float]:
        window = entrant.session.window
        samples = np.stack(
            [self._unit(_on_grid(window.to_hu(f[0, 0]).numpy(), grid)) for f in found]
        )
        spread, ratio = spread_and_skill(samples, self._unit(one.truth(grid)))
        return {"spread": spread, "spread_skill": ratio}

    def _unit(self, hu: np.ndarray) -> np.ndarray:
        return (self.window.normalise(hu) + 1) / 2

    # -- the projection test -------------------------------------------------------------------

    def _projections(self, one: _Case) -> list[dict[str, Any]]:
        """Reconstruct from the frontal X-ray and keep the projections along x."""
        for entrant in self.entrants:
            key = one.key(entrant, 1)
            if self.kept.rows(key) is not None and self.kept.arrays(key) is not None:
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
            self.kept.put(key, rows, arrays)
        one.lateral()  # an image that cannot be used is found here, with its case's name
        return []

    def _projection_rows(self, tested: list[_Case]) -> list[dict[str, Any]]:
        """All cases against all lateral images."""
        if not tested:
            return []
        laterals = [one.lateral() for one in tested]
        patients = [one.case.of_patient for one in tested]
        scored: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for e, entrant in enumerate(self.entrants):
            keys = [one.key(entrant, 1) for one in tested]
            of_cases = [self.kept.rows(key) or [] for key in keys]
            arrays = [self.kept.arrays(key) or {} for key in keys]
            for k in range(min(len(rows) for rows in of_cases)):
                scores = projection_scores([a[f"side_{k}"] for a in arrays], laterals, patients)
                for i, (rows, score) in enumerate(zip(of_cases, scores, strict=True)):
                    scored.setdefault((i, e), []).append({**rows[k], **score})
        return [
            one.labelled(row, entrant, 1)
            for i, one in enumerate(tested)
            for e, entrant in enumerate(self.entrants)
            for row in scored.get((i, e), ())
        ]


class _Case:
    """A case while it is measured: what is read, registered or resampled once for all bundles."""

    def __init__(self, case: ManifestCase, run: _Evaluation, name: str, shown: bool) -> None:
        self.case, self.run, self.name, self.shown = case, run, name, shown
        self.contents = [
            None if file is None else _hash_of(file) for file in case.files
        ]  # the CT, the frontal and the lateral X-ray
        self._truth: dict[int, np.ndarray] = {}
        self._lateral: LateralCuts | None = None

    def _depends(self) -> dict[str, Any]:
        """What registration depends on: without a CT also the atlas of the first bundle."""
        case, run = self.case, self.run
        return {
            **({"force": case.force} if case.force else {}),
            "contents": self.contents,
            "view": None if case.view is None else case.view.value,
            "pixel_mm": case.pixel_mm,
            "same_rows": case.same_rows,
            "seed": run.context.seed,
            "atlas": run.first.bundle.sha256 if case.ct is None else None,
        }

    def key(self, entrant: Entrant, views: int) -> str:
        """The name under which the results of a bundle are kept."""
        run = self.run
        return key_of(
            **self._depends(),
            kind="case",
            bundle=entrant.bundle.sha256,
            baseline=entrant is run.first,
            views=views,
            stages=entrant.stages,
            steps=entrant.session.steps(run.steps),
            samples=run.samples if entrant.stochastic else 1,
            window=[run.window.low, run.window.high],
            grid=run.grid,
            device=str(run.device),
        )

    def labelled(self, row: dict[str, Any], entrant: Entrant, views: int) -> dict[str, Any]:
        """A kept row with what names it here."""
        about = {
            "id": self.case.id,
            "patient": self.case.of_patient,
            "bundle": row.get("bundle", entrant.label),
            "method": row["method"],
            "stage": row["stage"],
            "views": views,
            "inputs": self.case.source(views),
        }
        return {**about, **{k: v for k, v in row.items() if k not in about}}

    @cached_property
    def placed(self) -> PlacedCase:
        """Both views in the frame; without a CT the frontal one."""
        run, case = self.run, self.case
        with_ct = case.ct is not None
        inputs = read_case(
            case.frontal,
            case.lateral if with_ct else None,
            case.ct,
            frontal_view=case.view,
            render_lateral=with_ct,
            stated={name: {"force": True} for name in case.force},
        )
        inputs = replace(
            inputs, xrays={role: self._scaled(xray) for role, xray in inputs.xrays.items()}
        )
        placements = {
            role: self.placement(role, xray, inputs.ct)
            for role, xray in inputs.xrays.items()
            if xray is not None
        }
        placed = place_case(
            inputs,
            run.first.bundle,
            self._context(),
            device=run.device,
            register=True,
            placements=placements,
        )
        return replace(placed, accepted=())  # they were searched for: nobody has accepted them

    def placement(
        self, role: str, xray: Radiograph | None = None, ct: CTVolume | None = None
    ) -> np.ndarray:
        """The placement of an X-ray against the CT or the atlas, (3, 3); searched for once."""
        run = self.run
        key = key_of(**self._depends(), kind="placement", role=role)
        kept = run.kept.arrays(key)
        if kept is None:
            if xray is None:
                return self._registered(role)
            if ct is None:
                bundle = run.first.bundle
                reference, frame = atlas_ct(bundle), ThoraxFrame((0.0,) * 3, bundle.atlas()[1])
            else:
                reference, frame = ct, find_thorax_frame(ct)
            found = register_xrays(
                {role: xray},
                reference,
                frame,
                size=VIEW_PIXELS,
                seed=run.context.seed,
                cancelled=run.context.cancelled,
            )
            kept = found.matrices
            run.kept.put(key, [], kept)
        return kept[role]

    def _registered(self, role: str) -> np.ndarray:
        registration = self.placed.views[role].registration
        assert registration is not None
        return registration.matrix

    def _context(self) -> RunContext:
        def tell(stage: str, step: int, total: int, preview: Any) -> None:
            self.run.context.report(f"{self.name} {stage}", step, total, preview)

        return self.run.context.with_progress(tell)

    def _scaled(self, xray: Radiograph | None) -> Radiograph | None:
        pixel_mm = self.case.pixel_mm
        if xray is None or xray.pixel_mm is not None or pixel_mm is None:
            return xray
        return replace(xray, pixel_mm=(pixel_mm, pixel_mm))

    def truth(self, n: int) -> np.ndarray:
        """The CT in the frame, HU ``[z, y, x]`` of ``n^3``."""
        if n not in self._truth:
            ct = self.placed.case.ct
            assert ct is not None
            self._truth[n] = resample_to_frame(ct, self.placed.frame, n)
        return self._truth[n]

    def lateral(self) -> LateralCuts:
        """The lateral X-ray of the projection test, which no network sees."""
        if self._lateral is not None:
            return self._lateral
        assert self.case.lateral is not None
        force = "lateral" in self.case.force
        xray = self._scaled(
            read_radiograph(self.case.lateral, assumed=View.lateral_left, force=force)
        )
        assert xray is not None
        atlas_mm = self.run.first.bundle.atlas()[1]
        if self.case.same_rows:
            placement = self.placement("frontal")
            rows, middle = canonical_rows(placement), None
            scale = FIELD_OF_VIEW * atlas_mm[2] / rows[1]
        else:
            placement = self.placement("lateral", xray)
            rows = canonical_rows(placement)
            centre = placement @ np.array([0.5, 0.5, 1.0])
            middle = float(centre[0] / centre[2])
            width = float(np.hypot(placement[0, 0], placement[1, 0]))
            scale = FIELD_OF_VIEW * atlas_mm[1] / width
        pixel_mm = scale if xray.pixel_mm is None else xray.pixel_mm[1]
        self._lateral = cut_lateral(xray.pixels, rows, pixel_mm, middle)
        return self._lateral


def frontal_only(placed: PlacedCase) -> PlacedCase:
    """The same case without its lateral view."""
    case = CaseInputs({"frontal": placed.case.xrays["frontal"]}, placed.case.ct)
    return replace(placed, case=case, views={"frontal": placed.views["frontal"]})


def cases_for_figures(cases: Sequence[ManifestCase], figures: int) -> set[str]:
    """The first cases of each kind of input."""
    kinds: dict[str, list[str]] = {}
    for case in cases:
        if case.ct is not None:
            kinds.setdefault(case.source(2), []).append(case.id)
    return {name for ids in kinds.values() for name in ids[:figures]}


def _labels(bundles: Sequence[Bundle]) -> list[str]:
    """Names; with the version, then the hash, where they are not unlike."""
    names = [bundle.name for bundle in bundles]
    for more in ("version", "sha256"):
        names = [
            f"{name} {getattr(bundle, more)[:8]}" if names.count(name) > 1 else name
            for name, bundle in zip(names, bundles, strict=True)
        ]
    return names


def _on_grid(hu: np.ndarray, n: int) -> np.ndarray:
    """A volume on another grid of the same box, by means over its voxels."""
    if hu.shape[0] == n:
        return hu
    return F.adaptive_avg_pool3d(torch.as_tensor(hu)[None], n)[0].numpy()


def _hash_of(file: Path) -> str:
    check_input(file)
    if not file.exists():
        raise AxonInputError(f"{file} does not exist. Check the path in the manifest.")
    try:
        return content_hash(file)
    except OSError as error:
        raise AxonInputError(f"{file} cannot be read: {error.strerror or error}.") from error


def _total(training: Mapping[str, Any], name: str) -> float | None:
    """The sum over all trainings, None unless each of them has the number."""
    values = [one.get(name) for one in training.values() if isinstance(one, Mapping)]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no further explanation"
    return text if isinstance(error, AxonInputError) else f"{type(error).__name__}: {text}"
