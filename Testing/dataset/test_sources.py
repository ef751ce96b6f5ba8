"""Plain folders and manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

import axon_backend
from axon_backend.dataset.dataset import Dataset
from axon_backend.dataset.manifest import read_rows
from axon_backend.dataset.names import named
from axon_backend.dataset.plan import numbered, plan_folder, plan_rows, scrubbed
from axon_backend.dataset.prepare import prepare
from axon_backend.dataset.scan import scan
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.imaging.write import write_volume
from axon_backend.util.pool import Pool


def touch(path, what="png"):
    """An image, or a volume of no use but for its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "png":
        Image.new("L", (8, 8)).save(path)
    else:
        import nibabel

        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), path)
    return path


def plans_of(root, out):
    out.mkdir(exist_ok=True)
    found = scan(root, out, out / "scan.gz", Pool(0), lambda done, total: None, lambda: False)
    return {plan.id: plan for plan in plan_folder(found, None)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p1_ct.nii.gz", ("p1", "ct", None)),
        ("p1.nrrd", ("p1", "ct", None)),
        ("p1_PA.png", ("p1", "frontal", "pa")),
        ("p1-lateral.jpg", ("p1", "lateral", None)),
        ("CT_p1.nii", ("p1", "ct", None)),
        ("p1/ct.nii.gz", ("p1", "ct", None)),
        ("p1/frontal.png", ("p1", "frontal", None)),
        ("p1/xray/ap.png", ("p1", "frontal", "ap")),
        ("ct/p1.nii.gz", ("p1", "ct", None)),
        ("xray/p1.png", ("p1", None, None)),
        ("lateral/p1.png", ("p1", "lateral", None)),
        ("a.b_c/lat-2.1.png", ("2.1", "lateral", None)),
        ("patient/12.png", ("12", None, None)),
        ("ll.png", ("ll", "lateral", "ll")),
    ],
)
def test_names_say_whose_and_which(tmp_path, name, expected):
    meaning = named(tmp_path, name)
    assert (meaning.id, meaning.role, meaning.view) == expected


def test_a_flat_nifti_is_an_xray(tmp_path):
    import nibabel

    for name, shape in (("a.nii.gz", (9, 9, 1)), ("b.nii.gz", (9, 9, 9))):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), np.eye(4)), tmp_path / name)
    assert named(tmp_path, "a.nii.gz").role is None
    assert named(tmp_path, "b.nii.gz").role == "ct"


def test_a_plain_folder_becomes_patients(tmp_path):
    root = tmp_path / "src"
    touch(root / "p1_ct.nii.gz", "nii")
    touch(root / "p1_pa.png")
    touch(root / "p1_ll.png")
    touch(root / "p2" / "ct.nii.gz", "nii")
    touch(root / "p2" / "xray.png")
    touch(root / "p3" / "frontal.png")
    touch(root / "a" / "p4.nii.gz", "nii")
    touch(root / "b" / "p4.nii.gz", "nii")
    plans = plans_of(root, tmp_path / "out")
    assert [x.role for x in plans["p1"].xrays] == ["frontal", "lateral"]
    assert plans["p1"].group == "biplanar"
    assert [x.role for x in plans["p2"].xrays] == [None] and plans["p2"].group == "paired"
    assert "no CT" in plans["p3"].problem
    assert "2 equally good CTs" in plans["p4"].problem and "manifest" in plans["p4"].problem


