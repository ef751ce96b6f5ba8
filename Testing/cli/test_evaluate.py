"""`axon evaluate`: bundles beside one another, bad cases that stop nothing, runs that resume."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.evaluation import entrants
from axon_backend.evaluation import evaluate as module
from axon_backend.evaluation.evaluate import evaluate_cases
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.metrics import compute_metrics, metric_names


@pytest.fixture(scope="module", autouse=True)
def small_views():
    """Views of 256 pixels are enough for networks that take 32, and rendered in a tenth of the
    time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axon_backend.inference.case.VIEW_SIZE", 256)
        yield


EXTRA = ["reprojection_frontal", "reprojection_lateral"]


@pytest.fixture(scope="module")
def other_bundle(tiny_bundle, tmp_path_factory) -> Path:
    """The tiny bundle under another name, with other weights of the bridge."""
    from axon_backend.bundle import write_bundle

    tiny = tiny_bundle
    weights = {name: tiny.state_dict(name) for name in tiny.networks}
    weights["coarse"] = {k: 0.9 * v for k, v in weights["coarse"].items()}
    atlas, size_mm = tiny.atlas()
    training = {
        "encoder": {"steps": 100, "samples": 400, "minutes": 12.5, "cases": 3},
        "coarse": {"steps": 10, "samples": 40, "minutes": 2.5, "cases": 3},
    }
    folder = tmp_path_factory.mktemp("bundles") / "other"
    write_bundle(
        folder,
        config=tiny.config,
        metadata={**tiny.metadata, "name": "<other>", "training": training},
        state_dicts=weights,
        atlas_hu=atlas,
        atlas_size_mm=size_mm,
        model_card="# other\n",
        licence_text="Apache-2.0\n",
    )
    return folder


def run(*words: object) -> int:
    return main(["evaluate", "--quiet", "--device", "cpu", *map(str, words)])


