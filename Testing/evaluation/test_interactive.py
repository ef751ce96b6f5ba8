"""The page with a volume that can be turned: whole in one file, and shown by a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from PIL import Image

from axon_backend.evaluation.interactive import write_interactive
from axon_backend.imaging.frame import ThoraxFrame

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a small volume and its CT: (file, the volume)."""
    volume = np.full((20, 20, 20), -1000.0, np.float32)
    volume[4:16, 4:16, 4:16] = 40
    result = SimpleNamespace(
        final_stage="sr",
        volume=volume,
        truth={"sr": volume + 10},
        frame=ThoraxFrame((0.0, 0.0, 0.0), (300.0, 250.0, 300.0)),
    )
    file = tmp_path_factory.mktemp("page") / "interactive.html"
    return write_interactive(file, result), volume


def test_the_page_holds_both_volumes_and_loads_nothing(page, tmp_path):
    file, volume = page
    text = file.read_text(encoding="utf-8")
    about = json.loads(
        re.search(r'<script type="application/json" id="about">(.*?)</script>', text)[1]
    )
    assert [v["title"] for v in about["volumes"]] == ["Reconstruction", "CT"]
    for shown, offset in zip(about["volumes"], (0, 10), strict=True):
        stored = tmp_path / "v.nii.gz"
        stored.write_bytes(base64.b64decode(shown["data"]))
        image = nibabel.load(stored)
        hu = np.asarray(image.dataobj)
        assert hu.min() == -1000 + offset and hu.max() == 40 + offset
        assert hu.shape == volume.shape[::-1]
        assert np.allclose(image.header.get_zooms(), (15.0, 12.5, 15.0))
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', text)[1]
    assert "http" not in policy and "default-src 'none'" in policy
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert not re.search(r'<(script|img|link)[^>]+(src|href)="(?!data:)', text)
    assert "Research use only" in text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_it(page, tmp_path):
    file, _ = page
    image = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader",
               "--enable-unsafe-swiftshader", "--disable-background-networking", "--no-first-run",
               f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,900",
               "--virtual-time-budget=20000", f"--screenshot={image}"]  # fmt: skip
    subprocess.run(
        [CHROMIUM, *options, file.as_uri()], check=True, capture_output=True, timeout=500
    )
    shown = np.asarray(Image.open(image).convert("L"))[300:800]
    # Both canvases show the bright block before black.
    for half in (shown[:, :600], shown[:, 600:]):
        assert (half > 200).mean() > 0.02 and (half < 30).mean() > 0.05
