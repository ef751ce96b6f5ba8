"""Sample i is a function of (seed, i): whoever makes it, in whatever order, with or without a
cache; and batches are shared out without a gap or an overlap."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from training_tiny import make_chest

from axon_backend.dataset.dataset import Dataset, DatasetView
from axon_backend.dataset.views import write_view
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import HuWindow, find_thorax_frame, resample_to_frame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import write_volume
from axon_backend.methods.batch import Batch
from axon_backend.training.data.augmentation import (
    Probabilities,
    RadiographAugmentation,
    augment_real,
)
from axon_backend.training.data.batch import collate, validation_look, without_misregistration
from axon_backend.training.data.loader import Batches, _Order, micro_batch
from axon_backend.training.data.pairs import NOT_DEFORMED, Deformation
from axon_backend.training.data.samples import Samples
from axon_backend.training.data.source import (
    VIEWS,
    PairSettings,
    PairSource,
    data_hash,
    read_view,
)
from axon_backend.training.plan import cases_of
from axon_backend.training.presets import preset
from axon_backend.training.settings import apply_pairs

SETTINGS = PairSettings(32, 32, HuWindow())


@pytest.fixture(scope="module")
def cases(data):
    return Dataset.of_cts(json.loads(data.read_text()), data.parent).split("train")


@pytest.fixture(scope="module")
def source(cases, tmp_path_factory):
    return PairSource(cases, SETTINGS, folder=tmp_path_factory.mktemp("kept"))


def samples(source, **options):
    defaults = {
        "seed": 0, "cache": 4, "blended": 0.5, "real": None, "single_view": 0.4,
        "appearance": RadiographAugmentation(),
    }  # fmt: skip
    return Samples(source, **{**defaults, **options})


def tensors(batch):
    names = {f.name for f in fields(batch)} - {"draws", "clean"}
    named = {name: getattr(batch, name) for name in names}
    return named | {f.name: getattr(batch.draws, f.name) for f in fields(batch.draws)}


def test_samples_come_again_with_other_crops_and_augmentation(source):
    ours = samples(source, repeat_after=4)
    once, again, other = (tensors(ours[i]) for i in (1, 5, 2))
    assert [k for k in once if not torch.equal(once[k], again[k])] == ["augmentation", "crop"]
    assert not torch.equal(once["seeds"], other["seeds"])
    assert all(torch.equal(tensors(ours[5])[k], again[k]) for k in ("augmentation", "crop"))


def test_a_sample_comes_from_the_seed_and_its_number(source, cases):
    ours = samples(source)
    first = {i: tensors(ours[i]) for i in (3, 0, 7)}
    # Another object, another order, nothing kept on disk.
    others = samples(PairSource(cases, SETTINGS))
    for i in (0, 7, 3):
        again = tensors(others[i])
        assert all(torch.equal(first[i][k], again[k]) for k in again), i
    assert not torch.equal(first[3]["noise"], first[0]["noise"])
    changed = tensors(samples(source, seed=1)[3])
    assert not torch.equal(changed["noise"], first[3]["noise"])
    assert first[3]["volume"].shape == (1, 1, 16, 16, 16)
    assert first[3]["fine"].shape == (1, 1, 32, 32, 32)


def test_a_share_of_the_samples_is_single_and_the_noise_is_normal(source):
    found = [samples(source, single_view=0.25)[i].draws for i in range(200)]
    share = np.mean([bool(d.single) for d in found])
    assert share == pytest.approx(0.25, abs=0.1)
    noise = torch.cat([d.noise for d in found])
    assert abs(float(noise.mean())) < 0.01 and float(noise.std()) == pytest.approx(1, abs=0.01)
    named = [[d.t, d.t_end, d.augmentation, d.kind, *d.crop.T] for d in found]
    uniform = torch.tensor(named, dtype=torch.float64)
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.03)
    # No two of them are the same number.
    correlation = torch.corrcoef(uniform.T) - torch.eye(7)
    assert float(correlation.abs().max()) < 0.3


def test_every_case_has_the_same_share_of_the_pairs(source, monkeypatch):
    asked = []
    monkeypatch.setattr(source, "chest", lambda index: asked.append(index) or 1 / 0)
    source_folder, source.folder = source.folder, None
    try:
        for number in range(6):
            with pytest.raises(ZeroDivisionError):
                source.rendered(number)
    finally:
        source.folder = source_folder
    assert asked == [0, 1] * 3


def test_pairs_are_drawn_once_and_a_damaged_file_is_drawn_again(cases, tmp_path, monkeypatch):
    source = PairSource(cases, SETTINGS, folder=tmp_path)
    pair = source.rendered(5)
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr(source, "chest", lambda index: 1 / 0)
    kept = source.rendered(5)
    assert np.array_equal(kept.volume, pair.volume) and np.array_equal(kept.views, pair.views)
    monkeypatch.undo()
    file.write_bytes(file.read_bytes()[:100])
    again = source.rendered(5)
    assert np.array_equal(again.volume, pair.volume)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_a_folder_that_cannot_be_written_only_costs_time(cases, tmp_path):
    (tmp_path / "file").touch()
    source = PairSource(cases, SETTINGS, folder=tmp_path / "file" / "below")
    assert source.rendered(0).volume.shape == (32, 32, 32)


def test_the_hash_is_of_all_that_pairs_depend_on(cases):
    base = PairSource(cases, SETTINGS).hash()
    assert base == PairSource(cases, SETTINGS).hash()
    others = [
        PairSource(cases[:1], SETTINGS),
        PairSource(cases, replace(SETTINGS, seed=1)),
        PairSource(cases, replace(SETTINGS, window=HuWindow(-100, 900))),
        PairSource(cases, replace(SETTINGS, deformation=Deformation(ap=0.5))),
    ]
    assert len({base, *(o.hash() for o in others)}) == 5


@pytest.fixture(scope="module")
def pseudo_labelled(cases, tmp_path_factory):
    """A patient without a CT: both X-rays and a reconstruction that fills its frame."""
    folder = tmp_path_factory.mktemp("pseudo_labelled")
    chest = make_chest()
    frame = find_thorax_frame(chest)
    n = 24
    hu = resample_to_frame(chest, frame, n).astype(np.int16)
    write_volume(folder / "ct.nii.gz", hu, CTVolume(hu, frame.spacing_mm(n), frame.origin_mm(n)))
    views = []
    for role, view in VIEWS.items():
        write_view(folder / f"{role}.nii.gz", np.eye(32, dtype=np.float32), frame, view)
        views.append(DatasetView(role, view, "real", folder / f"{role}.nii.gz"))
    return replace(
        cases[0], id="pseudo_labelled", ct=folder / "ct.nii.gz", frame=frame, views=tuple(views),
        reconstructed=True,
    )  # fmt: skip


def test_a_patient_without_a_ct_is_seen_by_the_x_rays_and_mostly_by_one(
    cases, pseudo_labelled, tmp_path
):
    source = PairSource([*cases, pseudo_labelled], SETTINGS, folder=tmp_path)
    assert source.cases == list(cases) and source.pseudo_labelled == [pseudo_labelled]
    ours = samples(source, pseudo_labelled=0.5, pseudo_labelled_single=0.75, single_view=0.0)
    drawn = [bool(ours[i].draws.single) for i in range(200)]
    assert np.mean(drawn) == pytest.approx(0.5 * 0.75, abs=0.08)
    assert sorted(p.name for p in tmp_path.iterdir() if "pair" not in p.name) == [
        "pseudo_000000.npz"
    ]
    pair = source.pseudo_labelled_pair(0)
    assert np.array_equal(pair.views[0], np.eye(32, dtype=np.float16)), "its own X-ray, no DRR"
    assert (pair.volume == source.pseudo_labelled_pair(0).volume).all() and pair.volume.std() > 10
    none = samples(PairSource(cases, SETTINGS), pseudo_labelled=0.5, single_view=0.0)
    assert not any(bool(none[i].draws.single) for i in range(20))


def test_a_patient_without_a_ct_needs_both_x_rays(cases, pseudo_labelled):
    half = replace(pseudo_labelled, views=pseudo_labelled.views[:1])
    assert PairSource([*cases, half], SETTINGS).pseudo_labelled == []
    assert data_hash([pseudo_labelled]) != data_hash(
        [replace(pseudo_labelled, reconstructed=False)]
    )


def test_a_reconstruction_is_no_truth(cases, pseudo_labelled):
    class Data:
        root = pseudo_labelled.ct.parent

        def __init__(self, train, validation):
            self.of = {"train": train, "validation": validation}

        def split(self, name):
            return self.of[name]

    config = preset("preview", "coarse")
    other = replace(pseudo_labelled, id="d", patient="d")
    assert len(cases_of(Data([cases[0], other], [cases[1]]), config)[0]) == 2
    with pytest.raises(AxonInputError, match="validation case has a reconstruction"):
        cases_of(Data([cases[0]], [other]), config)
    with pytest.raises(AxonInputError, match="No training case has a CT"):
        cases_of(Data([other], [cases[1]]), config)


def test_some_chests_get_the_shape_of_others(cases, pseudo_labelled, monkeypatch):
    """Also of patients without a CT; a single patient keeps theirs."""
    source = PairSource([*cases, pseudo_labelled], SETTINGS)
    asked = []
    monkeypatch.setattr(
        "axon_backend.training.data.source.bend_to",
        lambda moving, fixed: asked.append((moving, fixed)),
    )
    shapes = [source._shape(i) for i in range(len(cases) + 1)]
    for number in range(200):
        source._bend(0, number)
    assert len(asked) == pytest.approx(100, abs=25)  # Deformation.shapes is 0.5
    assert all(moving is shapes[0] for moving, _ in asked)
    fixed = [next(i for i, s in enumerate(shapes) if s is f) for _, f in asked]
    assert set(fixed) == set(range(1, len(shapes)))
    alone = PairSource(cases[:1], SETTINGS)
    assert all(alone._bend(0, number) is None for number in range(20))


def test_memory_is_bounded_but_holds_one_chest(cases):
    source = PairSource(cases, SETTINGS, memory_gb=0.0)
    a = source.chest(0)
    assert source.chest(0) is a
    source.chest(1)
    assert list(source._chests) == [1]
    roomy = PairSource(cases, SETTINGS, memory_gb=1.0)
    a = roomy.chest(0)
    roomy.chest(1)
    assert roomy.chest(0) is a


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_a_batch_without_gap_or_overlap(world):
    batch, micro = 8, micro_batch(8, 2, world)
    orders = [iter(_Order(3, batch, micro, rank, world)) for rank in range(world)]
    for step in (3, 4):
        seen = []
        for order in orders:
            for _ in range(batch // world // micro):
                indices = next(order)
                assert len(indices) == micro
                seen += indices
        assert seen == list(range(step * batch, (step + 1) * batch))


def test_a_batch_that_cannot_be_shared_is_refused():
    assert micro_batch(4, 8, 2) == 2
    with pytest.raises(AxonInputError, match="batch of 3 cannot be divided among 2 processes"):
        micro_batch(3, 1, 2)
    with pytest.raises(AxonInputError, match="not a multiple of micro_batch 4"):
        micro_batch(12, 4, 2)


def test_what_goes_wrong_with_a_sample_is_raised_where_it_is_asked_for(source):
    class Broken(Samples):
        def __getitem__(self, index):
            raise AxonInputError("Case x: no lungs.")

    broken = Broken(source, seed=0, cache=1, blended=0, real=None, single_view=0, appearance=None)
    batches = Batches(broken, step=0, batch=1, micro=1, rank=0, world=1, workers=0, pin=False)
    with pytest.raises(AxonInputError, match=r"^Case x: no lungs\.$"):
        next(batches)


@pytest.fixture(scope="module")
def paired(cases, tmp_path_factory):
    """The first case with a frontal X-ray of its own: a bright disc on dark ground."""
    folder = tmp_path_factory.mktemp("real")
    rows, columns = np.mgrid[:1024, :1024]
    disc = ((rows - 300) ** 2 + (columns - 700) ** 2 < 200**2).astype(np.float32)
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(disc * 7 + 3), str(folder / "frontal.nii.gz"))
    view = DatasetView("frontal", View.ap, "real", folder / "frontal.nii.gz")
    refused = replace(view, accepted=False)
    return [replace(cases[0], views=(view,)), replace(cases[1], views=(refused,))]


def test_real_views_are_used_as_the_share_says(paired, tmp_path):
    source = PairSource(paired, SETTINGS, folder=tmp_path)
    assert source.with_real == [0]  # the other was not accepted

    def share(real):
        chosen = samples(source, real=real, blended=0.0)
        chosen.source = source
        return np.mean([chosen.pair(i)[1] for i in range(200)])

    assert share(1.0) == 1.0 and share(0.0) == 0.0
    assert share(None) == pytest.approx(0.25, abs=0.1)  # one of two cases, in half of its draws
    assert share(0.8) == pytest.approx(0.8, abs=0.2)


def test_the_views_before_their_appearance_are_kept_where_asked(paired, tmp_path):
    """Without any change they are the views themselves; they are never real ones, nor moved."""
    source = PairSource(paired, SETTINGS, folder=tmp_path)
    assert samples(source)[3].clean is None
    look = RadiographAugmentation(clean=0.0, p=Probabilities(misregistration=1.0))
    plain = RadiographAugmentation(clean=1.0)
    for number in range(8):
        changed = samples(source, real=1.0, clean=True, appearance=look)[number]
        same = samples(source, real=0.0, clean=True, appearance=plain)[number]
        assert torch.equal(changed.clean, same.clean) and changed.clean.shape == (1, 2, 32, 32)
        assert torch.equal(torch.cat([same.frontal, same.lateral], 1), same.clean)
        assert not torch.allclose(changed.frontal, changed.clean[:, :1], atol=0.05)
    assert without_misregistration(look).p.misregistration == 0 and look.p.misregistration == 1
    together = Batch.stack([changed, same])
    assert len(together.clean) == 2 and torch.equal(together[1:].clean, same.clean)
    assert Batch.stack([changed, samples(source)[3]]).clean is None


def test_validation_cases_get_the_same_appearance_each_time(source):
    look = RadiographAugmentation(clean=1.0)
    batch = collate([source.rendered(0)])
    first, again, other = (validation_look(batch, n, look, 16) for n in (1, 1, 2))
    assert torch.equal(first.frontal, again.frontal)
    assert not torch.allclose(first.frontal, other.frontal)
    assert first.lateral.shape == (1, 1, 16, 16)
    assert torch.equal(first.clean[:, :1], F.adaptive_avg_pool2d(batch.frontal, 16))
    assert not torch.allclose(first.clean[:, 1:], first.lateral, atol=0.05)


def test_real_views_are_varied_but_not_exposed_again(paired, tmp_path):
    """With the tone alone: a monotone function of the X-ray, another one each time; without any
    augmentation the X-ray as it is."""
    source = PairSource(paired, SETTINGS, folder=tmp_path)
    view = torch.as_tensor(source.real(0).views[0].astype(np.float32))

    def varied(seed, **changes):
        p = Probabilities(misregistration=0, letters=0, collimation=0)
        look = RadiographAugmentation(clean=0.0, physical=1.0, p=replace(p, **changes))
        rng = np.random.default_rng(seed)
        return augment_real(view[None, None].clone(), rng, look)[0, 0].numpy()

    order = view.numpy().ravel().argsort()
    first, second = varied(1), varied(2)
    assert (np.diff(first.ravel()[order]) >= 0).all() and not np.allclose(first, second)
    assert np.allclose(varied(1, gamma=0.0), view, atol=1e-6), "its range is [0, 1] already"


def test_without_deformation_a_case_is_one_pair_on_disk(cases, tmp_path):
    source = PairSource(cases[:2], replace(SETTINGS, deformation=NOT_DEFORMED), folder=tmp_path)
    first = source.rendered(0)
    assert np.array_equal(source.rendered(2).views, first.views)
    source.rendered(1)
    assert len(list(tmp_path.iterdir())) == 2


def test_half_a_pair_of_x_rays_is_left_out_where_asked(cases, tmp_path):
    """Of a case with both X-rays, one with the frontal alone and one with none."""
    front = DatasetView("frontal", View.pa, "real", tmp_path / "f.nii.gz")
    side = DatasetView("lateral", View.lateral_left, "real", tmp_path / "l.nii.gz")
    for view in (front, side):
        view.file.write_bytes(b"there")

    def of(split):
        given = {"both": (front, side), "front": (front,), "none": ()}
        return [
            replace(cases[0], id=f"{split}-{k}", patient=f"{split}-{k}", split=split, views=v)
            for k, v in given.items()
        ]

    class Data:
        root = tmp_path

        def split(self, name):
            return of(name)

    config = apply_pairs(preset("preview", "coarse"), ["data.complete_pairs=true"])
    found = cases_of(Data(), config)
    assert [[c.id.split("-")[1] for c in part] for part in found] == [["both", "none"]] * 2
    whole = cases_of(Data(), preset("preview", "coarse"))
    assert [len(part) for part in whole] == [3, 3]


def test_a_real_pair_is_the_ct_as_it_is_with_its_x_ray(paired):
    source = PairSource(paired, SETTINGS)
    pair = source.real(0)
    frame = find_thorax_frame(make_chest())
    assert pair.beam[0] < 0  # AP
    assert abs(pair.beam[1]) == pytest.approx(0.5 * frame.size_mm[0] / 1600, rel=0.15)
    image = pair.views[0].astype(float)
    assert image[9, 21] == 1.0 and image[25, 5] == 0.0
    rendered = pair.views[1].astype(float)
    assert np.isfinite(rendered).all() and rendered.max() > 2 * np.median(rendered[:, :2])
    assert (pair.volume == 0).any() and pair.volume.max() > 120


def test_a_image_that_is_not_as_prepared_is_refused(paired, tmp_path):
    write_volume(tmp_path / "v.nii.gz", np.zeros((4, 5, 6)), make_chest())
    bad = replace(paired[0].views[0], file=tmp_path / "v.nii.gz")
    with pytest.raises(AxonInputError, match=r"expected a square image.*\(4, 5, 6\)"):
        read_view(bad, 32)


def test_the_data_hash_follows_the_files(cases, tmp_path):
    before = data_hash(cases)
    copy = tmp_path / "a.nii.gz"
    copy.write_bytes(cases[0].ct.read_bytes())
    same = [replace(cases[0], ct=copy), cases[1]]
    assert data_hash(same) == before
    copy.write_bytes(copy.read_bytes() + b"x")
    assert data_hash(same) != before