@pytest.fixture(scope="module")
def done(phantom_ct_file, phantom_xray_file, tiny_bundle, other_bundle, tmp_path_factory):
    """An evaluation of two bundles on two sound cases and two broken ones; a train case is left
    out."""
    folder = tmp_path_factory.mktemp("cohort")
    ct = str(phantom_ct_file)
    (folder / "broken.nii.gz").write_text("no volume")
    cases = [
        {"id": "drr", "frontal": None, "lateral": None, "ct": ct, "split": "test"},
        {"id": "=gone", "ct": "gone.nii.gz", "split": "test"},
        {"id": "<b>broken", "ct": "broken.nii.gz", "split": "test"},
        {"id": "film", "frontal": str(phantom_xray_file), "ct": ct, "split": "test"},
        {"id": "other", "frontal": None, "lateral": None, "ct": "never-read", "split": "train"},
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    code = run(
        "--manifest", folder / "cases.json", "--split", "test", "--bundle", tiny_bundle.path,
        "--bundle", other_bundle, "--stages", "coarse", "--samples", 2, "--figures", 0,
        "--output", folder / "out",
    )  # fmt: skip
    return code, folder / "out"


@pytest.fixture(scope="module")
def rows(done):
    return read(done[1])


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_and_one_row_per_case_bundle_views_and_estimate(done, rows):
    header = (done[1] / "metrics.csv").read_text().splitlines()[0]
    keys = ["id", "patient", "bundle", "method", "stage", "views", "inputs", "estimate", "grid"]
    assert header.split(",") == [
        *keys,
        *metric_names(),
        *EXTRA,
        "spread",
        "spread_skill",
        "coverage_50",
        "coverage_90",
    ]
    sources = {
        ("drr", "1"): "Frontal DRR",
        ("drr", "2"): "Frontal and lateral DRR",
        ("film", "1"): "Frontal X-ray",
        ("film", "2"): "Frontal X-ray and lateral DRR",
    }
    expected = {
        (case, bundle, views, source, estimate)
        for (case, views), source in sources.items()
        for bundle, estimate in (
            *((b, e) for b in ("axon-tiny", "<other>") for e in ("one sample", "mean of 2")),
            ("atlas_mean", ""),
        )
    }
    found = [(r["id"], r["bundle"], r["views"], r["inputs"], r["estimate"]) for r in rows]
    assert set(found) == expected and len(found) == len(expected)
    assert {r["grid"] for r in rows} == {"16"}


def test_atlas_rows_are_the_atlas_against_the_truth(rows, phantom_ct, tiny_bundle):
    """The phantom is the bundle's atlas; the expected value is worked out here, on 16^3."""
    window = HuWindow()
    frame = find_thorax_frame(phantom_ct)
    truth = (window.normalise(resample_to_frame(phantom_ct, frame, 16)) + 1) / 2
    atlas, _ = tiny_bundle.atlas()
    halved = atlas.reshape(16, 2, 16, 2, 16, 2).mean((1, 3, 5))
    expected = compute_metrics((window.normalise(halved) + 1) / 2, truth)
    found = [r for r in rows if r["method"] == "atlas_mean" and r["id"] == "drr"]
    assert len(found) == 2
    for row in found:
        assert float(row["mae"]) == pytest.approx(expected["mae"], abs=2e-3)
        assert float(row["psnr"]) == pytest.approx(expected["psnr"], abs=0.5)
        assert float(row["psnr"]) == pytest.approx(-10 * np.log10(float(row["mse"])), rel=1e-3)


def test_groups_are_not_mixed_and_every_kind_of_metric_is_in_the_report(done):
    text = (done[1] / "comparison.md").read_text()
    for source in ("Frontal DRR", "Frontal X-ray", "Frontal and lateral DRR",
                   "Frontal X-ray and lateral DRR"):  # fmt: skip
        assert f"## {source}, 16³ voxels (1 patient)" in text
    for title in ("Whole volume", "Inside the body", "Lungs and bone", "Projections of the volume",
                  "Samples"):  # fmt: skip
        assert text.count(f"### {title}\n") == 4
    assert "difference from axon-tiny, coarse; n = 1: too small for a test" in text
    assert "(ssim2d_x2ct)" in text and "(spread_skill)" in text


def test_parameters_time_and_samples_are_those_of_the_metadata(done, tiny_bundle):
    from axon_backend.inference.model_loading import load_model

    text = (done[1] / "comparison.md").read_text()
    count = sum(p.numel() for p in load_model(tiny_bundle).parameters())
    assert f"| axon-tiny (AXON) | {count:,} | not recorded | not recorded |" in text
    assert f"| \\<other\\> (AXON) | {count:,} | 15 | 440 |" in text


def test_all_four_files_hold_the_comparison(done):
    out = done[1]
    assert {p.name for p in out.iterdir()} == {
        "metrics.csv", "failures.csv", "results",
        *(f"comparison.{ending}" for ending in ("csv", "md", "tex", "html")),
    }  # fmt: skip
    page = (out / "comparison.html").read_text()
    assert "&lt;other&gt;, coarse, one sample" in page and "<other>" not in page
    latex = (out / "comparison.tex").read_text()
    assert r"\textless{}other\textgreater{}, coarse, mean of 2 & " in latex
    with (out / "comparison.csv").open(newline="") as stream:
        lines = [r for r in csv.DictReader(stream) if r["metric"] == "psnr"]
    assert len(lines) == 4 * 5


def test_bad_cases_are_listed_with_their_reason_and_the_exit_code_says_so(done):
    code, out = done
    assert code == 1
    with (out / "failures.csv").open(newline="") as stream:
        failed = {r["id"]: r["reason"] for r in csv.DictReader(stream)}
    assert set(failed) == {"'=gone", "<b>broken"}  # no formula for a spreadsheet
    assert "does not exist" in failed["'=gone"]
    report = (out / "comparison.md").read_text()
    assert "2 measured, 2 failed" in report and "<b>" not in report
    for reason in failed.values():
        assert reason in report and "Traceback" not in reason


@pytest.fixture
def two_cases(phantom_ct_file, tmp_path) -> Path:
    """A manifest of two patients, whose CTs differ by a few HU."""
    from axon_backend.imaging.ct import read_ct
    from axon_backend.imaging.write import write_volume

    ct = read_ct(phantom_ct_file)
    for name, more in (("a", 0.0), ("b", 8.0)):
        write_volume(tmp_path / f"{name}.nii.gz", ct.hu + more, ct)
    listed = [{"id": name, "ct": f"{name}.nii.gz"} for name in "ab"]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    return tmp_path / "cases.json"


def test_a_killed_run_continues_and_writes_the_same_tables(
    two_cases, tiny_bundle, tmp_path, monkeypatch
):
    words = ("--manifest", two_cases, "--bundle", tiny_bundle.path, "--stages", "coarse",
             "--steps", 1, "--samples", 2, "--views", "1", "--figures", 0)  # fmt: skip
    assert run(*words, "--output", tmp_path / "whole") == 0
    measured = []
    original = module._Evaluation._measured

    def dies_at_the_second(self, *arguments):
        measured.append(arguments)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(module._Evaluation, "_measured", dies_at_the_second)
    assert run(*words, "--output", tmp_path / "parts") == 1
    assert {p.name for p in (tmp_path / "parts").iterdir()} == {"results"}
    assert run(*words, "--output", tmp_path / "parts") == 0
    assert len(measured) == 3, "the first case was not measured again"
    for name in ("metrics.csv", "comparison.csv", "comparison.tex", "comparison.md"):
        whole, parts = ((tmp_path / d / name).read_bytes() for d in ("whole", "parts"))
        assert whole == parts, name
    # A damaged result is measured again, and with --overwrite every one.
    kept = next((tmp_path / "parts" / "results").glob("*.json"))
    kept.write_text("[{")
    assert run(*words, "--output", tmp_path / "parts") == 0 and len(measured) == 4
    assert run(*words, "--overwrite", "--output", tmp_path / "parts") == 0 and len(measured) == 6


def test_a_folder_of_other_files_is_refused_and_left_alone(two_cases, tiny_bundle, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    words = ("--manifest", two_cases, "--bundle", tiny_bundle.path, "--output", tmp_path / "out")
    assert run(*words) == 2
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_every_bundle_runs_the_stages_that_it_recommends(coarse_bundle, tiny_bundle):
    every = ("coarse", "fine", "sr")
    for asked, stages in (
        (None, [("coarse",), every]),
        ((), [("coarse",), every]),
        (("all",), [every, every]),
        (("sr", "coarse"), [("coarse", "sr")] * 2),
    ):
        opened = entrants.entrants([coarse_bundle, tiny_bundle], "cpu", asked)
        assert [entrant.stages for entrant in opened] == stages


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ((), None),
        (("--stages", "all"), ("all",)),
        (("--table", "table3"), ("all",)),
        (("--table", "table1", "--stages", "coarse"), ("coarse",)),
    ],
)
def test_tables_of_the_paper_have_all_stages(two_cases, words, stages, tmp_path, monkeypatch):
    heard = []

    def evaluated(cases, **settings):
        heard.append(settings["stages"])
        raise AxonInputError("Seen.")

    monkeypatch.setattr(module, "evaluate_cases", evaluated)
    assert run("--manifest", two_cases, "--output", tmp_path / "out", *words) == 2
    assert heard == [stages]


