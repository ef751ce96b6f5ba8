"""The nearest patient: each training patient finds itself, and is stored once."""

import pytest
import torch
from made_batches import sample

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.nearest_patient.method import (
    NEAREST_PATIENT,
    LibraryObjective,
    NearestPatientConfig,
    NearestPatientLoss,
    full,
)
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.training.plan import resolve

CONFIG = NearestPatientConfig(grid=12, view_size=24, match_size=8, patients=4)
PATIENTS = [sample(seed, 12, 24) for seed in range(4)]


@pytest.fixture
def objective() -> LibraryObjective:
    model = NEAREST_PATIENT.build(CONFIG)
    return LibraryObjective(model, NearestPatientLoss(), single_view=0.0)


@pytest.mark.parametrize("single", [False, True])
def test_each_stored_patient_finds_its_own_volume_whatever_the_grey_scale(objective, single):
    objective(Batch.stack(PATIENTS))
    model = objective.model
    for patient in PATIENTS:
        views = patient.views(single)
        both = [None if v is None else 0.5 * v - 0.2 for v in (views.frontal, views.lateral)]
        out = model.reconstruct(RegisteredViews(*both, views.beam)).volumes["nearest"]
        assert float((out - patient.volume).abs().max()) <= 1 / 255 + 1e-6


def test_the_similarity_is_the_mean_correlation_of_the_views(objective):
    """Against numpy's correlation coefficient of the stored bytes."""
    objective(Batch.stack(PATIENTS[:3]))
    library, query = objective.model.library, PATIENTS[3]
    small = torch.nn.functional.adaptive_avg_pool2d(torch.cat([query.frontal, query.lateral]), 8)
    expected = [
        [
            float(
                torch.corrcoef(torch.stack([small[v].flatten(), stored[v].float().flatten()]))[0, 1]
            )
            for v in range(2)
        ]
        for stored in library.views[:3]
    ]
    both, one = library.similarity(query.views()), library.similarity(query.views(single=True))
    assert both[0].tolist() == pytest.approx([sum(row) / 2 for row in expected], abs=1e-5)
    assert one[0].tolist() == pytest.approx([row[0] for row in expected], abs=1e-5)
    views = query.views()
    mixed = RegisteredViews(views.frontal, views.lateral, views.beam, torch.tensor([False]))
    assert torch.equal(library.similarity(mixed), one)


def test_a_patient_that_comes_again_is_not_stored_again_and_too_many_are_refused(objective):
    for patient in (*PATIENTS, *PATIENTS):
        objective(patient)
    assert len(objective.model.library) == 4
    with pytest.raises(AxonInputError, match="room for 4 patients.*Set model.patients"):
        objective(sample(9, 12, 24))


def test_the_loss_is_the_error_of_the_nearest_patient_stored_before(objective):
    first, second = PATIENTS[:2]
    assert float(objective(first).detach()) == 0.0
    loss = objective(second)
    loss.backward()  # as the trainer does; there is no weight to learn
    expected = float((first.volume - second.volume).square().mean())
    assert float(loss.detach()) == pytest.approx(expected, rel=0.02)
    assert float(objective(second).detach()) < 1e-4


def test_the_fullest_library_is_the_best(objective):
    case = ValidationCase("c", PATIENTS[3], None)
    scores = []
    for patient in PATIENTS[:2]:
        objective(patient)
        scores.append(objective.score(objective.measure(case).metrics))
    assert scores == [-1.0, -2.0]


def test_an_empty_library_says_how_to_fill_it():
    model = NEAREST_PATIENT.build(CONFIG)
    with pytest.raises(AxonInputError, match="empty. Train it: axon train library"):
        model.reconstruct(PATIENTS[0].views())


def test_sizes_in_bytes():
    """The preview's library stays below 20 MB."""
    for config, megabytes in ((NearestPatientConfig(), 16.9), (full(), 419.8)):
        with torch.device("meta"):
            library = NEAREST_PATIENT.build(config).library
        size = sum(b.numel() * b.element_size() for b in library.buffers()) / 1e6
        assert size == pytest.approx(megabytes, abs=0.05)


def test_a_training_shows_every_patient_once_as_it_is():
    config = resolve("library", method="nearest_patient")
    assert config.total_steps(16) == 16 and config.batch == 1 and config.data.cache == 0
    assert not config.data.deformed and not config.data.blended
    assert config.data.appearance.clean == 1.0
