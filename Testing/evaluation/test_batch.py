"""A folder of studies: one folder a study, failures listed, nothing done twice."""

import csv
import shutil

import pytest
from PIL import Image

from axon_backend.errors import Cancelled
from axon_backend.evaluation.batch import reconstruct_studies
from axon_backend.inference.session import InferenceSession
from axon_backend.inference.study import find_studies
from axon_backend.util.run_context import RunContext


@pytest.fixture
def studies(tmp_path, phantom_xray_file, phantom_ct_file):
    """One with a CT, one that is no X-ray, one without a frontal view."""
    root = tmp_path / "in"
    for name in ("anna", "bert", "carl"):
        (root / name).mkdir(parents=True)
    shutil.copy(phantom_xray_file, root / "anna" / "pa.png")
    shutil.copy(phantom_ct_file, root / "anna" / "ct.nii.gz")
    Image.new("L", (40, 40), 7).save(root / "bert" / "x.png")
    shutil.copy(phantom_xray_file, root / "carl" / "lateral.png")
    return find_studies(root)


def run(studies, output, session, **settings):
    return reconstruct_studies(studies, output, session, stages=("coarse",), steps={"coarse": 1},
                               allow_poor=True, **settings)  # fmt: skip


def test_every_study_is_listed_and_done_once(studies, tmp_path, tiny_bundle, monkeypatch):
    session, heard = InferenceSession(tiny_bundle, "cpu"), []
    rows = run(studies, tmp_path / "out", session, row_done=heard.append)
    assert rows == heard and [row.status for row in rows] == ["done", "failed", "failed"]
    anna, bert, carl = rows
    assert anna.views == 1 and anna.stage == "coarse" and anna.psnr > 5 and anna.agreement
    assert "bert" in bert.reason or "x.png" in bert.reason
    assert carl.reason
    assert (tmp_path / "out" / "anna" / "reconstruction.nii.gz").is_file()
    assert not (tmp_path / "out" / "bert").exists()
    with open(tmp_path / "out" / "results.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["study"] for row in table] == ["anna", "bert", "carl"]
    assert float(table[0]["psnr"]) == anna.psnr and table[1]["psnr"] == ""

    def never(*_args, **_settings):
        raise AssertionError("reconstructed again")

    monkeypatch.setattr(session, "reconstruct", never)
    again = run(studies[:1], tmp_path / "out", session)
    assert (again[0].status, again[0].psnr) == ("done", anna.psnr)


def test_cancelling_keeps_what_is_done(studies, tmp_path, tiny_bundle):
    done = []
    context = RunContext(cancelled=lambda: bool(done))
    with pytest.raises(Cancelled):
        run([studies[0], studies[0]], tmp_path / "out", InferenceSession(tiny_bundle, "cpu"),
            context=context, row_done=done.append)  # fmt: skip
    assert len(done) == 1 and (tmp_path / "out" / "anna" / "result.json").is_file()
    assert not (tmp_path / "out" / "anna_2").exists()
