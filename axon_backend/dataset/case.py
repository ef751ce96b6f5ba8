"""Prepare one case: from the patient's files to a folder of the data set. Runs in a worker."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend.dataset.inputs import case_key, fingerprint
from axon_backend.dataset.plan import CasePlan, scrubbed
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.dataset.store import new_case, read_record, write_record
from axon_backend.errors import AxonInputError, Unfinished
from axon_backend.imaging.ct import CTVolume, read_ct, require_upright
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.util.hashing import file_sha256

RECORD_VERSION = 1


@dataclass(frozen=True)
class CaseTask:
    """A case to prepare.

    Attributes:
        plan, settings: the case, and the settings of the run.
        root: folder of the source.
        output: folder of the data set.
        tag: name of the run; see ``store.new_case``.
        inputs: see ``inputs.fingerprint``.
        plan_key: see ``inputs.plan_key``.
    """

    plan: CasePlan
    settings: PrepareSettings
    root: str
    output: str
    tag: str
    inputs: str
    plan_key: str


def prepare_case(task: CaseTask) -> dict[str, Any]:
    """Prepare one case unless it is up to date; returns its record.

    A case that cannot be prepared is recorded with the reason, and not retried until its input or
    the settings change.

    Raises:
        AxonInputError: a file of the patient cannot be read.
        Unfinished: a file changed while it was being read.
        OutputFailed: the output cannot be written.
    """
    single_thread()
    plan, output = task.plan, Path(task.output)
    before = read_record(output, plan.id)
    more = len(plan.ct_others)  # all of them were tried in vain, if it was skipped
    if before is not None and before.get("status") == "done":
        more = before.get("more_series", 0)
    stamp: dict[str, Any] = {"plan_key": task.plan_key, "inputs": task.inputs}
    if before is not None and before.get("key") == _key(task, more):
        folder = output / "cases" / plan.id
        record = {**before, **stamp}
        write_record(folder, record)
        return record
    private = plan.private if task.settings.anonymise else None
    try:
        made = _make(plan, task.settings)
    except AxonInputError as error:
        stamp["key"] = _key(task, len(plan.ct_others))
        record = {"version": RECORD_VERSION, **stamp, "status": "skipped", "views": []}
        record["reason"] = _words(str(error), private)
        record["notes"] = []
        with new_case(output, plan.id, task.tag) as folder:
            write_record(folder, record)
        return record
    if fingerprint(plan, Path(task.root)) != task.inputs:
        raise Unfinished("its files changed while they were read; run again")
    stamp |= {"key": _key(task, made.more_series), "more_series": made.more_series}
    with new_case(output, plan.id, task.tag) as folder:
        record = {"version": RECORD_VERSION, **stamp, "status": "done", "reason": ""}
        record.update(made.write(folder, task, private))
        write_record(folder, record)
    return record


def _key(task: CaseTask, more: int) -> str:
    try:
        return case_key(task.plan, task.settings, more)
    except OSError as error:
        raise AxonInputError(
            f"{error.filename} cannot be read: {error.strerror}. Copy the patient's files again."
        ) from error


@dataclass
class _Made:
    ct: CTVolume
    frame: ThoraxFrame
    pose: Any
    drrs: list[tuple[str, Any, np.ndarray]]  # role, pose, image
    xrays: list[Any]
    problems: list[tuple[str, str]]  # X-ray, reason for its exclusion
    more_series: int  # number of unusable series read before the CT
    notes: tuple[str, ...]  # remarks on them
    # Views of a patient without a CT.
    pseudo_labelled: dict[str, np.ndarray] = field(default_factory=dict)

    def write(
        self, folder: Path, task: CaseTask, private: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """Write the files; returns the part of the record that describes them."""
        from axon_backend.dataset.preview import case_strip, registration_strip
        from axon_backend.dataset.views import VIEWS, with_air, write_view
        from axon_backend.imaging.write import write_volume

        write_volume(folder / "ct.nii.gz", self.ct.hu, self.ct)
        entries: list[dict[str, Any]] = []
        count: dict[str, int] = {}
        for role, pose, image in self.drrs:
            count[role] = count.get(role, 0) + 1
            name = f"{role}_drr{'' if count[role] == 1 else f'_{count[role]}'}.nii.gz"
            write_view(folder / name, image, self.frame, VIEWS[role])
            entries.append({
                "role": role, "view": VIEWS[role].value.upper(), "kind": "drr", "file": name,
                "matrix": None, "quality": {}, "source": "DRR of the CT",
                "pose": None if pose.is_identity else pose.as_dict(), "notes": [],
            })  # fmt: skip
        for found in self.xrays:
            name = f"{found.role}_real.nii.gz"
            pixels = self.pseudo_labelled.get(found.role)
            if pixels is None:
                pixels = with_air(found.placed)
            write_view(folder / name, pixels, self.frame, found.placed.view)
            width = self.frame.size_mm[0 if found.role == "frontal" else 1]
            strip = registration_strip(found, (width, self.frame.size_mm[2]))
            (folder / f"{found.role}.jpg").write_bytes(strip)
            quality, registration = found.quality, found.placed.registration
            source, path = found.xray.words, os.path.relpath(found.xray.file, task.root)
            if private is None:
                source = path if Path(path).name == source else f"{source}: {path}"
            entries.append({
                "role": found.role, "view": found.placed.view.value.upper(), "kind": "real",
                "file": name, "matrix": registration.matrix.tolist(),
                "quality": {
                    "verdict": quality.verdict, "ncc": quality.ncc,
                    "gradient_ncc": quality.gradient_ncc,
                    "mutual_information": quality.mutual_information,
                    "days_from_ct": found.xray.days,
                    "warnings": list(quality.warnings),
                },
                "source": _words(source, private), "pose": None,
                "notes": [_words(n, private) for n in found.notes],
                "sha256": file_sha256(folder / name),
            })  # fmt: skip
        first = self.pseudo_labelled or {role: image for role, _, image in reversed(self.drrs)}
        strip = case_strip(first["frontal"], first["lateral"], self.ct, self.frame)
        (folder / "case.jpg").write_bytes(strip)
        return {
            "reconstructed": bool(self.pseudo_labelled),
            "frame": self.frame.as_dict(),
            "sha256": file_sha256(folder / "ct.nii.gz"),
            "shape": list(self.ct.hu.shape),
            "pose": None if self.pose is None else self.pose.as_dict(),
            "views": entries,
            "notes": [
                *(_words(n, private) for n in (*self.notes, *self.ct.assumptions)),
                *(_words(f"{x}: excluded: {why}", private) for x, why in self.problems),
            ],
        }


def _make(plan: CasePlan, settings: PrepareSettings) -> _Made:
    from axon_backend.dataset.views import VIEWS, PlacedXray, place_xray, poses, render
    from axon_backend.dataset.volume import cropped
    from axon_backend.physics.attenuation import AttenuationVolume

    if plan.pseudo_labelled:
        from axon_backend.dataset.teacher import reconstructed

        seen = reconstructed(plan, settings)
        return _Made(seen.volume, seen.frame, None, [], seen.xrays, [], 0, (seen.note,), seen.views)
    original, whole, frame, more_series, notes = _chest(plan, settings)
    ct = cropped(whole, frame)
    found: list[PlacedXray] = []
    problems = []
    # X-rays with a stated view come first; the others fill the remaining roles.
    for xray in sorted(plan.xrays, key=lambda x: x.role is None):
        try:
            found.append(place_xray(xray, ct, frame, settings, {f.role for f in found}, plan.id))
        except AxonInputError as error:
            problems.append((xray.words, str(error)))
    pose = None
    if settings.pose:
        moved = _in_pose(original, ct, frame, found, settings)
        if moved is not None:
            ct, pose, found = moved
    attenuation = AttenuationVolume.from_ct(ct)
    seed = int(hashlib.sha256(plan.id.encode()).hexdigest()[:8], 16)
    drrs = [
        (role, variation, render(attenuation, frame, view, variation, settings.view_size))
        for variation in poses(settings, seed)
        for role, view in VIEWS.items()
    ]
    return _Made(ct, frame, pose, drrs, found, problems, more_series, notes)


def _chest(
    plan: CasePlan, settings: PrepareSettings
) -> tuple[CTVolume, CTVolume, ThoraxFrame, int, tuple[str, ...]]:
    """The first of the patient's CT series that shows a whole chest: as it is and resampled, its
    frame, how many were read in vain, and the note on them.

    Raises:
        AxonInputError: none does; what is wrong with the best one.
    """
    from axon_backend.dataset.volume import check_chest, read_slices, resampled

    force = settings.stated_for(plan.id, "ct").get("force", False)
    problems: list[AxonInputError] = []
    for words, files in ((plan.ct_words, plan.ct), *plan.ct_others):
        try:
            if plan.sliced:
                original = read_slices(files, force=force)
            else:
                original = read_ct(files[0], force=force)
            require_upright(original)
            whole = resampled(original, settings.voxel_mm)
            frame = find_thorax_frame(whole)
            check_chest(whole, frame)
        except AxonInputError as error:
            problems.append(error)
            continue
        notes: tuple[str, ...] = ()
        if problems:
            why = str(problems[0]).partition(". ")[0]
            notes = (f"the series that the headers suggest cannot be used ({why}): {words} was",)
        return original, whole, frame, len(problems), notes
    raise problems[0]


def _in_pose(
    original: CTVolume,
    ct: CTVolume,
    frame: ThoraxFrame,
    found: list[Any],
    settings: PrepareSettings,
) -> tuple[CTVolume, Any, list[Any]] | None:
    """The CT moved to the pose of the patient, the pose, and the X-rays registered to that CT; None
    if they do not fit better."""
    from axon_backend.dataset.volume import cropped, resampled
    from axon_backend.registration import register

    images = {f.role: f.image for f in found}
    matrices = {f.role: f.placed.registration.matrix for f in found}
    usable = {f.role: f.image for f in found if f.quality.verdict != "poor"}
    if not usable:
        return None
    given = {role: matrices[role] for role in usable}
    posed = register(
        usable, ct, frame, method="pose", placements=given, hold=(),
        size=settings.view_size, seed=settings.seed,
    )  # fmt: skip
    assert posed.search is not None
    if not posed.search.improved or any(q.refused for q in posed.search.quality.values()):
        return None
    turned = cropped(
        resampled(original, settings.voxel_mm, posed.pose.matrix(frame.center_mm)), frame
    )
    matrices |= posed.matrices
    moved = register(images, turned, frame, placements=matrices, size=settings.view_size).views
    again = [replace(f, placed=moved[f.role]) for f in found]
    before, after = (sum(f.quality.score for f in xs if f.role in usable) for xs in (found, again))
    return (turned, posed.pose, again) if after > before else None


def _words(text: str, private: tuple[str, ...] | None) -> str:
    return text if private is None else scrubbed(text, private)


def single_thread() -> None:
    """One thread per case: the result must not depend on the number of workers."""
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
