"""A cohort: every study ends as a case with an answer, and nothing is made twice."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from axon_backend.cli.main import main
from axon_backend.cohort.run import reconstruct_cohort
from axon_backend.cohort.storage import Bucket
from axon_backend.dataset.lock import OutputLock
from axon_backend.errors import AxonInputError
from axon_backend.util.pool import Pool


def times(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("cases/*/case.json")}


def states(summary) -> dict[str, str]:
    return {record["id"]: record["status"] for record in summary.records}


def test_every_study_has_an_answer_and_a_second_run_makes_nothing(source, settings, tmp_path):
    out = tmp_path / "out"
    first = reconstruct_cohort(source, out, settings)
    assert states(first) == {"a": "done", "b": "done", "c": "done", "d": "refused"}
    assert (first.made, first.kept) == (4, 0)
    assert (out / "cases" / "a" / "reconstruction.nii.gz").exists()
    with open(out / "summary.csv", newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert rows["a"]["status"] == "done" and "not a readable image" in rows["d"]["reason"]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page and "Research use only" in page
    assert page.index("<code>d</code>") < page.index("<code>a</code>")  # what needs a look first

    before = times(out)
    again = reconstruct_cohort(source, out, settings)
    assert (again.made, again.kept) == (0, 4) and times(out) == before
    assert states(again) == states(first)


def test_a_changed_file_or_setting_is_made_again(source, settings, tmp_path):
    out = tmp_path / "out"
    reconstruct_cohort(source, out, settings)
    data = (source / "a_pa.png").read_bytes()
    os.utime(source / "b_pa.png")  # touched, but of the same content
    (source / "d_pa.png").write_bytes(data)
    kept = (out / "cases" / "b" / "case.json").stat().st_mtime_ns
    again = reconstruct_cohort(source, out, settings)
    assert states(again)["d"] == "done" and (again.made, again.kept) == (1, 3)
    assert "kept" not in again.by_id["b"]
    assert (out / "cases" / "b" / "case.json").stat().st_mtime_ns == kept
    assert reconstruct_cohort(source, out, replace(settings, seed=5)).made == 4


def test_an_error_of_axon_costs_only_its_study(source, settings, tmp_path, monkeypatch):
    from axon_backend.cohort import work

    real = work.write_case

    def broken(folder, result, **options):
        if folder.name.endswith("-b"):
            raise KeyError("unforeseen")
        return real(folder, result, **options)

    monkeypatch.setattr(work, "write_case", broken)
    first = reconstruct_cohort(source, tmp_path / "out", settings)
    assert states(first) == {"a": "done", "b": "failed", "c": "done", "d": "refused"}
    assert "KeyError" in first.records[1]["reason"]
    monkeypatch.undo()
    again = reconstruct_cohort(source, tmp_path / "out", settings)
    assert states(again)["b"] == "done" and again.made == 1


def test_outputs_that_would_harm_are_refused(source, settings, tmp_path):
    with pytest.raises(AxonInputError, match="both input and output"):
        reconstruct_cohort(source, source, settings)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(AxonInputError, match="not a cohort"):
        reconstruct_cohort(source, other, settings)
    out = tmp_path / "out"
    out.mkdir()
    with OutputLock(out), pytest.raises(AxonInputError, match="Another run"):
        reconstruct_cohort(source, out, settings)
    (tmp_path / "file").write_text("x")
    with pytest.raises(AxonInputError, match="is a file"):
        reconstruct_cohort(source, tmp_path / "file", settings)


def test_a_stopped_run_says_what_waits(source, settings, tmp_path):
    done: list[int] = []
    summary = reconstruct_cohort(
        source, tmp_path / "out", settings,
        progress=lambda stage, step, total, _: done.append(step) if stage == "studies" else None,
        cancelled=lambda: max(done, default=0) >= 2,
    )  # fmt: skip
    assert sorted(states(summary).values()) == ["done", "done", "waiting", "waiting"]


def test_a_bucket_holds_the_same_cases(source, settings, tmp_path):
    import fsspec

    url = f"memory://{tmp_path.name}/out"
    manifest = tmp_path / "m.json"
    memory = fsspec.filesystem("memory")
    memory.put_file(str(source / "a_pa.png"), f"/{tmp_path.name}/in/pa.png")
    manifest.write_text(
        json.dumps([
            {"id": "far", "frontal": f"memory://{tmp_path.name}/in/pa.png"},
            {"id": "near", "frontal": str(source / "a_pa.png")},
            {"id": "gone", "frontal": f"memory://{tmp_path.name}/in/gone.png"},
        ])
    )  # fmt: skip
    first = reconstruct_cohort(manifest, url, settings)
    assert states(first) == {"far": "done", "near": "done", "gone": "failed"}
    assert "does not exist" in first.records[2]["reason"]
    volumes = [Bucket(url).read(case, "reconstruction.nii.gz") for case in ("far", "near")]
    assert volumes[0] is not None and volumes[0] == volumes[1]
    assert reconstruct_cohort(manifest, url, settings).kept == 2
    # A record that is missing is a case that is not there.
    memory.rm(f"/{tmp_path.name}/out/cases/far/case.json")
    assert reconstruct_cohort(manifest, url, settings).made == 1


def command(source: Path, bundle: str, out: Path) -> list[str]:
    """Arguments of a cheap run."""
    quick = ["--no-register", "--no-report", "--quiet", "--workers", "1"]
    return ["cohort", "reconstruct", str(source), "--bundle", bundle, "--output", str(out), *quick]


def test_the_command(source, mean_bundle, tmp_path, capsys):
    chosen = command(source, mean_bundle, tmp_path / "out")
    assert main(chosen) == 0
    told = capsys.readouterr().out
    assert "3 of 4 studies reconstructed" in told and "refused: d:" in told
    assert main([*chosen[:-1], "0"]) == 2
    assert main([*chosen, "--time-limit", "-1"]) == 2


@pytest.mark.slow
def test_an_evaluation_by_workers_is_that_of_one_process(
    phantom_ct_file, mean_bundle, tmp_path, capsys
):
    manifest = tmp_path / "cases.json"
    cases = [
        {"id": "one", "ct": str(phantom_ct_file)},
        {"id": "two", "ct": str(phantom_ct_file)},
        {"id": "gone", "ct": "gone.nii.gz"},
    ]
    manifest.write_text(json.dumps(cases))
    options = ["evaluate", "--manifest", str(manifest), "--bundle", mean_bundle, "--quiet",
               "--figures", "0", "--views", "1"]  # fmt: skip
    assert main([*options, "--output", str(tmp_path / "alone")]) == 1
    assert main(["cohort", *options, "--workers", "2", "--output", str(tmp_path / "many")]) == 1
    for name in ("metrics.csv", "failures.csv"):
        assert (tmp_path / "many" / name).read_text() == (tmp_path / "alone" / name).read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killing_the_run_loses_no_finished_study(source, mean_bundle, tmp_path):
    out = tmp_path / "out"
    chosen = [sys.executable, "-m", "axon_backend", *command(source, mean_bundle, out)]
    run = subprocess.Popen(chosen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not times(out) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.kill()
    run.wait()
    finished = {p: p.stat().st_mtime_ns for p in out.glob("cases/*/case.json")}
    assert finished
    assert subprocess.run(chosen, stdout=subprocess.DEVNULL).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in finished} == finished
    names = {p.name for p in (out / "cases").iterdir()}
    assert names == {"a", "b", "c", "d"}, "no half-made case is left"


@pytest.mark.slow
def test_a_bucket_of_s3(source, settings, tmp_path, monkeypatch):
    """Against a server that speaks S3: pip install s3fs 'moto[s3]' flask flask-cors. They are not
    among what development needs, because they need an older python-dateutil."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import fsspec

        system = fsspec.filesystem("s3", skip_instance_cache=True)
        system.mkdir("cohort")
        system.put_file(str(source / "a_pa.png"), "cohort/in/a.png")
        manifest = tmp_path / "m.csv"
        manifest.write_text("id,frontal\na,s3://cohort/in/a.png\nb,s3://cohort/in/gone.png\n")
        first = reconstruct_cohort(manifest, "s3://cohort/out", settings, pool=Pool(1))
        assert states(first) == {"a": "done", "b": "failed"}
        assert system.exists("cohort/out/cases/a/reconstruction.nii.gz")
        again = reconstruct_cohort(manifest, "s3://cohort/out", settings, pool=Pool(1))
        assert again.kept == 1
    finally:
        server.stop()