def test_what_cannot_be_asked_for_is_one_sentence(two_cases, tiny_bundle, tmp_path, capsys):
    words = ("--manifest", two_cases, "--bundle", tiny_bundle.path, "--output", tmp_path / "out")
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.path, copy)
    for more, says in (
        (("--bundle", copy), "is given twice"),
        (("--samples", 0), "At least one sample"),
        (("--figures", -1), "--figures is -1"),
        (("--stages", "corse"), "cannot be run"),
        (("--table", "table4", "--split", "validation"), "no case"),
    ):
        assert run(*words, *more) == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_figures_and_a_table_of_the_paper(two_cases, tiny_bundle, other_bundle, tmp_path):
    words = ("--manifest", two_cases, "--bundle", tiny_bundle.path, "--bundle", other_bundle,
             "--stages", "coarse", "--output", tmp_path / "out")  # fmt: skip
    assert run(*words, "--samples", 2, "--views", "1") == 0
    names = {p.name for p in (tmp_path / "out" / "figures").iterdir()}
    assert names == {"a-1-view.png", "a-1-view-samples-of-axon-tiny.png",
                     "a-1-view-samples-of-other.png"}  # fmt: skip
    assert (tmp_path / "out" / "comparison.html").read_text().count("data:image/png") == 3
    assert run(*words, "--table", "table1") == 0
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert {f"table1.{kind}" for kind in ("csv", "md", "tex", "html")} <= left
    assert run(*words, "--table", "table3", "--figures", "0") == 0
    left |= {f"table3.{kind}" for kind in ("csv", "md", "tex", "html")}
    assert {p.name for p in (tmp_path / "out").iterdir()} == left - {"figures"}
    text = (tmp_path / "out" / "table1.md").read_text()
    assert "| axon-tiny, coarse, one sample | Frontal DRR | 16³ | 2 |" in text
    assert "atlas mean" not in text and "not comparable with the paper's" in text


