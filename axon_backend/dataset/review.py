"""Decisions of a reviewer on the registrations: DATA/review.json.

    {"format": "axon-review", "version": 1,
     "decisions": {"ID/frontal": {"decision": "reject", "picture": "3f2a..."}}}

A decision applies to one image ("picture" is its hash): once the registration changes, it is
ignored. "ID/ct": "reject" excludes a whole case.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.imaging.write import write_json
from axon_backend.util.input_file import read_json

FILE = "review.json"
FORMAT, VERSION = "axon-review", 1
PARTS = ("frontal", "lateral", "ct")
DECISIONS = ("accept", "reject")


def read_review(root: Path) -> dict[str, dict[str, str]]:
    """The decisions by "ID/part"; empty if there is no file.

    Raises:
        AxonInputError: the file is not as expected.
    """
    path = root / FILE
    if not path.exists():
        return {}
    expected = (
        f'{{"format": "{FORMAT}", "version": {VERSION}, "decisions": {{"ID/frontal": '
        '{"decision": "accept" or "reject"}}}'
    )
    values = read_json(path, "The review", "Save it again from report.html, or delete it.")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise AxonInputError(f"{path} is not a review; expected {expected}.")
    if values.get("version") != VERSION:
        raise AxonInputError(
            f"{path} has version {values.get('version')!r}; this AXON reads version {VERSION}. "
            "Update AXON, or save it again from report.html."
        )
    decisions = {}
    given = values.get("decisions")
    for name, entry in (given if isinstance(given, dict) else {}).items():
        entry = {"decision": entry} if isinstance(entry, str) else entry
        valid = isinstance(entry, dict) and entry.get("decision") in DECISIONS
        if not valid or name.rpartition("/")[2] not in PARTS:
            raise AxonInputError(f"{path}: the entry {name!r} is {entry!r}; expected {expected}.")
        decisions[name] = {k: str(v) for k, v in entry.items()}
    return decisions


def decided(decisions: dict[str, dict[str, str]], name: str, image: str) -> str | None:
    """ "accept" or "reject", or None if there is no decision on this image."""
    entry = decisions.get(name)
    if entry is None or entry.get("picture", image) != image:
        return None
    return entry["decision"]


def add_decisions(
    root: Path, cases: list[dict[str, Any]], accept: list[str], reject: list[str]
) -> int:
    """Write decisions given as ID (all X-rays of a case) or ID/part; returns their number.

    Args:
        root: the data set's folder.
        cases: all cases with their views, as in dataset.json, including those left out of it.
        accept, reject: names.

    Raises:
        AxonInputError: a name is unknown, or is both accepted and rejected.
    """
    decisions = read_review(root)
    images = {
        f"{c['id']}/{v['role']}": v.get("sha256", "")[:16]
        for c in cases
        for v in c["views"]
        if v["kind"] == "real"
    }
    images.update({f"{c['id']}/ct": c["sha256"][:16] for c in cases})
    added: dict[str, dict[str, str]] = {}
    for decision, names in (("accept", accept), ("reject", reject)):
        for name in names:
            of_case = [f"{name}/{role}" for role in PARTS[:2] if f"{name}/{role}" in images]
            for one in of_case or [name]:
                if one not in images:
                    raise AxonInputError(
                        f"--{decision} {name}: there is no such X-ray in {root}. Give the id of a "
                        "case for its X-rays, ID/frontal, ID/lateral, or ID/ct for the whole case, "
                        "with ids as in report.html."
                    )
                if one in added and added[one]["decision"] != decision:
                    raise AxonInputError(f"{one} is both accepted and rejected. Choose one.")
                added[one] = {"decision": decision, "picture": images[one]}
    decisions.update(added)
    write_json(
        root / FILE,
        {"format": FORMAT, "version": VERSION, "decisions": dict(sorted(decisions.items()))},
    )
    return len(added)
