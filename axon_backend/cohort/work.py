"""One study: from its files to a finished case folder. Runs in a worker."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER, __version__
from axon_backend.cohort.settings import CohortSettings
from axon_backend.cohort.storage import Storage, fetched
from axon_backend.cohort.studies import Study
from axon_backend.cohort.thumbnail import THUMBNAIL, thumbnail
from axon_backend.dataset.case import single_thread
from axon_backend.dataset.choose import Xray
from axon_backend.dataset.settings import PrepareSettings, digest
from axon_backend.dataset.store import write_record
from axon_backend.dataset.views import place_xray
from axon_backend.dataset.volume import read_slices
from axon_backend.errors import AxonInputError, PoorRegistration, reason_of
from axon_backend.evaluation.case_output import write_case, write_refused
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.view import View
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.inference.session import InferenceSession
from axon_backend.util.hashing import content_sha256
from axon_backend.util.plain_text import without_folders
from axon_backend.util.run_context import RunContext


@dataclass(frozen=True)
class StudyTask:
    """A study to reconstruct.

    Attributes:
        study: the study.
        stamps: hash of its files' stamps (``storage.stamps``) and the settings, for the record.
    """

    study: Study
    stamps: str


class ReconstructStudy:
    """Reconstructs studies one after another with one model, and writes each as a case.

    Calling it with a :class:`StudyTask` returns the case's record; see ``case.json`` in
    Resources/Docs/cohort.md. A study that cannot be used gives a record with the reason; it raises
    only errors that another run may not have (a full disk, a lost store, an error in AXON).

    Args:
        settings: settings of all studies.
        storage: storage of the cases.
    """

    def __init__(self, settings: CohortSettings, storage: Storage) -> None:
        self.settings, self.storage = settings, storage

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "storage": self.storage}  # each worker loads the model

    @cached_property
    def session(self) -> InferenceSession:
        """The model, loaded with the first study."""
        return InferenceSession(self.settings.bundle, self.settings.device)

    def __call__(self, task: StudyTask) -> dict[str, Any]:
        single_thread()
        began = time.perf_counter()
        with fetched(task.study) as study:
            key = self._key(study)
            before = self.storage.record(study.id)
            if before is not None and before.get("key") == key:
                return {**before, "kept": True}
            with self.storage.new_case(study.id) as folder:
                about = self._fill(folder, study)
                record = {
                    "id": study.id,
                    "key": key,
                    "stamps": task.stamps,
                    **about,
                    "notes": list(study.notes),
                    "inputs": [Path(path).name for path in task.study.files][:10],
                    "seconds": round(time.perf_counter() - began, 2),
                    "axon": __version__,
                    "disclaimer": DISCLAIMER,
                }
                write_record(folder, record)
        return record

    def _key(self, study: Study) -> str:
        """A hash of everything that the case depends on: content of files, settings, weights."""
        xrays = [[x.role, x.view, content_sha256(Path(x.file))] for x in study.xrays]
        ct = [content_sha256(Path(path)) for path in study.ct]
        return digest([xrays, ct, self.settings.of_case, self.session.bundle.sha256])

    def _fill(self, folder: Path, study: Study) -> dict[str, Any]:
        """Write the case's files; returns the part of the record that describes them."""
        settings = self.settings
        try:
            result = self.session.reconstruct(
                *self._xrays(study),
                ct=_ct(study),
                stages=settings.stages,
                steps=settings.steps,
                samples=settings.samples,
                register=settings.register,
                allow_poor=settings.allow_poor,
                context=RunContext(settings.seed, settings.device),
            )
        except PoorRegistration as poor:
            write_refused(folder, poor)
            return {"status": "refused", "reason": without_folders(str(poor), study.files)}
        except AxonInputError as error:
            return {"status": "refused", "reason": without_folders(str(error), study.files)}
        record = write_case(
            folder,
            result,
            keep_stages=settings.keep_stages,
            report=settings.report,
            dicom=settings.dicom,
        )
        (folder / THUMBNAIL).write_bytes(thumbnail(result))
        return {
            "status": "done",
            "reason": "",
            "views": len(result.views),
            "verdicts": {r["role"]: r["verdict"] for r in record["registration"]},
            "reprojection": record["reprojection"],
            "metrics": (record["metrics"] or {}).get(result.final_stage),
            "warnings": record["warnings"],
        }

    def _xrays(self, study: Study) -> tuple[Radiograph, Radiograph | None]:
        """The frontal and the lateral X-ray. A view that is not stated is determined by
        registration to the atlas."""
        unknown = [x for x in study.xrays if x.role is None]
        images = {x.role: self._read(x) for x in study.xrays if x.role is not None}
        for xray in unknown:
            atlas = atlas_ct(self.session.bundle)
            frame = ThoraxFrame((0.0, 0.0, 0.0), atlas.size_mm)
            placed = place_xray(xray, atlas, frame, PrepareSettings(), {str(r) for r in images})
            images[placed.role] = placed.image
        if "frontal" not in images:
            raise AxonInputError("None of its X-rays is frontal.")
        return images["frontal"], images.get("lateral")

    def _read(self, xray: Xray) -> Radiograph:
        assumed = View.pa if xray.role == "frontal" else View.lateral_left
        view = None if xray.view is None else View(xray.view)
        return read_radiograph(xray.file, view=view, assumed=assumed)


def _ct(study: Study) -> CTVolume | None:
    if not study.ct:
        return None
    return read_ct(study.ct[0]) if len(study.ct) == 1 else read_slices(study.ct)


def failed(task: StudyTask, error: BaseException) -> dict[str, Any]:
    """The record of a study that another run may be able to reconstruct; it is not stored."""
    reason = without_folders(reason_of(error), task.study.files)
    return {"id": task.study.id, "status": "failed", "reason": reason, "seconds": None}


def unusable(study: Study) -> dict[str, Any]:
    """The record of a study that cannot be used."""
    reason = without_folders(study.problem, study.files)
    return {"id": study.id, "status": "refused", "reason": reason, "seconds": None}