class KnownSampler:
    """A session of a perfect sampler: CT and samples are draws around one centre.

    sample_k = CT - e_0 + e_k with noise e of 120 HU, so the centre is CT - e_0.
    """

    window = HuWindow(-3000.0, 3000.0)  # nothing is clipped

    def __init__(self, session):
        self.bundle, self.info, self.config = session.bundle, session.info, session.config

    def stages(self, asked):
        return ("coarse",)

    def steps(self, asked):
        return {}

    def sample(self, placed, *, samples, **_):
        import torch

        truth = resample_to_frame(placed.case.ct, placed.frame, 16)
        noise = 120.0 * np.random.default_rng(4).standard_normal((samples + 1, *truth.shape))
        drawn = [self.window.normalise(truth - noise[0] + e) for e in noise[1:]]
        return {"coarse": [torch.as_tensor(d, dtype=torch.float32)[None, None] for d in drawn]}


def test_a_perfect_sampler_has_the_known_errors(phantom_ct_file, tiny_bundle, monkeypatch):
    """On [0, 1] the noise is s = 120 / 6000: MSE 2 s^2 of a sample and (1 + 1/8) s^2 of the mean of
    eight, 2.5 dB apart, and spread over skill is 1."""
    real = entrants.InferenceSession
    monkeypatch.setattr(entrants, "InferenceSession", lambda *a: KnownSampler(real(*a)))
    result = evaluate_cases(
        [ManifestCase("p", phantom_ct_file)], bundles=(tiny_bundle,), views=(2,), device="cpu"
    )
    assert not result.failures
    sample, mean, _ = result.rows
    s = 120 / 6000
    assert (sample["estimate"], mean["estimate"]) == ("one sample", "mean of 8")
    assert sample["mse"] == pytest.approx(2 * s**2, rel=0.05)
    assert mean["mse"] == pytest.approx(1.125 * s**2, rel=0.05)
    assert mean["psnr"] - sample["psnr"] == pytest.approx(10 * np.log10(2 / 1.125), abs=0.2)
    assert mean["spread"] == pytest.approx(s, rel=0.02)
    assert mean["spread_skill"] == pytest.approx(1.0, abs=0.03)
    assert mean["coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert mean["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert "spread" not in sample


class SeesThrough(KnownSampler):
    """A session whose volume is the CT of the patient, whichever X-ray it is shown: a patient is
    known by the placement's pixels."""

    window = HuWindow()
    volumes: dict = {}

    def sample(self, placed, *, samples, **_):
        import torch

        source = Path(placed.case.xrays["frontal"].source).stem.split("_")[0]
        return {
            "coarse": [self.window.normalise(torch.as_tensor(self.volumes[source]))[None, None]]
        }


@pytest.fixture(scope="module")
def films(phantom_ct, tmp_path_factory):
    """Frontal and lateral X-rays of two patients without a CT, and their volumes: the phantom, and
    the phantom with the front half of its lungs filled."""
    from axon_backend.imaging.view import View
    from axon_backend.imaging.write import write_png
    from axon_backend.physics.drr import render_drr
    from axon_backend.physics.geometry import AcquisitionGeometry

    folder = tmp_path_factory.mktemp("films")
    frame = find_thorax_frame(phantom_ct)
    filled = phantom_ct.hu.copy()
    filled[:, :30][filled[:, :30] == -850.0] = 40.0
    volumes = {}
    for name, hu in (("p", phantom_ct.hu), ("q", filled)):
        ct = replace(phantom_ct, hu=hu)
        volumes[name] = resample_to_frame(ct, frame, 64)
        for view in (View.pa, View.lateral_left):
            image = render_drr(ct, AcquisitionGeometry.of_frame(frame, view), 256).numpy()
            write_png(folder / f"{name}_{view.value}.png", image / image.max(), bits=16)
    return folder, volumes


@pytest.mark.parametrize("same_rows", [True, False])
def test_the_projection_test_finds_the_own_lateral_image(
    films, tiny_bundle, tmp_path, monkeypatch, same_rows
):
    folder, volumes = films
    # Registered by itself, q's lateral image does not look like a chest, and is refused.
    names, failed = ("pq", 0) if same_rows else ("p", 1)
    real = entrants.InferenceSession
    monkeypatch.setattr(entrants, "InferenceSession", lambda *a: SeesThrough(real(*a)))
    monkeypatch.setattr(SeesThrough, "volumes", volumes)
    manifest = [
        {"id": name, "frontal": f"{name}_pa.png", "lateral": f"{name}_ll.png",
         "same_rows": same_rows}
        for name in "pq"
    ]  # fmt: skip
    (folder / "cases.json").write_text(json.dumps(manifest))
    out = tmp_path / "out"
    assert run("--manifest", folder / "cases.json", "--bundle", tiny_bundle.path,
               "--samples", 1, "--output", out) == failed  # fmt: skip
    found = read(out)
    assert [r["id"] for r in found] == list(names) and not any(r.get("psnr") for r in found)
    for row in found:
        assert row["inputs"] == "Projection test, frontal X-ray" and row["grid"] == "0"
        # Not 1: the film is a cone-beam image, the volume is projected in parallel.
        assert float(row["projection"]) > 0.7 and float(row["projection_gradient"]) > 0.5
        if same_rows:
            assert float(row["projection"]) > float(row["projection_others"]) + 0.1
            assert float(row["projection_rank"]) == 0.0
        else:
            assert row["projection_others"] == row["projection_rank"] == "nan", "nobody else"
    text = (out / "comparison.md").read_text()
    assert f"## Projection test, frontal X-ray, images ({len(names)} patient" in text
    before = {p.name: p.stat().st_mtime_ns for p in (out / "results").iterdir()}
    if not same_rows:
        manifest[1]["force"] = ["lateral"]
        (folder / "cases.json").write_text(json.dumps(manifest))
    assert run("--manifest", folder / "cases.json", "--bundle", tiny_bundle.path,
               "--samples", 1, "--output", out) == 0  # fmt: skip
    assert [r["id"] for r in read(out)] == ["p", "q"]
    after = {p.name: p.stat().st_mtime_ns for p in (out / "results").iterdir()}
    assert before.items() <= after.items() and (not same_rows or before == after)


def test_a_manifest_says_what_a_case_without_a_ct_lacks(tmp_path, capsys):
    for entry, says in (
        ({"id": "a", "frontal": "f.png"}, "no 'lateral'"),
        ({"id": "a"}, "no 'frontal'"),
        ({"id": "a", "ct": "c", "view": "lateral"}, "'view' is"),
        ({"id": "a", "ct": "c", "pixel_mm": -1}, "'pixel_mm' is -1"),
        ({"id": "a", "ct": "c", "same_rows": "yes"}, "'same_rows' is"),
        ({"id": "a", "ct": "c", "force": True}, "'force' is true; expected a list"),
        ({"id": "a", "ct": "c", "force": ["side"]}, "'force' is"),
    ):
        (tmp_path / "cases.json").write_text(json.dumps([entry]))
        assert run("--manifest", tmp_path / "cases.json", "--output", tmp_path / "out") == 2
        said = capsys.readouterr().err
        assert says in said and said.count("\n") == 1
