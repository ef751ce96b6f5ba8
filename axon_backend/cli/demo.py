"""``axon demo``: reconstruct the two cases that come with AXON, and write their reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.evaluation.case_output import stages_left_out, summary, write_case
from axon_backend.evaluation.html import render_page
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_text
from axon_backend.inference.result import Reconstruction
from axon_backend.inference.session import InferenceSession
from axon_backend.util.run_context import Progress, RunContext

DATA = Path(__file__).resolve().parents[1] / "demo_data"
TEMPLATES = Path(__file__).resolve().parent / "templates"
XRAY, CT = DATA / "xray_pa.jpg", DATA / "ct_lidc0306.nii.gz"
CASES = {
    "xray": (
        "A real chest X-ray",
        "One PA view, registered to the atlas. There is no CT of this patient, so the accuracy of "
        "the volume is unknown. The image has no pixel size, so the scale is that of an average "
        "chest.",
    ),
    "ct_with_drrs": (
        "A CT and X-rays rendered from it",
        "A PA and a lateral view rendered from a CT that the model has never seen. The CT is "
        "the ground truth, and the report measures the difference.",
    ),
}
DEMO_FILES = ("index.html", "ATTRIBUTION.md", *CASES)


def run_demo(
    folder: Path,
    *,
    bundle: str | Path | Bundle | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    **settings: Any,
) -> str:
    """Reconstruct both cases into ``folder`` and link their reports from ``index.html``.

    ``settings`` are passed to :meth:`InferenceSession.reconstruct` (for example ``stages``).
    Returns a summary for the terminal.

    Raises:
        AxonInputError: the installation lacks the demonstration data, or the bundle is unusable.
        Cancelled: ``cancelled()`` returned True.
    """
    for needed in (XRAY, CT, DATA / "ATTRIBUTION.md"):
        if not needed.is_file():
            raise AxonInputError(
                f"This installation lacks its demonstration data ({needed}). Reinstall axon-ct."
            )
    session = InferenceSession(bundle, device)
    inputs: dict[str, dict[str, Any]] = {
        "xray": {"frontal": XRAY, "frontal_view": View.pa},
        "ct_with_drrs": {"frontal": None, "ct": CT, "render_lateral": True},
    }
    lines = []
    cases = []
    for name, (title, text) in CASES.items():

        def report(stage: str, step: int, total: int, preview: Any, name: str = name) -> None:
            if progress is not None and stage != "read":
                progress(f"{name}: {stage}", step, total, preview)

        context = RunContext(seed, device, report, cancelled)
        result = session.reconstruct(**inputs[name], context=context, **settings)
        if result.cancelled:
            raise Cancelled(f"stopped in {name}, stage {result.cancelled}")
        (folder / name).mkdir()
        write_case(folder / name, result, keep_stages=True, progress=report, cancelled=cancelled)
        lines += [f"{title}: {summary(result, Path(name))}", ""]
        cases.append(_case(name, title, text, result))
    (folder / "ATTRIBUTION.md").write_bytes((DATA / "ATTRIBUTION.md").read_bytes())
    page = render_page("demo.html", TEMPLATES, disclaimer=DISCLAIMER, cases=cases)
    write_text(folder / "index.html", page)
    return "\n".join(lines).rstrip()


def _case(name: str, title: str, text: str, result: Reconstruction) -> dict[str, Any]:
    """A case as the page's template takes it."""
    metrics = result.record["metrics"]
    last = metrics[result.final_stage] if metrics else None
    left_out = ", ".join(stages_left_out(result))
    return {"name": name, "title": title, "text": text, "metrics": last, "left_out": left_out}
