"""How soon ``axon view`` shows something, and how long its clicks take to be answered.

    python Testing/benchmarks/viewer.py --result FOLDER --ct CT --frontal PA --lateral LL

Needs the extra ``view``, Playwright and a Chromium. FOLDER was written by ``axon reconstruct``.
Measured in the browser: from the start of the command to the first image that is not blank, and
from an input to the next image of the view that it changes. Measured beside it: how long the
server, which draws and answers in turn, lets a request wait. The CPU time of the command up to
there (Linux) does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

SIZE = {"width": 1400, "height": 860}
# Times at which each view's image was replaced, in milliseconds of the page's clock.
WATCH = """() => {
  window.frames_seen = {};
  for (const title of document.querySelectorAll('[id^=title-]')) {
    const image = title.parentElement.querySelector('img.image-display-area');
    if (!image) continue;
    const seen = window.frames_seen[title.id.slice(6)] = [];
    image.addEventListener('load', () => seen.push(performance.now()));
  }
}"""
# Whether the image of a view is more than one grey value.
DRAWN = """(selector) => {
  const image = document.querySelector(selector);
  if (!image || !image.naturalWidth) return false;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 32;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 32, 32);
  const grey = context.getImageData(0, 0, 32, 32).data.filter((_, n) => n % 4 === 1);
  return Math.max(...grey) - Math.min(...grey) > 30;
}"""


@contextmanager
def viewer(*words: str) -> Iterator[tuple[Callable[[], str], Callable[[], float], Path]]:
    """``axon view`` with arguments: a function that waits for its address, one that tells its CPU
    seconds, and its output."""
    with tempfile.TemporaryDirectory(prefix="axon-view-benchmark-") as folder:
        log = Path(folder) / "log.txt"
        command = [sys.executable, "-m", "axon_backend", "view", *words, "--no-browser"]
        with log.open("w") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)

        def address() -> str:
            while True:
                for line in log.read_text().splitlines():
                    if line.startswith("Open http"):
                        return line[5:]
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.05)

        def cpu() -> float:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return round(sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"), 1)

        try:
            yield address, cpu, log
        finally:
            process.terminate()
            process.wait(60)


class Waits:
    """How long the server lets a request wait, while something else is measured: it is asked
    twenty times a second for a page that it refuses."""

    def __init__(self, address: str) -> None:
        self._url = address.partition("?")[0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest = 0.0

    def _ask(self) -> None:
        while not self._stop.is_set():
            began = time.perf_counter()
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(self._url).close()
            self.longest = max(self.longest, time.perf_counter() - began)
            self._stop.wait(0.05)

    def __enter__(self) -> Waits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def image_of(view: str) -> str:
    return f"div:has(> #title-{view}) img.image-display-area"


def now(page: Page) -> float:
    return page.evaluate("performance.now()")


def answered(
    page: Page, views: tuple[str, ...], act: Callable[[], Any], after_s: float = 3.0
) -> float:
    """Seconds until each view has another image after an input, which comes so long after the one
    before: all images of that one have been drawn, or some are being drawn."""
    page.wait_for_timeout(1000 * after_s)
    began = now(page)
    act()
    page.wait_for_function(
        "([views, began]) => views.every(v => frames_seen[v].some(t => t > began))",
        arg=[list(views), began],
        polling=20,
    )
    ends = [
        page.evaluate("([v, began]) => frames_seen[v].find(t => t > began)", [view, began])
        for view in views
    ]
    return round((max(ends) - began) / 1000, 2)


def turning(page: Page, views: tuple[str, ...]) -> dict[str, float]:
    """Longest time without a new image while a 3-D view is turned for three seconds."""
    page.wait_for_timeout(2500)
    box = page.locator(image_of(views[0])).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    began = now(page)
    for step in range(60):
        page.mouse.move(x + 2 * step, y + step / 2)
        page.wait_for_timeout(50)
    ended = now(page)
    page.mouse.up()
    found = {}
    for view in views:
        times = page.evaluate(
            "([v, a, b]) => frames_seen[v].filter(t => t > a && t < b)", [view, began, ended]
        )
        gaps = [b - a for a, b in zip([began, *times], [*times, ended], strict=True)]
        found[f"{view}: longest gap (s)"] = round(max(gaps) / 1000, 2)
        found[f"{view}: images a second"] = round(1000 * len(times) / (ended - began), 1)
    return found


def finished(page: Page, folder: str, ct: str, shots: Path | None) -> dict[str, Any]:
    """A finished case beside its CT."""
    began = time.perf_counter()
    with viewer(folder, "--ct", ct) as (address, cpu, log):
        page.goto(address())
        found: dict[str, Any] = {"address (s)": round(time.perf_counter() - began, 1)}
        page.wait_for_function(DRAWN, arg=image_of("volume_axial"), polling=50)
        found["first slice (s)"] = round(time.perf_counter() - began, 1)
        found["first slice, CPU (s)"] = cpu()
        page.wait_for_function(DRAWN, arg=image_of("volume_3d"), polling=50)
        found["first 3-D image (s)"] = round(time.perf_counter() - began, 1)
        page.wait_for_selector("#title-ct_3d")
        page.wait_for_function(DRAWN, arg=image_of("ct_3d"), polling=50)
        found["all, with the CT (s)"] = round(time.perf_counter() - began, 1)
        found["all, with the CT, CPU (s)"] = cpu()
        page.evaluate(WATCH)
        page.wait_for_timeout(2000)
        keep(page, shots, "result")

        def slice_at(share: float) -> None:
            box = page.locator("#slice-volume_axial").bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)

        slices, renderings = ("volume_axial", "ct_axial"), ("volume_3d", "ct_3d")
        with Waits(address()) as waits:
            found["slice (s)"] = max(
                answered(page, slices, lambda share=share: slice_at(share))
                for share in (0.3, 0.6, 0.8)
            )
        found["slice, longest wait (s)"] = round(waits.longest, 2)
        with Waits(address()) as waits:
            for kind, views in (("slices", slices), ("3-D", renderings)):
                for name in ("soft", "bone", "lung"):
                    seconds = answered(page, views, lambda name=name: page.click(f"#window-{name}"))
                    found[f"window {name}, {kind} (s)"] = seconds
            page.wait_for_timeout(3000)
        found["windows, longest wait (s)"] = round(waits.longest, 2)
        # While renderings are being drawn at full quality for the window before.
        found["window after window, slices, longest (s)"] = max(
            answered(page, slices, lambda name=name: page.click(f"#window-{name}"), after_s)
            for after_s in (0.7, 0.9, 1.1, 1.3)
            for name in ("bone", "soft")
        )
        keep(page, shots, "result_soft_coarse")
        page.wait_for_timeout(3000)
        keep(page, shots, "result_soft")
        found["turning"] = turning(page, renderings)
        page.wait_for_timeout(3000)
        keep(page, shots, "result_turned")
        page.get_by_label("CT beside").uncheck()
        page.wait_for_timeout(3000)
        keep(page, shots, "result_alone")
        page.evaluate(WATCH)
        with Waits(address()) as waits:
            for kind in ("axial", "3d"):
                found[f"alone, window, {kind} (s)"] = max(
                    answered(page, (f"volume_{kind}",), lambda name=name: page.click(name))
                    for name in ("#window-bone", "#window-soft", "#window-lung")
                )
            page.wait_for_timeout(3000)
        found["alone, windows, longest wait (s)"] = round(waits.longest, 2)
        entries = page.evaluate("window.trame.state.get('volumes')")
        choose = "entry => window.trame.state.set('volume', entry)"
        with Waits(address()) as waits:
            for entry in entries[1:]:
                seconds = answered(
                    page, ("volume_axial",), lambda entry=entry: page.evaluate(choose, entry)
                )
                found[f"{entry} (s)"] = seconds
                page.wait_for_timeout(1000)
                keep(page, shots, "result_" + "".join(c if c.isalnum() else "_" for c in entry))
        found["volumes, longest wait (s)"] = round(waits.longest, 2)
        page.goto("about:blank")  # the page is closed while it is served
        time.sleep(2)
        found["output beside the address"] = log.read_text().splitlines()[2:]
    return found


def xrays(page: Page, frontal: str, lateral: str, shots: Path | None) -> dict[str, Any]:
    """From X-rays: the first image, the DRR, a shift, the registration."""
    began = time.perf_counter()
    with viewer("--frontal", frontal, "--lateral", lateral) as (address, cpu, _):
        page.goto(address())
        found: dict[str, Any] = {"address (s)": round(time.perf_counter() - began, 1)}
        page.wait_for_function(DRAWN, arg="#overlay", polling=50)
        found["X-ray (s)"] = round(time.perf_counter() - began, 1)
        found["X-ray, CPU (s)"] = cpu()
        keep(page, shots, "xray_as_read")
        page.wait_for_selector("#register:not([disabled])")
        found["X-ray over the DRR (s)"] = round(time.perf_counter() - began, 1)
        found["X-ray over the DRR, CPU (s)"] = cpu()
        page.evaluate(
            "() => { window.frames_seen = {overlay: []}; document.querySelector('#overlay')"
            ".addEventListener('load', () => frames_seen.overlay.push(performance.now())); }"
        )
        page.wait_for_timeout(1500)
        keep(page, shots, "xrays")

        def shift(share: float) -> None:
            box = page.locator("#slider-right_mm").bounding_box()
            assert box is not None
            page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)

        found["shift (s)"] = max(
            answered(page, ("overlay",), lambda share=share: shift(share))
            for share in (0.3, 0.6, 0.7)
        )
        seconds = time.perf_counter()
        page.click("#register")
        page.wait_for_selector("#busy", state="attached")
        page.wait_for_selector("#busy", state="detached")
        found["Auto-register (s)"] = round(time.perf_counter() - seconds, 1)
        page.wait_for_timeout(2000)
        keep(page, shots, "xrays_registered")
    return found


def keep(page: Page, shots: Path | None, name: str) -> None:
    if shots is not None:
        page.screenshot(path=shots / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", required=True)
    parser.add_argument("--ct", required=True)
    parser.add_argument("--frontal", required=True)
    parser.add_argument("--lateral", required=True)
    parser.add_argument("--shots", type=Path, help="folder for images of the pages")
    parser.add_argument("--out", type=Path, help="JSON file")
    chosen = parser.parse_args()
    found: dict[str, Any] = {"cpus": os.cpu_count()}
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(300_000)
        page.goto("about:blank")
        found["from X-rays"] = xrays(page, chosen.frontal, chosen.lateral, chosen.shots)
        print(json.dumps(found["from X-rays"], indent=2), flush=True)
        found["a finished case"] = finished(page, chosen.result, chosen.ct, chosen.shots)
        print(json.dumps(found["a finished case"], indent=2), flush=True)
        browser.close()
    if chosen.out is not None:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
