"""Runs that end early, run again, run side by side: the same data set comes out, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from axon_backend.dataset.dataset import Dataset
from axon_backend.dataset.lock import OutputLock
from axon_backend.dataset.prepare import prepare
from axon_backend.errors import AxonInputError

COMMAND = [sys.executable, "-m", "axon_backend", "prepare"]
OPTIONS = ["--voxel", "4", "--view-size", "128", "--quiet"]


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file of a data set, without the time in dataset.json."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in ("scan.jsonl.gz", "prepare.lock"):
            continue
        data = path.read_bytes()
        if path.name == "dataset.json":
            data = json.dumps({**json.loads(data), "created": ""}).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def times(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory, coarse_chest, without_lungs) -> Path:
    """Five patients without X-rays, one of them without lungs."""
    from axon_backend.imaging.write import write_volume

    root = tmp_path_factory.mktemp("plain")
    chest = coarse_chest()
    for number in range(5):
        hu = chest.hu.copy()
        hu[:, 30 + number, 30] = 700
        if number == 3:
            hu = without_lungs(chest)
        write_volume(root / f"p{number}_ct.nii.gz", hu, chest)
    return root


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> Path:
    """Made by two processes."""
    out = tmp_path_factory.mktemp("undisturbed") / "data"
    subprocess.run(
        [*COMMAND, str(source), "--output", str(out), *OPTIONS, "--workers", "2"],
        check=True, capture_output=True,
    )  # fmt: skip
    return out


def test_one_process_makes_the_same_bytes_as_two(source, undisturbed, small, one_thread, tmp_path):
    summary = prepare(source, tmp_path / "data", small, workers=0)
    assert (summary.made, summary.counts["done"], summary.counts["skipped"]) == (5, 4, 1)
    assert contents(tmp_path / "data") == contents(undisturbed)


def test_killed_and_resumed_is_as_if_nothing_had_happened(
    source, undisturbed, small, one_thread, tmp_path
):
    out = tmp_path / "data"
    run = subprocess.Popen(
        [*COMMAND, str(source), "--output", str(out), *OPTIONS, "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    limit = time.time() + 60
    while not list(out.glob("cases/p*/case.json")) and time.time() < limit:
        time.sleep(0.01)
    run.kill()
    run.wait()
    done = list(out.glob("cases/p*/case.json"))
    assert 1 <= len(done) < 5 and not (out / "dataset.json").exists()
    # Half a case and half an exchange of folders, as if killed at the worst moments.
    (out / "cases" / ".part-all-p4").mkdir(exist_ok=True)
    (out / "cases" / ".part-all-p4" / "ct.nii.gz").write_bytes(b"half")
    summary = prepare(source, out, small, workers=0)
    assert summary.kept >= len(done) and summary.made == 5 - summary.kept
    assert contents(out) == contents(undisturbed)


def test_a_second_run_does_nothing(source, undisturbed, small, copy_of):
    out = copy_of(undisturbed)
    before = times(out)
    summary = prepare(source, out, small, workers=0)
    assert (summary.made, summary.kept) == (0, 5)
    assert times(out) == before


def test_only_what_changed_is_made_again(source, undisturbed, small, one_thread, copy_of):
    out, changed = copy_of(undisturbed), copy_of(source)
    os.utime(changed / "p0_ct.nii.gz")  # the same content at another time
    file = changed / "p1_ct.nii.gz"
    file.write_bytes((changed / "p2_ct.nii.gz").read_bytes())
    before = json.loads((out / "dataset.json").read_text())["cases"]
    volumes = {p: p.stat().st_mtime_ns for p in out.glob("cases/*/ct.nii.gz")}
    prepare(changed, out, small, workers=0)
    again = {p: p.stat().st_mtime_ns for p in out.glob("cases/*/ct.nii.gz")}
    assert [p.parent.name for p in volumes if volumes[p] != again[p]] == ["p1"]
    after = {c["id"]: c for c in json.loads((out / "dataset.json").read_text())["cases"]}
    sums = {c["id"]: c["sha256"] for c in before}
    assert after["p1"]["sha256"] == sums["p2"] != sums["p1"]
    assert after["p0"]["sha256"] == sums["p0"]


def test_a_lost_file_is_made_again(source, undisturbed, small, one_thread, copy_of):
    out = copy_of(undisturbed)
    (out / "cases" / "p0" / "ct.nii.gz").write_bytes(b"cut")
    assert prepare(source, out, small, workers=0).made == 1
    assert contents(out) == contents(undisturbed)


def test_shards_make_the_same_data_set(source, undisturbed, small, one_thread, tmp_path):
    out = tmp_path / "data"
    first = prepare(source, out, small, workers=0, shard=(2, 2))
    assert not first.whole and not (out / "dataset.json").exists()
    assert prepare(source, out, small, workers=0, shard=(1, 2)).whole
    assert contents(out) == contents(undisturbed)


def test_ctrl_c_keeps_what_is_done(source, undisturbed, small, one_thread, tmp_path):
    out = tmp_path / "data"
    asked = []

    def progress(stage, step, total, preview):
        if stage == "cases" and step == 2:
            asked.append(True)

    summary = prepare(
        source, out, small, workers=0, progress=progress, cancelled=lambda: bool(asked)
    )
    assert summary.stopped and summary.made == 2 and summary.counts["waiting"] == 3
    assert not list(out.glob("cases/.*"))
    assert len(Dataset.read(out).cases) == 2
    assert prepare(source, out, small, workers=0).made == 3
    assert contents(out) == contents(undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ctrl_c_on_the_command_line(source, tmp_path):
    out = tmp_path / "data"
    run = subprocess.Popen(
        [*COMMAND, str(source), "--output", str(out), *OPTIONS, "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    limit = time.time() + 60
    while not list(out.glob("cases/p*/case.json")) and time.time() < limit:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "stopped as asked" in said and "run the same command again" in said
    assert "Traceback" not in said
    assert not list(out.glob("cases/.*"))


def test_a_full_disk_stops_the_run_and_leaves_no_half_case(
    source, small, one_thread, tmp_path, monkeypatch, capsys
):
    import errno

    from axon_backend.cli.main import main
    from axon_backend.dataset import case, views

    real, count = views.write_view, []

    def full(*arguments):
        count.append(1)
        if len(count) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(views, "write_view", full)
    monkeypatch.setattr("axon_backend.util.pool.default_workers", lambda: 0)
    assert case  # the worker's module is this process's
    out = tmp_path / "data"
    assert main(["prepare", str(source), "--output", str(out), *OPTIONS]) == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said and "run the same command again" in said
    assert [p.name for p in (out / "cases").iterdir()] == ["p0"]
    assert not (out / "dataset.json").exists()


def test_a_full_disk_at_the_report_fails_and_keeps_the_cases(
    source, undisturbed, tmp_path, monkeypatch, capsys, copy_of
):
    from axon_backend.cli.main import main
    from axon_backend.dataset import assemble

    out = copy_of(undisturbed)
    (out / "report.html").unlink()
    before = contents(out)

    def full(path, text):
        raise AxonInputError(f"Cannot write {path}: No space left on device.")

    monkeypatch.setattr(assemble, "write_text", full)
    assert main(["prepare", str(source), "--output", str(out), *OPTIONS]) == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said and "run the same command again" in said
    assert contents(out) == before


def test_validation_is_not_left_empty_by_patients_without_a_case(
    tree, small, one_thread, tmp_path, without_lungs, capsys
):
    """Whoever is drawn for validation and has no lungs leaves the place to another."""
    from axon_backend.dataset.splits import Patient, assign

    names = [f"p{i}" for i in range(4)]
    drawn = assign([Patient(n, "drr") for n in names], small.seed)
    gone = next(n for n in names if drawn[n] == "validation")
    for name in names:
        tree.ct(name, name, hu=without_lungs(tree.chest) if name == gone else None)
    tree.ct("p9", "p9")
    out = tmp_path / "data"
    manifest = tree.root / "m.csv"
    manifest.write_text("id,ct\n" + "".join(f"{n},{n}\n" for n in names))
    summary = prepare(manifest, out, small, workers=0)
    done = {line.patient: line.split for line in summary.lines if line.status == "done"}
    assert set(done) == set(names) - {gone} and "validation" in done.values()
    # Who comes later, or breaks later, moves nobody.
    manifest.write_text("id,ct\n" + "".join(f"{n},{n}\n" for n in [*names, "p9"]))
    later = {line.patient: line.split for line in prepare(manifest, out, small, workers=0).lines}
    assert {n: later[n] for n in done} == done


def test_two_runs_cannot_share_a_folder(source, small, tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    with OutputLock(out), pytest.raises(AxonInputError, match=rf"process {os.getpid()} on"):
        prepare(source, out, small, workers=0)


def test_another_process_has_the_folder_until_it_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from axon_backend.dataset.lock import "
        f"OutputLock; lock = OutputLock(Path({str(tmp_path)!r})); lock.__enter__(); "
        "print(1, flush=True); "
        "time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(AxonInputError, match=f"process {other.pid} on"), OutputLock(tmp_path):
            pass
        with pytest.raises(AxonInputError), OutputLock(tmp_path, shard=3):
            pass
    finally:
        other.kill()
        other.communicate()
    assert (tmp_path / "prepare.lock").exists()  # stale, and in nobody's way
    with OutputLock(tmp_path):
        pass
    assert not (tmp_path / "prepare.lock").exists()


def test_shards_run_side_by_side(tmp_path):
    with OutputLock(tmp_path, 0), OutputLock(tmp_path, 1):
        with pytest.raises(AxonInputError), OutputLock(tmp_path, 1):
            pass
        with pytest.raises(AxonInputError), OutputLock(tmp_path):
            pass


def test_a_settled_case_is_not_read_again(source, undisturbed, small, copy_of):
    """The case without lungs is not tried again either."""
    out = copy_of(undisturbed)
    record = json.loads((out / "cases" / "p3" / "case.json").read_text())
    assert record["status"] == "skipped" and "No lungs" in record["reason"]
    assert prepare(source, out, small, workers=0).kept == 5


def test_output_must_not_be_the_source_or_somebody_elses(source, small, tmp_path):
    with pytest.raises(AxonInputError, match="inputs are never overwritten"):
        prepare(source, source, small, workers=0)
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(AxonInputError, match="not a data set"):
        prepare(source, tmp_path, small, workers=0)
    with pytest.raises(AxonInputError, match="does not exist"):
        prepare(tmp_path / "nowhere", tmp_path / "data", small, workers=0)
    assert not (tmp_path / "data").exists()


def test_two_files_of_one_series_copied_count_once(tree, small, one_thread, tmp_path):
    import shutil

    files = tree.ct("P", "s", slices=slice(0, 20))
    shutil.copytree(tree.root / "s", tree.root / "again")
    prepare(tree.root, tmp_path / "data", small, workers=0)
    assert "(20 slices" in (tmp_path / "data" / "report.csv").read_text()
    assert pydicom.dcmread(files[0]).PatientID == "P"
