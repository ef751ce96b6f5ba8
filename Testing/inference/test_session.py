"""A session owns its model: what may be asked of it, one run at a time, memory that is freed."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.inference import memory_fallback
from axon_backend.inference.session import InferenceSession
from axon_backend.util.run_context import RunContext


@pytest.fixture(scope="module")
def session(bundle) -> InferenceSession:
    return InferenceSession(bundle, "cpu")


@pytest.mark.parametrize(
    ("asked", "stages"),
    [
        (None, ("coarse", "fine", "sr")),
        ("", ("coarse", "fine", "sr")),
        ("all", ("coarse", "fine", "sr")),
        ("coarse", ("coarse",)),
        ("sr, coarse", ("coarse", "sr")),
        (("fine", "coarse"), ("coarse", "fine")),
    ],
)
def test_stages_come_in_their_order(session, asked, stages):
    assert session.stages(asked) == stages


@pytest.mark.parametrize(
    ("recommended", "stages"),
    [
        ("coarse", ("coarse",)),
        ("fine", ("coarse", "fine")),
        ("sr", ("coarse", "fine", "sr")),
        ("finest", ("coarse", "fine", "sr")),  # which the method does not have
        (7, ("coarse", "fine", "sr")),
    ],
)
def test_without_a_wish_the_recommended_stages_run(bundle, recommended, stages):
    metadata = {**bundle.metadata, "recommended_stage": recommended}
    session = InferenceSession(replace(bundle, metadata=metadata), "cpu")
    for nothing in (None, "", ()):
        assert session.stages(nothing) == stages
    for everything in ("all", ("all",), " all "):
        assert session.stages(everything) == ("coarse", "fine", "sr")
    assert session.stages("coarse,sr") == ("coarse", "sr")


def test_the_shipped_bundle_runs_its_first_stage_by_default():
    session = InferenceSession(device="cpu")
    assert session.stages(None) == ("coarse",)
    assert session.stages("all") == ("coarse", "fine", "sr")


def test_a_reconstruction_stops_after_the_recommended_stage(bundle, phantom_ct):
    metadata = {**bundle.metadata, "recommended_stage": "fine"}
    session = InferenceSession(replace(bundle, metadata=metadata), "cpu")
    options = {"ct": phantom_ct, "steps": [1, 1]}
    some, everything = (session.reconstruct(None, stages=s, **options) for s in (None, "all"))
    assert list(some.volumes) == ["coarse", "fine"] and some.final_stage == "fine"
    assert [stage["name"] for stage in some.record["stages"]] == ["coarse", "fine"]
    assert list(everything.volumes) == ["coarse", "fine", "sr"]
    assert np.array_equal(some.volume, everything.volumes["fine"])


@pytest.mark.parametrize(
    "asked", ["fine", "sr", "coarse,refine", ("coarse", "prior"), "all,coarse"]
)
def test_stages_that_cannot_be_run_are_refused_with_the_possible_ones(session, asked):
    with pytest.raises(AxonInputError, match="give coarse, then optionally fine and sr"):
        session.stages(asked)


@pytest.mark.parametrize(
    ("asked", "steps"),
    [
        (None, {}),
        ({"fine": 4}, {"fine": 4}),
        ([2], {"coarse": 2}),
        ((2, 3), {"coarse": 2, "fine": 3}),
    ],
)
def test_steps_are_by_stage_or_in_the_order_of_the_stages_that_take_them(session, asked, steps):
    assert session.steps(asked) == steps


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([1, 2, 3], "3 numbers of steps were given; AXON takes 2: coarse, fine"),
        ({"prior": 1}, "'prior'; the stages of AXON are coarse, fine, sr"),
        ({"coarse": 0}, "at least one step"),
        ([3, -1], "at least one step"),
    ],
)
def test_steps_that_cannot_be_are_refused(session, asked, says):
    with pytest.raises(AxonInputError, match=says):
        session.steps(asked)


def test_one_model_serves_all_runs_and_is_let_go(bundle, phantom_ct, monkeypatch):
    loaded = []
    load_model = memory_fallback.load_model

    def counted(*arguments):
        model = load_model(*arguments)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr(memory_fallback, "load_model", counted)
    session = InferenceSession(bundle, "cpu")
    assert session.info.name == "axon" and loaded == []

    def run(session: InferenceSession, seed: int) -> np.ndarray:
        context = RunContext(seed=seed)
        options = {"ct": phantom_ct, "stages": "coarse", "steps": [2], "context": context}
        return session.reconstruct(None, **options).volume

    first, other, again = (run(session, seed) for seed in (1, 2, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(loaded) == 1 and loaded[0]() is not None
    session.release()
    assert loaded[0]() is None
    assert np.array_equal(run(session, 1), first) and len(loaded) == 2
    del session
    gc.collect()
    assert loaded[1]() is None


def test_a_second_run_meanwhile_is_refused_and_harms_nothing(session, phantom_ct):
    options = {"ct": phantom_ct, "stages": "coarse", "steps": [1]}
    refused = []

    def meanwhile(stage, step, total, preview):
        if stage == "coarse":
            with pytest.raises(RuntimeError, match="already reconstructing"):
                session.reconstruct(None, **options)
            refused.append(step)

    result = session.reconstruct(None, **options, context=RunContext(progress=meanwhile))
    assert refused == [1] and result.cancelled is None
    assert session.reconstruct(None, **options).cancelled is None  # and is free again


def test_no_sample_is_too_few(session, phantom_ct):
    with pytest.raises(AxonInputError, match="At least one sample"):
        session.reconstruct(None, ct=phantom_ct, samples=0)
    with pytest.raises(AxonInputError, match="At least one sample"):
        session.sample(None, samples=0)  # asked before anything is done with the case
