"""Stored results, with which an evaluation is resumed or extended instead of repeated.

A result is stored under a hash of everything that it depends on: content of the inputs, bundle,
settings, registered metrics, version. If one of them changes, so does the hash, and the old result
is not found.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend import __version__
from axon_backend.imaging.write import atomic_path, write_json
from axon_backend.metrics import metric_names

# Increased when the same inputs give other measurements.
EVALUATION_VERSION = 1
FOLDER = "results"


def key_of(**depends: Any) -> str:
    """The key of a result: a hash of everything that it depends on (JSON values)."""
    parts = {
        "axon": __version__,
        "evaluation": EVALUATION_VERSION,
        "metrics": list(metric_names()),
        **depends,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


class Kept:
    """Stored results by key: rows of numbers, and optionally arrays.

    Args:
        folder: folder of the evaluation, in which ``results/`` is created with the first result;
            None: in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = None if folder is None else folder / FOLDER
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self.added = 0

    def rows(self, key: str) -> list[dict[str, Any]] | None:
        """The rows of a result; None if it is missing or damaged."""
        if key in self._rows:
            return self._rows[key]
        if self.folder is None:
            return None
        try:
            rows = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return [{k: math.nan if v is None else v for k, v in row.items()} for row in rows]
        except (OSError, ValueError, AttributeError, TypeError):
            return None

    def arrays(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays of a result; None if they are missing or damaged."""
        if key in self._arrays:
            return self._arrays[key]
        if self.folder is None:
            return None
        try:
            with np.load(self.folder / f"{key}.npz", allow_pickle=False) as stored:
                return dict(stored)
        except Exception:  # missing or damaged; zip and NumPy raise many types
            return None

    def put(
        self,
        key: str,
        rows: list[dict[str, Any]],
        arrays: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Store a result; when this returns, it is complete on disk.

        Raises:
            AxonInputError: the result cannot be written.
        """
        self.added += 1
        if self.folder is None:
            self._rows[key] = rows
            if arrays is not None:
                self._arrays[key] = dict(arrays)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if arrays is not None:
            with (
                atomic_path(self.folder / f"{key}.npz") as temporary,
                open(temporary, "wb") as stream,
            ):
                np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        write_json(self.folder / f"{key}.json", rows)  # last: rows mark a complete result
