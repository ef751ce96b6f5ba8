"""The studies of a manifest, of a folder of plain files, or of a DICOM tree."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from axon_backend.dataset.choose import Xray, choose_ct, choose_xrays, xray_of_tags
from axon_backend.dataset.manifest import Row, read_rows
from axon_backend.dataset.names import named
from axon_backend.dataset.plan import safe_name
from axon_backend.dataset.scan import Found, scan
from axon_backend.errors import AxonInputError
from axon_backend.util.pool import Pool

MANIFESTS = (".csv", ".json")


@dataclass(frozen=True)
class Study:
    """The inputs of one reconstruction.

    Attributes:
        id: a folder name that is valid on every system.
        xrays: at most one frontal and one lateral X-ray, and some of unknown view, which is
            determined from the image.
        ct: files of the patient's CT: none, one file or folder, or the slices of a series.
        notes: remarks for the record.
        problem: why the study cannot be reconstructed; empty otherwise.
    """

    id: str
    xrays: tuple[Xray, ...] = ()
    ct: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the study."""
        return (*(xray.file for xray in self.xrays), *self.ct)


def find_studies(
    source: Path,
    *,
    output: Path | None = None,
    memory: Path | None = None,
    pool: Pool | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Study]:
    """The studies of a source, in the order of their ids or of the rows of a manifest.

    Args:
        source: a manifest (CSV or JSON with the columns of ``axon prepare``; ``ct`` may be
            missing), or a folder: DICOM in any layout, one study per StudyInstanceUID, or plain
            files named as for ``axon prepare``.
        output: a folder to skip.
        memory: file that caches headers between runs, see ``dataset.scan``; None: no cache.
        pool: pool for reading many headers; None: this process.
        progress: called with (headers read, headers to read).
        cancelled: polled between headers.

    Raises:
        AxonInputError: the source cannot be used, or contains no X-ray.
        Cancelled: ``cancelled()`` returned True.
    """
    if not source.exists():
        raise AxonInputError(f"{source} does not exist. Give a folder of images, or a manifest.")
    if source.is_dir():
        pool = pool or Pool(0, cancelled=cancelled)
        found = scan(source, output, memory, pool, progress, cancelled)
        studies = [*_of_dicom(found), *_of_plain_files(found)]
        if not studies:
            others = ", ".join(f"{n} {m}" for m, n in sorted(found.others.items()))
            raise AxonInputError(
                f"{source} contains no X-ray{f' (but {others})' if others else ''}. Give a folder "
                "of studies, or a manifest."
            )
        return _with_safe_ids(sorted(studies, key=lambda study: study.id))
    if source.suffix.lower() not in MANIFESTS:
        raise AxonInputError(
            f"{source} is neither a folder nor a manifest ({', '.join(MANIFESTS)}). Give a folder "
            "of studies, or a manifest."
        )
    return _with_safe_ids([_of_row(row) for row in read_rows(source, cts=False)])


def _of_row(row: Row) -> Study:
    xrays = [
        Xray(path, role, None, Path(path).name)
        for role, path in (("frontal", row.frontal), ("lateral", row.lateral))
        if path
    ]
    problem = row.problem or ("" if row.frontal else "it has no frontal X-ray")
    return Study(row.id, tuple(xrays), (row.ct,) if row.ct else (), (), problem)


def _of_dicom(found: Found) -> list[Study]:
    xrays: dict[str, list[Xray]] = defaultdict(list)
    slices = defaultdict(list)
    refused: dict[str, list[str]] = defaultdict(list)
    patients: dict[str, str] = {}
    for name, tags in found.dicom:
        uid = str(tags.get("StudyInstanceUID") or Path(name).parent)
        patients[uid] = str(tags.get("PatientID") or "").strip()
        path = str(found.root / name)
        if tags["Modality"] == "CT":
            slices[uid].append((path, tags))
        elif "refused" in tags:
            refused[uid].append(f"{Path(name).name} is excluded: {tags['refused']}")
        else:
            xrays[uid].append(xray_of_tags(path, tags))
    studies = []
    names = _study_names(patients, {*xrays, *refused})
    for uid, name in names.items():
        chosen, notes = choose_xrays(xrays[uid], None, None)
        study = Study(name, tuple(chosen), (), (*refused[uid], *notes))
        if not any(xray.role in ("frontal", None) for xray in chosen):
            why = "it has no frontal X-ray" + (
                f" ({'; '.join(study.notes)})" if study.notes else ""
            )
            study = replace(study, problem=why)
        elif slices[uid]:
            dates = [d for x in chosen if (d := x.taken) is not None]
            try:
                ct = choose_ct(slices[uid], dates)
                study = replace(study, ct=ct.files, notes=(*study.notes, *ct.notes))
            except AxonInputError as error:
                study = replace(study, notes=(*study.notes, f"its CT is not used: {error}"))
        studies.append(study)
    return studies


def _study_names(patients: dict[str, str], uids: set[str]) -> dict[str, str]:
    """{study: name}: the patient's id, with a hash of the study's if a patient has several."""
    count: dict[str, int] = defaultdict(int)
    for uid in uids:
        count[patients[uid]] += 1
    names = {}
    for uid in sorted(uids):
        mark = hashlib.sha256(uid.encode()).hexdigest()[:8]
        patient = patients[uid]
        if not patient:
            names[uid] = f"study-{mark}"
        else:
            names[uid] = patient if count[patient] == 1 else f"{patient}-{mark}"
    return names


def _of_plain_files(found: Found) -> list[Study]:
    xrays: dict[str, list[Xray]] = defaultdict(list)
    cts: dict[str, list[str]] = defaultdict(list)
    for name in found.plain:
        meaning = named(found.root, name)
        path = str(found.root / name)
        if meaning.role == "ct":
            cts[meaning.id].append(path)
        else:
            xrays[meaning.id].append(Xray(path, meaning.role, meaning.view, Path(path).name))
    studies = []
    for id_, files in xrays.items():
        chosen, notes = choose_xrays(files, None, None)
        problem = ""
        if not any(xray.role in ("frontal", None) for xray in chosen):
            problem = "it has no frontal X-ray"
        ct = cts[id_]
        if len(ct) > 1:
            notes.append(f"its {len(ct)} CTs are not used; name the one to use in a manifest")
        studies.append(
            Study(id_, tuple(chosen), tuple(ct) if len(ct) == 1 else (), tuple(notes), problem)
        )
    return studies


def _with_safe_ids(studies: Sequence[Study]) -> list[Study]:
    taken: set[str] = set()
    return [replace(study, id=safe_name(study.id, taken)) for study in studies]
