"""One case of an evaluation: images, registration and resampling, shared by all bundles."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.evaluation.entrants import Entrant, EvaluationRun
from axon_backend.evaluation.kept import key_of
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.evaluation.projection_test import LateralCuts, canonical_rows, cut_lateral
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame, resample_to_frame
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.view import View
from axon_backend.inference.case import PlacedCase, place_case
from axon_backend.inference.case_files import CaseInputs, read_case
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.registration import register as register_xrays
from axon_backend.util.hashing import content_sha256
from axon_backend.util.input_file import check_input
from axon_backend.util.run_context import RunContext

VIEW_PIXELS = 256  # side of a view in the registration


class EvaluatedCase:
    """A case during the evaluation. It is read, registered and resampled once for all bundles."""

    def __init__(self, case: ManifestCase, run: EvaluationRun, name: str, shown: bool) -> None:
        self.case, self.run, self.name, self.shown = case, run, name, shown
        self.contents = [
            None if file is None else _hash_of(file) for file in case.files
        ]  # the CT, the frontal and the lateral X-ray
        self._truth: dict[int, np.ndarray] = {}
        self._lateral: LateralCuts | None = None

    def _depends(self) -> dict[str, Any]:
        """Everything that the registration depends on; without a CT also the first atlas."""
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
        """The key under which the results of a bundle are stored."""
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
        """A stored row with the names of case, patient, bundle and inputs in this evaluation."""
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
        """The case with both views registered; without a CT only the frontal one."""
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
        return replace(placed, accepted=())  # found by registration, not accepted by a user

    def release(self) -> None:
        """Free the images, which would fill the memory with hundreds of cases."""
        self.__dict__.pop("placed", None)
        self._truth.clear()

    def placement(
        self, role: str, xray: Radiograph | None = None, ct: CTVolume | None = None
    ) -> np.ndarray:
        """The placement (3, 3) of an X-ray relative to the CT or the atlas; computed once."""
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
        def report(stage: str, step: int, total: int, preview: Any) -> None:
            self.run.context.report(f"{self.name} {stage}", step, total, preview)

        return self.run.context.with_progress(report)

    def _scaled(self, xray: Radiograph | None) -> Radiograph | None:
        pixel_mm = self.case.pixel_mm
        if xray is None or xray.pixel_mm is not None or pixel_mm is None:
            return xray
        return replace(xray, pixel_mm=(pixel_mm, pixel_mm))

    def truth(self, n: int) -> np.ndarray:
        """The CT in the frame, ``n^3`` voxels ``[z, y, x]`` in HU."""
        if n not in self._truth:
            ct = self.placed.case.ct
            assert ct is not None
            self._truth[n] = resample_to_frame(ct, self.placed.frame, n)
        return self._truth[n]

    def lateral(self) -> LateralCuts:
        """The lateral X-ray of the projection test, which is not an input of any network."""
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


def _hash_of(file: Path) -> str:
    check_input(file)
    if not file.exists():
        raise AxonInputError(f"{file} does not exist. Check the path in the manifest.")
    try:
        return content_sha256(file)
    except OSError as error:
        raise AxonInputError(f"{file} cannot be read: {error.strerror or error}.") from error
