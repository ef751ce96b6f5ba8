"""Plan the cases of a source: one per patient, with its CT and its X-rays."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from axon_backend.dataset.choose import ChosenCt, Xray, choose_ct, choose_xrays, xray_of_tags
from axon_backend.dataset.manifest import Row
from axon_backend.dataset.names import named
from axon_backend.dataset.scan import Found
from axon_backend.errors import AxonInputError


@dataclass(frozen=True)
class CasePlan:
    """Plan of one case.

    Attributes:
        id: id of the case, a valid folder name.
        patient: id of the patient.
        ct: files of the CT: the slices of a series, or one file or folder.
        sliced: whether ``ct`` lists DICOM slices in the order of their stack.
        ct_words: which CT, and why.
        ct_others: the next best series, see ``choose.ChosenCt``.
        xrays: at most one frontal and one lateral X-ray, and some of unknown view.
        notes: remarks for the reports.
        requested_split: split stated in a manifest.
        problem: why the case cannot be prepared; ``ct`` may then be empty.
        private: texts that an anonymised data set must not contain.
    """

    id: str
    patient: str
    ct: tuple[str, ...] = ()
    sliced: bool = False
    ct_words: str = ""
    ct_others: tuple[tuple[str, tuple[str, ...]], ...] = ()
    xrays: tuple[Xray, ...] = ()
    notes: tuple[str, ...] = ()
    requested_split: str | None = None
    problem: str = ""
    private: tuple[str, ...] = ()

    @property
    def pseudo_labelled(self) -> bool:
        """Whether there is no CT, so that a teacher reconstructs the volume."""
        return not self.ct and not self.problem

    @property
    def group(self) -> str:
        """The kind of training that its X-rays allow: "biplanar", "paired" or "drr"."""
        roles = {x.role for x in self.xrays}
        unknown = sum(x.role is None for x in self.xrays)
        if len(roles & {"frontal", "lateral"}) + unknown >= 2:
            return "biplanar"
        return "paired" if "frontal" in roles or unknown else "drr"


@dataclass
class _Person:
    ct: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    xrays: list[Xray] = field(default_factory=list)
    ct_files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    who: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


def plan_folder(found: Found, max_days: int | None) -> list[CasePlan]:
    """One case for each patient of a source folder, in the order of their ids."""
    people: dict[str, _Person] = defaultdict(_Person)
    folder_of: dict[str, set[str]] = defaultdict(set)
    for name, tags in found.dicom:
        patient = str(tags.get("PatientID") or "").strip()
        if not patient:
            study = str(tags.get("StudyInstanceUID"))
            patient = f"study-{hashlib.sha256(study.encode()).hexdigest()[:8]}"
        person = people[patient]
        _add_dicom(person, str(found.root / name), tags)
        folder_of[str(Path(name).parent)].add(patient)
    for name in found.plain:
        meaning = named(found.root, name)
        person = people[meaning.id]
        path = str(found.root / name)
        person.texts.update((path, Path(path).name))
        if meaning.role == "ct":
            person.ct_files.append(path)
        else:
            person.xrays.append(Xray(path, meaning.role, meaning.view, Path(path).name))
    for name, why in found.damaged:
        beside = folder_of.get(str(Path(name).parent), set())
        for patient in beside if len(beside) == 1 else ():
            person = people[patient]
            person.notes.append(f"a file beside its images is damaged: {Path(name).name}, {why}")
            person.texts.add(Path(name).name)
    return _safe_ids([_plan(name, people[name], max_days) for name in sorted(people)])


def plan_rows(rows: list[Row]) -> list[CasePlan]:
    """The cases of a manifest."""
    plans = []
    for row in rows:
        xrays = [
            Xray(path, role, None, Path(path).name)
            for role, path in (("frontal", row.frontal), ("lateral", row.lateral))
            if path
        ]
        paths = [p for p in (row.ct, row.frontal, row.lateral) if p]
        private = {row.id, row.patient, *paths, *(Path(p).name for p in paths)}
        plans.append(
            CasePlan(
                row.id, row.patient, (row.ct,) if row.ct else (), False, Path(row.ct).name,
                (), tuple(xrays), (), row.split if row.ct else "train", row.problem,
                tuple(sorted(private)),
            )
        )  # fmt: skip
    return _safe_ids(plans)


def _add_dicom(person: _Person, path: str, tags: dict[str, Any]) -> None:
    person.texts.update(
        text
        # Descriptions are always shown in quotation marks.
        for text in (path, Path(path).name, *(f"'{tags[k]}'" for k in _FREE_TEXTS if k in tags))
    )
    if "who" in tags:
        person.who.add(tags["who"])
    if tags["Modality"] == "CT":
        person.ct.append((path, tags))
    elif "refused" in tags:
        person.notes.append(f"an X-ray ({Path(path).name}) is excluded: {tags['refused']}")
    else:
        person.xrays.append(xray_of_tags(path, tags))


_FREE_TEXTS = ("SeriesDescription", "StudyDescription", "ProtocolName")


def _plan(patient: str, person: _Person, max_days: int | None) -> CasePlan:
    plan = CasePlan(patient, patient, private=tuple(sorted({patient, *person.texts})))
    notes = list(person.notes)
    if len(person.who) > 1:
        return replace(
            plan,
            notes=tuple(notes),
            problem=f"the patient id {patient} is used for {len(person.who)} people (sex or date "
            "of birth differ); give each of them a separate id",
        )
    ct: ChosenCt | None = None
    problem = ""
    if person.ct_files and person.ct:
        problem = f"there is a CT in DICOM and another in {Path(person.ct_files[0]).name}"
    elif len(person.ct_files) > 1:
        names = ", ".join(sorted(Path(f).name for f in person.ct_files))
        problem = f"there are {len(person.ct_files)} equally good CTs: {names}"
    elif person.ct_files:
        ct = ChosenCt((person.ct_files[0],), Path(person.ct_files[0]).name)
    else:
        dates = [x.taken for x in person.xrays if x.taken is not None]
        try:
            ct = choose_ct(person.ct, dates)
        except AxonInputError as error:
            problem = str(error)
    if problem:
        if not problem.startswith(("no CT", "there is no CT")):
            problem += "; name the one to use in a manifest"
        return replace(plan, notes=tuple(notes), problem=problem)
    assert ct is not None
    xrays, xray_notes = choose_xrays(person.xrays, ct, max_days)
    return replace(
        plan,
        ct=ct.files,
        sliced=bool(person.ct),
        ct_words=ct.words,
        ct_others=ct.others,
        xrays=tuple(xrays),
        notes=(*notes, *ct.notes, *xray_notes),
    )


def _safe_ids(plans: list[CasePlan]) -> list[CasePlan]:
    taken = set[str]()
    return [replace(plan, id=safe_name(plan.id, taken)) for plan in plans]


def safe_name(name: str, taken: set[str]) -> str:
    """Turn a name into a folder name that is valid on every system and unique among ``taken``, even
    if case is ignored; it is added to ``taken``."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-. ")[:80] or "case"
    if safe.lower() in taken:
        safe += "-" + hashlib.sha256(name.encode()).hexdigest()[:6]
    taken.add(safe.lower())
    return safe


def numbered(plans: list[CasePlan], numbers: dict[str, int], seed: int) -> list[CasePlan]:
    """Replace names by numbers; ``numbers`` (by patient) is extended for new patients."""

    def draw(name: str) -> str:
        # Numbers in the order of the names would reveal information about the names.
        return hashlib.sha256(f"{seed}|number|{name}".encode()).hexdigest()

    for patient in sorted({p.patient for p in plans} - set(numbers), key=draw):
        numbers[patient] = max(numbers.values(), default=0) + 1
    count: dict[str, int] = defaultdict(int)
    renamed = []
    for plan in plans:
        name = f"P{numbers[plan.patient]:04d}"
        count[name] += 1
        case = name if count[name] == 1 else f"{name}-{count[name]}"
        private = tuple(sorted({*plan.private, plan.id, plan.patient}))
        renamed.append(replace(plan, id=case, patient=name, private=private))
    return renamed


def scrubbed(text: str, private: tuple[str, ...]) -> str:
    """Remove the names of files, series and patients from a text."""
    text = re.sub(r"'[^']*'", "'(name)'", text)
    for word in sorted(private, key=len, reverse=True):
        if len(word) > 2:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "(name)", text, flags=re.IGNORECASE)
    return text
