"""`axon register`, `axon demo`, `axon selfcheck`, `axon bundle verify`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from axon_backend.bundle.library import SHIPPED
from axon_backend.bundle.write import seal_bundle
from axon_backend.cli.main import main


def test_register_to_a_ct_and_to_the_atlas(
    phantom_xray_file, phantom_ct_file, tiny_bundle, tmp_path, capsys
):
    # The X-ray is the CT's own DRR; the atlas is the same chest on 32^3 voxels.
    for name, reference, agreement, off in (
        ("ct", ["--ct", str(phantom_ct_file)], 0.95, 2.0),
        (
            "atlas",
            ["--bundle", str(tiny_bundle.path)],
            0.8,
            25.0,
        ),  # affine, on a chest that is cut at the frame
    ):
        output = tmp_path / name
        code = main(["register", "--xray", str(phantom_xray_file), *reference, "--output",
                     str(output)])  # fmt: skip
        assert code == 0
        assert {p.name for p in output.iterdir()} == {
            "registered.png", "overlay.png", "result.json",
        }  # fmt: skip
        registered = np.asarray(Image.open(output / "registered.png"))
        assert registered.dtype == np.uint16 and registered.shape == (1024, 1024)
        assert Image.open(output / "overlay.png").mode == "RGB"
        record = json.loads((output / "result.json").read_text())
        assert record["registration"]["ncc"] > agreement
        # So it is in its place already: the unit square is its 256 x 256 pixels.
        matrix = np.array(record["registration"]["matrix"])
        assert matrix @ [0, 0, 1] == pytest.approx([-0.5, -0.5, 1], abs=off)
        assert matrix @ [1, 1, 1] == pytest.approx([255.5, 255.5, 1], abs=off)
        assert "frontal" in capsys.readouterr().out


def test_register_keeps_an_earlier_result(phantom_xray_file, tiny_bundle, tmp_path, capsys):
    (tmp_path / "result.json").write_text("{}")
    arguments = ["register", "--xray", str(phantom_xray_file), "--bundle", str(tiny_bundle.path)]
    assert main([*arguments, "--output", str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_bundle_verify(tiny_bundle, tmp_path, capsys):
    assert main(["bundle", "verify", str(tiny_bundle.path)]) == 0
    said = capsys.readouterr().out
    assert tiny_bundle.sha256 in said and "files verified" in said and "coarse" in said
    assert main(["bundle", "verify", str(tmp_path)]) == 2


@pytest.fixture
def chest_bundle(tiny_bundle, tmp_path):
    """The tiny bundle with the atlas of the shipped one, to which real X-rays can be registered."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.path, folder)
    shutil.copytree(SHIPPED / "atlas", folder / "atlas", dirs_exist_ok=True)
    seal_bundle(folder)
    return folder


def test_demo_makes_both_cases_and_a_page_that_links_them(chest_bundle, tmp_path, capsys):
    output = tmp_path / "demo"
    assert main(["demo", "--bundle", str(chest_bundle), "--output", str(output)]) == 0
    page = (output / "index.html").read_text()
    for case in ("xray", "ct_with_drrs"):
        assert f'href="{case}/report.html"' in page
        for name in ("report.html", "overview.png", "reconstruction.nii.gz", "result.json"):
            assert (output / case / name).stat().st_size > 0
    assert "CC BY 3.0" in (output / "ATTRIBUTION.md").read_text()
    record = json.loads((output / "ct_with_drrs" / "result.json").read_text())
    assert [row["role"] for row in record["registration"]] == ["frontal", "lateral"]
    assert record["metrics"]["sr"]["psnr"] > 0
    assert json.loads((output / "xray" / "result.json").read_text())["metrics"] is None
    assert str(output / "index.html") in capsys.readouterr().out
    assert "left out" not in page


@pytest.mark.parametrize(("words", "runs"), [([], ["coarse"]), (["--stages", "all"], None)])
def test_demo_runs_the_recommended_stages(chest_bundle, words, runs, tmp_path, monkeypatch, capsys):
    from axon_backend.cli import demo

    metadata = chest_bundle / "configs" / "metadata.json"
    metadata.write_text(
        json.dumps({**json.loads(metadata.read_text()), "recommended_stage": "coarse"})
    )
    seal_bundle(chest_bundle)
    monkeypatch.setattr(demo, "CASES", {"xray": demo.CASES["xray"]})
    output = tmp_path / "demo"
    made = ["demo", "--bundle", str(chest_bundle), "--quiet", "--output", str(output)]
    assert main([*made, *words]) == 0
    record = json.loads((output / "xray" / "result.json").read_text())
    assert [s["name"] for s in record["stages"]] == (runs or ["coarse", "fine", "sr"])
    page = (output / "index.html").read_text()
    assert ("Stages left out: fine, sr" in page) == bool(runs)


def test_selfcheck_names_versions_and_runs(capsys):
    code = main(["selfcheck"])
    said = capsys.readouterr().out
    for word in ("AXON:", "torch ", "memory:", "disk:", "device:", "OpenGL:", "tiny run:"):
        assert word in said
    assert "finite and repeatable" in said
    assert code == (1 if "FAILED" in said else 0)


def test_a_name_that_the_terminal_cannot_show_does_not_fail(tmp_path):
    """As on Windows, where a redirected output has the old code page."""
    import json
    import os
    import subprocess
    import sys

    manifest = tmp_path / "mani.json"
    manifest.write_text(json.dumps([{"id": "\u0141\u00f3d\u017a", "ct": "none"}]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "axon_backend", "prepare", str(manifest), "--quiet",
         "--output", str(tmp_path / "D\u0105b"), "--workers", "1"],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr  # it has no case
    assert b"no case could be prepared" in done.stderr
    assert b"D\\u0105b" in done.stdout
