"""Accept or reject X-rays of a data set, without access to its source."""

from __future__ import annotations

from pathlib import Path

from axon_backend.dataset.assemble import assemble_again
from axon_backend.dataset.dataset import FILE
from axon_backend.dataset.lock import OutputLock
from axon_backend.dataset.review import add_decisions
from axon_backend.dataset.store import CASES, read_record
from axon_backend.errors import AxonInputError


def decide(root: Path, accept: list[str], reject: list[str]) -> int:
    """Write decisions to review.json and reassemble the data set; returns their number.

    Raises:
        AxonInputError: there is no data set, a name is unknown, or a run is using the folder.
    """
    if not (root / FILE).is_file():
        raise AxonInputError(f"{root} contains no data set ({FILE}). Prepare it first.")
    with OutputLock(root):
        cases = []
        for folder in sorted((root / CASES).iterdir()):
            record = read_record(root, folder.name)
            if record is not None and record["status"] == "done":
                cases.append({"id": folder.name, **record})
        count = add_decisions(root, cases, accept, reject)
        assemble_again(root)
    return count
