"""``interactive.html``: the volume and the CT, if there is one, in an interactive viewer.

A single file that works offline in a browser: it contains the viewer (NiiVue, in ``vendor/``) and
the volumes.
"""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend import DISCLAIMER
from axon_backend.evaluation.html import SHARED, render_page
from axon_backend.imaging.display import WINDOWS
from axon_backend.imaging.write import write_text, write_volume
from axon_backend.inference.result import Reconstruction

VIEWER = Path(__file__).parent / "vendor" / "niivue.umd.js"


def write_interactive(path: Path, result: Reconstruction) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: the ``.html`` file.
        result: the last stage is shown beside the CT on the same grid.

    Raises:
        AxonInputError: the file cannot be written.
    """
    return write_text(path, interactive_html(result))


def interactive_html(result: Reconstruction) -> str:
    """The page as HTML5."""
    stage = result.final_stage
    volumes = [{"title": "Reconstruction", "data": _nifti(result.volume, result)}]
    if stage in result.truth:
        volumes.append({"title": "CT", "data": _nifti(result.truth[stage], result)})
    about: dict[str, Any] = {
        "windows": [{"name": n, "low": low, "high": high} for n, low, high in WINDOWS],
        "volumes": volumes,
    }
    script = VIEWER.read_text(encoding="utf-8") + "\n"
    script += (SHARED / "interactive.js").read_text(encoding="utf-8")
    return render_page(
        "interactive.html",
        disclaimer=DISCLAIMER,
        about=about,
        titles=[volume["title"] for volume in volumes],
        script=script,
    )


def _nifti(volume: np.ndarray, result: Reconstruction) -> str:
    """A compressed NIfTI file in base 64, int16 HU."""
    with tempfile.TemporaryDirectory(prefix="axon-") as folder:
        file = write_volume(Path(folder) / "volume.nii.gz", volume, result.frame)
        return base64.b64encode(file.read_bytes()).decode()
