"""metrics.csv: rows as they come, new metrics as new columns, and a resume without doubles."""

import csv
import subprocess
import sys

from axon_backend.training.run.curves import COLUMNS, Curves
from axon_backend.training.run.provenance import environment, git_commit


def rows(file):
    with open(file) as stream:
        return list(csv.DictReader(stream))


def test_rows_come_back_and_new_metrics_get_columns(tmp_path):
    file = tmp_path / "metrics.csv"
    curves = Curves(file, tmp_path / "tb", 0)
    curves.add(1, {"loss": 0.1 + 0.2, "lr": 1e-3})
    curves.add(2, {"loss": float("nan")})
    curves.add(2, {"v2_psnr": 20.5})
    curves.add(3, {"loss": 0.25})
    curves.close()
    found = rows(file)
    assert [r["step"] for r in found] == list("1223")
    assert float(found[0]["loss"]) == 0.3 and found[1]["loss"] == ""
    assert found[2]["v2_psnr"] == "20.5" and found[3]["v2_psnr"] == ""
    assert set(found[0]) == {*COLUMNS, "v2_psnr"}
    assert (tmp_path / "tb").is_dir()


def test_a_resume_takes_out_the_rows_that_are_done_again(tmp_path):
    file = tmp_path / "metrics.csv"
    curves = Curves(file, tmp_path / "tb", 0)
    for step in range(1, 6):
        curves.add(step, {"loss": step, "figure": 2 * step})
    with open(file, "a") as stream:
        stream.write("6,0.")  # killed in the middle of a row
    curves = Curves(file, tmp_path / "tb", 3)
    assert [r["step"] for r in rows(file)] == list("123")
    curves.add(4, {"loss": 9})
    assert [(r["step"], r["loss"]) for r in rows(file)][-1] == ("4", "9")
    assert rows(file)[0]["figure"] == "2"


def test_without_tensorboard_the_csv_is_written_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    curves = Curves(tmp_path / "metrics.csv", tmp_path / "tb", 0)
    assert "pip install" in curves.missing
    curves.add(1, {"loss": 1.0})
    assert rows(tmp_path / "metrics.csv")[0]["loss"] == "1"


def test_the_commit_says_when_files_differ_from_it(tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words],
            check=True,
            capture_output=True,
        )

    assert git_commit(tmp_path) is None
    git("init")
    (tmp_path / "axon_backend").mkdir()
    (tmp_path / "axon_backend" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "x")
    commit = git_commit(tmp_path)
    assert len(commit) == 40
    (tmp_path / "axon_backend" / "a.py").write_text("2")
    assert git_commit(tmp_path) == commit + "-changed"


def test_the_environment_names_versions():
    found = environment()
    assert found["axon"] and found["python"] == sys.version.split()[0]
    assert found["packages"]["torch"] and found["cpu_threads"] >= 1