def test_flat_layouts_are_sorted_by_their_tags(tree, tmp_path):
    """As the NBIA data retriever can write them: all files of all patients in one folder."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for patient in "AB":
        tree.ct(patient, f"{patient}/s", slices=slice(0, 60))
        tree.xray(patient, f"{patient}/x.dcm")
    for number, path in enumerate(sorted(tree.root.rglob("*.dcm"))):
        path.rename(flat / f"{number * 37 % 1000:03d}-1.dcm")
    plans = plans_of(flat, tmp_path / "out")
    assert set(plans) == {"A", "B"}
    assert all(len(p.ct) == 60 and len(p.xrays) == 1 for p in plans.values())


def test_the_study_nearest_to_an_xray_is_taken(tree, tmp_path):
    """Not the one with more slices, as long as both could be a chest."""
    tree.ct("A", "old", days=0, study="1.2.1", number=1)
    tree.ct("A", "new", days=300, study="1.2.2", number=2, slices=slice(5, None))
    tree.xray("A", "x.dcm", days=290)
    (plan,) = plans_of(tree.root, tmp_path / "out").values()
    assert "series 2" in plan.ct_words and "nearest to the X-rays" in plan.ct_words
    assert plan.xrays[0].days == -10


def test_xrays_far_in_time_can_be_left_out(tree, tmp_path):
    tree.ct("A", "s")
    tree.xray("A", "x.dcm", days=120)
    found = scan(
        tree.root, tmp_path, tmp_path / "scan.gz", Pool(0), lambda d, t: None, lambda: False
    )
    (near,), (far,) = plan_folder(found, 120), plan_folder(found, 119)
    assert len(near.xrays) == 1 and not far.xrays
    assert "120 days" in " ".join(far.notes)


def test_files_for_presentation_come_before_raw_ones(tree, tmp_path):
    tree.ct("A", "s")
    tree.xray("A", "raw.dcm", PresentationIntentType="FOR PROCESSING")
    tree.xray("A", "shown.dcm", PresentationIntentType="FOR PRESENTATION", SeriesNumber=9)
    (plan,) = plans_of(tree.root, tmp_path / "out").values()
    assert plan.xrays[0].file.endswith("shown.dcm")


def test_patients_without_an_id_are_their_studies(tree, tmp_path):
    tree.ct("", "s", study="1.2.3")
    tree.ct("", "t", study="1.2.4")
    assert len(plans_of(tree.root, tmp_path / "out")) == 2


def test_an_empty_source_is_refused(tmp_path, small):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "readme.txt").write_text("x")
    with pytest.raises(AxonInputError, match="no CT and no X-ray"):
        prepare(tmp_path / "src", tmp_path / "data", small, workers=0)


def test_headers_are_remembered_and_changes_noticed(tree, tmp_path):
    from axon_backend.dataset import scan as module

    tree.ct("A", "s", slices=slice(0, 20))
    out = tmp_path / "out"
    plans_of(tree.root, out)
    read, real = [], module.read_chunk

    def counting(task):
        read.extend(task[1])
        return real(task)

    module.read_chunk = counting
    try:
        assert set(plans_of(tree.root, out)) == {"A"} and read == []
        tree.xray("A", "x.dcm")
        plans_of(tree.root, out)
        assert [name for name, _, _ in read] == ["x.dcm"]
    finally:
        module.read_chunk = real


def test_manifests_in_csv_and_json_say_the_same(tmp_path):
    ct, pa = touch(tmp_path / "c" / "1.nii.gz", "nii"), touch(tmp_path / "x.png")
    (tmp_path / "m.csv").write_text("\ufeffid;patient;ct;frontal;split\na;P;c/1.nii.gz;x.png;val\n")
    (tmp_path / "m.json").write_text(
        json.dumps(
            [{"id": "a", "patient": "P", "ct": "c/1.nii.gz", "frontal": "x.png",
              "lateral": None, "split": "validation"}]
        )
    )  # fmt: skip
    for name in ("m.csv", "m.json"):
        (row,) = read_rows(tmp_path / name)
        assert (row.id, row.patient, row.ct, row.frontal, row.lateral, row.split, row.problem) == (
            "a", "P", str(ct), str(pa), "", "validation", "",
        )  # fmt: skip


def test_a_patient_in_two_splits_is_refused(tmp_path):
    touch(tmp_path / "1.nii.gz", "nii")
    text = "id,patient,ct,split\na,P,1.nii.gz,train\nb,P,1.nii.gz,test\n"
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(AxonInputError, match=r"patient P to train .case a. and to test"):
        read_rows(tmp_path / "m.csv")


def test_a_patients_cases_share_a_split(tmp_path, small, one_thread, coarse_chest):
    """Also where only one of them states it; and no patient is ever in two splits."""
    from axon_backend.dataset.dataset import Dataset
    from axon_backend.imaging.write import write_volume

    chest = coarse_chest()
    write_volume(tmp_path / "1.nii.gz", chest.hu, chest)
    rows = ["id,patient,ct,split", "a,P,1.nii.gz,", "b,P,1.nii.gz,test", "c,Q,1.nii.gz,"]
    (tmp_path / "m.csv").write_text("\n".join(rows))
    prepare(tmp_path / "m.csv", tmp_path / "data", small, workers=0)
    cases = Dataset.read(tmp_path / "data").cases
    assert {c.id: c.split for c in cases} == {"a": "test", "b": "test", "c": "train"}


def test_bad_rows_do_not_stop_the_others(tmp_path):
    touch(tmp_path / "1.nii.gz", "nii")
    rows = ["id,ct,frontal,split", "a,1.nii.gz,,", "a,1.nii.gz,,", "b,2.nii.gz,,", "c,,,",
            ",1.nii.gz,,", "d,1.nii.gz,y.png,", "e,1.nii.gz,,some"]  # fmt: skip
    (tmp_path / "m.csv").write_text("\n".join(rows))
    problems = [row.problem for row in read_rows(tmp_path / "m.csv")]
    assert problems[0] == ""
    for problem, words in zip(
        problems[1:],
        ("twice", "does not exist", "no CT", "no id", "y.png does not exist", "its split is"),
        strict=True,
    ):
        assert words in problem
    assert len({plan.id for plan in plan_rows(read_rows(tmp_path / "m.csv"))}) == 7


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "name,file\n", "at least id and ct"),
        ("m.csv", "id,ct\n", "no case"),
        ("m.json", "{}", "not a list"),
        ("m.json", "[", "not JSON"),
        ("m.json", '[{"id": "a", "ct": "c.nii", "frontl": "x.png"}]', "unknown key 'frontl'"),
        ("m.csv", "id,ct,Frontl\na,c.nii,x.png\n", "unknown column 'frontl'"),
        ("m.csv", "id,ct\na," + "c" * 200_000, "not CSV"),
    ],
)
def test_broken_manifests_are_refused(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(AxonInputError, match=words):
        read_rows(tmp_path / name)


def test_ids_are_safe_names_of_folders(tmp_path):
    touch(tmp_path / "1.nii.gz", "nii")
    names = ["../../etc", "a/b", "A-B", "x" * 300, "è", "é"]
    (tmp_path / "m.json").write_text(json.dumps([{"id": n, "ct": "1.nii.gz"} for n in names]))
    ids = [plan.id for plan in plan_rows(read_rows(tmp_path / "m.json"))]
    assert len({i.lower() for i in ids}) == 6
    assert all("/" not in i and not i.startswith(".") and len(i) < 100 for i in ids)


def test_numbers_stay_when_patients_are_added(tmp_path):
    touch(tmp_path / "1.nii.gz", "nii")

    def plans(names):
        (tmp_path / "m.json").write_text(json.dumps([{"id": n, "ct": "1.nii.gz"} for n in names]))
        return plan_rows(read_rows(tmp_path / "m.json"))

    numbers: dict[str, int] = {}
    first = numbered(plans(["anna", "zoe"]), numbers, 0)
    assert sorted(p.id for p in first) == ["P0001", "P0002"]
    kept = dict(numbers)
    numbered(plans(["anna", "bob", "zoe"]), numbers, 0)
    assert {n: numbers[n] for n in kept} == kept and numbers["bob"] == 3


def test_scrubbing_leaves_no_name():
    private = ("LIDC-IDRI-0001", "/data/LIDC-IDRI-0001/1-01.dcm", "1-01.dcm")
    text = "1-01.DCM of lidc-idri-0001: series 2 'Smith, John' (12 slices)"
    assert scrubbed(text, private) == "(name) of (name): series 2 '(name)' (12 slices)"


def test_an_anonymous_data_set_names_nobody(tree, tmp_path, small, one_thread):
    from dataclasses import replace

    for name in ("SECRET-1", "SECRET-2"):
        tree.ct(name, f"{name}/s", words="SECRET words")
    tree.ct("SECRET-3", "SECRET-3/s", slices=slice(0, 30), words="SECRET words")
    cut = tree.ct("SECRET-4", "SECRET-4/s")[5]
    cut.rename(cut.with_name("SECRET.dcm")).write_bytes(
        cut.with_name("SECRET.dcm").read_bytes()[:3000]
    )
    tree.xray("SECRET-1", "SECRET-1/x.dcm", BodyPartExamined="HAND")
    out = tmp_path / "data"
    settings = replace(small, anonymise=True)
    summary = prepare(tree.root, out, settings, workers=0)
    assert summary.counts == {"done": 2, "skipped": 2}
    for path in out.rglob("*"):
        if "private" not in path.parts[-2:]:
            assert "SECRET" not in path.name
            assert not path.is_file() or b"SECRET" not in path.read_bytes(), path
    assert sorted(p.name for p in (out / "cases").iterdir()) == [f"P{n:04d}" for n in range(1, 5)]
    with pytest.raises(AxonInputError, match="must not be mixed"):
        prepare(tree.root, out, small, workers=0)


def test_a_series_without_lungs_gives_way_to_the_next(
    tree, tmp_path, small, one_thread, without_lungs
):
    """The headers are equally good; the lower number is read first."""
    uid = generate_uid()
    tree.ct("p1", "a", hu=without_lungs(tree.chest), number=1, words="ABC", study=uid)
    good = tree.ct("p1", "b", number=2, words="DEF", study=uid)
    direct = read_ct(tree.root)
    assert "series 2 'DEF'" in direct.assumptions[0].partition(" was read")[0]
    assert "shows little of the lungs" in direct.assumptions[1]

    plan = plans_of(tree.root, tmp_path / "plan")["p1"]
    assert "series 1" in plan.ct_words and "series 2" in plan.ct_others[0][0]
    out = tmp_path / "out"
    first = prepare(tree.root, out, small, workers=0)
    assert [line.status for line in first.lines] == ["done"]
    note = next(n for n in first.lines[0].notes if "headers suggest" in n)
    assert "No lungs were found" in note and "series 2 'DEF'" in note
    assert prepare(tree.root, out, small, workers=0).kept == 1
    # A change of the series that was used is noticed, although the headers prefer the other one.
    item = pydicom.dcmread(good[3])
    item.PixelData = bytes(len(item.PixelData))
    item.save_as(good[3])
    assert prepare(tree.root, out, small, workers=0).made == 1


def test_patients_without_a_ct_are_reconstructed_by_the_teacher(tmp_path, small, one_thread):
    """Both X-rays are needed, and the volume is for training only."""
    demo = Path(axon_backend.__file__).parent / "demo_data"
    pa, lateral = demo / "drr_lidc0306_pa.nrrd", demo / "drr_lidc0306_lateral.nrrd"
    chest = read_ct(demo / "ct_lidc0306.nii.gz")
    write_volume(tmp_path / "ct.nii.gz", chest.hu, chest)
    manifest = tmp_path / "cases.csv"
    manifest.write_text(
        "id,ct,frontal,lateral,split\n"
        "real,ct.nii.gz,,,validation\n"
        f"pseudo_labelled,,{pa},{lateral},\n"
        f"half,,{pa},,\n"
        f"held,,{pa},{lateral},test\n"
    )
    plain = prepare(manifest, tmp_path / "plain", small, workers=0)
    reasons = {line.id: line.reason for line in plain.lines if line.status == "skipped"}
    assert reasons == dict.fromkeys(("pseudo_labelled", "half", "held"), "it has no CT")
    settings = replace(small, teacher="axon-preview")
    out = tmp_path / "data"
    summary = prepare(manifest, out, settings, workers=0)
    reasons = {line.id: line.reason for line in summary.lines if line.status == "skipped"}
    assert "needs a frontal and a lateral" in reasons["half"]
    assert "for training only, not for test" in reasons["held"]
    real, pseudo_labelled = Dataset.read(out).cases
    assert (real.id, real.reconstructed) == ("real", False)
    assert (pseudo_labelled.id, pseudo_labelled.reconstructed, pseudo_labelled.split) == (
        "pseudo_labelled",
        True,
        "train",
    )
    assert {v.role: v.kind for v in pseudo_labelled.views} == {"frontal": "real", "lateral": "real"}
    volume, truth = (
        read_ct(pseudo_labelled.ct, force=True),
        resample_to_frame(chest, find_thorax_frame(chest), 64),
    )
    assert volume.hu.shape == (64, 64, 64)
    assert np.allclose(volume.size_mm, pseudo_labelled.frame.size_mm, rtol=1e-4)
    window = HuWindow()
    error = np.mean((window.normalise(volume.hu.astype(float)) - window.normalise(truth)) ** 2)
    assert 10 * np.log10(4 / error) > 17, "it is this patient"
    (line,) = [line for line in summary.lines if line.id == "pseudo_labelled"]
    assert any("reconstructed from both X-rays by axon-preview" in note for note in line.notes)
    assert prepare(manifest, out, settings, workers=0).made == 0


def test_a_teacher_needs_a_manifest(tmp_path, small):
    touch(tmp_path / "source" / "p1_pa.png")
    with pytest.raises(AxonInputError, match="--teacher needs a manifest"):
        prepare(tmp_path / "source", tmp_path / "data", replace(small, teacher="axon-preview"))
    assert not (tmp_path / "data").exists()
