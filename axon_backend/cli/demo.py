"""``axon demo``: the two cases that come with AXON, from the files to the reports."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.evaluation.case_output import summary, write_case
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_text
from axon_backend.inference.result import Reconstruction
from axon_backend.inference.session import InferenceSession
from axon_backend.util.run_context import Progress, RunContext

DATA = Path(__file__).resolve().parents[1] / "demo_data"
XRAY, CT = DATA / "xray_pa.jpg", DATA / "ct_lidc0306.nii.gz"
CASES = {
    "xray": (
        "A real chest X-ray",
        "One PA view, registered to the atlas. There is no CT of this patient, so nobody knows "
        "how right the volume is; it carries no pixel size, so its millimetres are an average "
        "chest's.",
    ),
    "ct_with_drrs": (
        "A CT with its rendered X-rays",
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

    ``settings`` go to :meth:`InferenceSession.reconstruct` (for example ``stages``). Returns a
    summary for the terminal.

    Raises:
        AxonInputError: the installation lacks the demonstration data, or the bundle is unusable.
        Cancelled: ``cancelled()`` was true.
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
    sections = []
    for name, (title, text) in CASES.items():

        def tell(stage: str, step: int, total: int, preview: Any, name: str = name) -> None:
            if progress is not None and stage != "read":
                progress(f"{name}: {stage}", step, total, preview)

        context = RunContext(seed, device, tell, cancelled)
        result = session.reconstruct(**inputs[name], context=context, **settings)
        if result.cancelled:
            raise Cancelled(f"stopped in {name}, stage {result.cancelled}")
        (folder / name).mkdir()
        write_case(folder / name, result, keep_stages=True, progress=tell, cancelled=cancelled)
        lines += [f"{title}: {summary(result, Path(name))}", ""]
        sections.append(_section(name, title, text, result))
    (folder / "ATTRIBUTION.md").write_bytes((DATA / "ATTRIBUTION.md").read_bytes())
    write_text(folder / "index.html", _index(sections))
    return "\n".join(lines).rstrip()


def _section(name: str, title: str, text: str, result: Reconstruction) -> str:
    metrics = result.record["metrics"]
    figures = ""
    if metrics:
        last = metrics[result.final_stage]
        figures = (
            f"<p>Against the ground truth: PSNR {last['psnr']:.1f} dB, "
            f"SSIM {last['ssim3d_gauss11']:.2f}.</p>"
        )
    return f"""<section>
<h2>{html.escape(title)}</h2>
<p>{html.escape(text)}</p>{figures}
<p><a href="{name}/report.html">Report</a> · <a href="{name}/reconstruction.nii.gz">Volume</a>
(opens in 3D Slicer) · <a href="{name}/result.json">Everything about the run</a></p>
<a href="{name}/report.html"><img src="{name}/overview.png"
alt="Overview: {html.escape(title)}"></a>
</section>"""


def _index(sections: list[str]) -> str:
    body = "\n".join(sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AXON demonstration</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #1c2733; background: #fff; }}
img {{ max-width: 100%; border-radius: 4px; }}
section {{ margin: 2.5rem 0; }}
strong {{ color: #9a3412; }}
</style>
</head>
<body>
<h1>AXON demonstration</h1>
<p><strong>{DISCLAIMER}.</strong> A reconstruction is what a model finds likely, not what is there.
Sources and licences of the images: <a href="ATTRIBUTION.md">ATTRIBUTION.md</a>.</p>
{body}
</body>
</html>
"""
