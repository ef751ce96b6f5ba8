"""When memory runs out, the stage is tried again with less, and the user is told."""

import gc
import weakref

import pytest
import torch

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.inference import memory_fallback
from axon_backend.inference.memory_fallback import StageRunner, is_out_of_memory, ladder
from axon_backend.inference.model_loading import load_model
from axon_backend.methods.axon import INFO
from axon_backend.methods.axon.model import AxonModel
from axon_backend.networks.unet import DiffusionUNet
from axon_backend.util.run_context import RunContext

CPU = torch.device("cpu")
STAGES = INFO.stage_names


def run_all(bundle, views, told=None, cancelled=None):
    """All stages by a runner -> volumes by stage, warnings. ``told`` takes the warnings as the
    progress that they are."""

    def progress(stage, step, total, preview):
        if told is not None and stage not in STAGES:
            told.append((stage, step, total))

    runner = StageRunner(bundle, CPU)
    context = RunContext(seed=3, progress=progress, cancelled=cancelled)
    volumes, volume, warnings = {}, None, []
    for stage in STAGES:
        volume, more = runner.run(stage, views, volume, context=context)
        volumes[stage] = volume
        warnings += more
    assert runner.device == CPU
    return volumes, warnings


@pytest.fixture(scope="module")
def plain(bundle, views):
    """The volumes of the model itself, which knows nothing of ladders."""
    return load_model(bundle).reconstruct(views, context=RunContext(seed=3)).volumes


def sentence(rung: memory_fallback.Rung, stage: str = "") -> str:
    """The warning on the way to a rung, on the CPU."""
    return f"the computer ran out of memory: {rung.message.format(stage=stage)}"


def assert_same(found, expected, stages=STAGES):
    for stage in stages:
        assert torch.equal(found[stage], expected[stage]), stage


def test_the_ladder_of_a_gpu_ends_on_the_cpu():
    gpu = torch.device("cuda")
    rungs = ladder(gpu)
    assert [r.device.type for r in rungs] == ["cuda"] * 4 + ["cpu"] * 2
    assert rungs[0] == memory_fallback.Rung(gpu)
    assert [r.whole for r in rungs] == [True, False, False, False, True, True]
    assert [r.bfloat16 for r in rungs] == [False, False, False, True, False, False]
    assert [r.slab for r in rungs] == [None, None, 4, 4, None, 4]
    assert all(r.message for r in rungs[1:])
    assert ladder(CPU) == rungs[4:]


def test_with_enough_memory_nothing_is_different(bundle, views, plain):
    told = []
    volumes, warnings = run_all(bundle, views, told)
    assert_same(volumes, plain)
    assert (told, warnings) == ([], [])


# Calls of one plain run: 1 of the encoder, 3 bridge steps, 3 prior steps with the ControlNet.
@pytest.mark.parametrize(
    ("network", "failing", "calls"),
    [
        ("encoder", 1, 2),
        ("unet", 2, 2 + 3 + 3),  # in the bridge's second step: stage 1 starts again
        ("unet", 5, 3 + 2 + 3),  # in the prior's second step: stage 1 is kept
        ("controlnet", 1, 1 + 3),
        ("sr", 1, 2),
    ],
)
def test_one_stage_s_networks_at_a_time_give_the_same_voxels(
    bundle, views, plain, gpu_ladder, runs_out, network, failing, calls
):
    counted = runs_out(network, lambda call, module, slab: call == failing)
    told = []
    volumes, warnings = run_all(bundle, views, told)
    assert_same(volumes, plain)
    assert len(counted) == calls
    assert warnings == [sentence(gpu_ladder[1])]
    assert told == [(warnings[0], 0, 1)]


def test_only_the_running_stage_s_networks_are_kept(
    bundle, views, gpu_ladder, runs_out, monkeypatch
):
    runs_out("encoder", lambda call, module, slab: call == 1)
    held = []
    run_stage = AxonModel.run_stage

    def look(self, stage, *args, **kwargs):
        held.append((stage, {n for n in self.config.networks if self.has_network(n)}))
        return run_stage(self, stage, *args, **kwargs)

    monkeypatch.setattr(AxonModel, "run_stage", look)
    run_all(bundle, views)
    assert held == [
        ("coarse", {"encoder", "coarse", "prior", "controlnet", "sr"}),
        ("coarse", {"encoder", "coarse"}),
        ("fine", {"prior", "controlnet"}),
        ("sr", {"sr"}),
    ]


def test_slabs_give_the_same_voxels(bundle, views, plain, gpu_ladder, runs_out):
    runs_out("sr", lambda call, module, slab: slab is None)
    volumes, warnings = run_all(bundle, views)
    assert_same(volumes, plain, ("coarse", "fine"))
    torch.testing.assert_close(volumes["sr"], plain["sr"], atol=1e-6, rtol=0)
    assert warnings == [sentence(gpu_ladder[1]), sentence(gpu_ladder[2], "SR-Net")]


@pytest.mark.parametrize("hardware", [True, False])
def test_bfloat16_comes_close_and_leaves_the_model_as_it_was(
    bundle, views, gpu_ladder, runs_out, monkeypatch, hardware
):
    monkeypatch.setattr("axon_backend.networks.precision.cpu_has_bfloat16", lambda: hardware)
    plain = load_model(bundle).reconstruct(views, context=RunContext(seed=3)).volumes

    def wide(call, module, slab):
        return any(p.dtype is not torch.bfloat16 for p in module.parameters())

    runs_out("unet", wide)
    volumes, warnings = run_all(bundle, views)
    # The slabs of SR-Net are no help for stage 1 and are passed over.
    assert warnings == [sentence(gpu_ladder[i]) for i in (1, 3)]
    for stage in STAGES:
        assert not torch.equal(volumes[stage], plain[stage])
        # 1 is 950 HU
        assert (volumes[stage] - plain[stage]).abs().mean() < 0.02
        assert (volumes[stage] - plain[stage]).abs().max() < 0.2
    model = load_model(bundle)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.always_bfloat16


def test_the_cpu_is_the_last_but_one_resort_and_a_sentence_the_last(
    bundle, views, plain, gpu_ladder, runs_out
):
    runs_out("encoder", lambda call, module, slab: call <= 3)
    told = []
    volumes, warnings = run_all(bundle, views, told)
    assert_same(volumes, plain)
    assert [what[0] for what in told] == [sentence(gpu_ladder[i]) for i in (1, 3, 4)]
    assert "the CPU" in warnings[-1]


def test_when_nothing_helps_the_way_out_is_named(bundle, views, runs_out):
    runs_out("sr", lambda call, module, slab: True)
    with pytest.raises(AxonInputError, match="Out of memory in stage sr.*Close other programs"):
        run_all(bundle, views)


def test_the_cpu_enlarges_in_slabs(bundle, views, plain, runs_out):
    runs_out("sr", lambda call, module, slab: slab is None)
    volumes, warnings = run_all(bundle, views)
    torch.testing.assert_close(volumes["sr"], plain["sr"], atol=1e-6, rtol=0)
    assert len(warnings) == 1 and "in slabs" in warnings[0]


def test_a_model_that_does_not_fit_is_tried_part_by_part(
    bundle, views, plain, gpu_ladder, monkeypatch
):
    first = []

    def full(bundle, device="cpu"):
        if not first:
            first.append(device)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return load_model(bundle, device)

    monkeypatch.setattr(memory_fallback, "load_model", full)
    volumes, warnings = run_all(bundle, views)
    assert_same(volumes, plain)
    assert len(warnings) == 1


def test_memory_is_let_go_before_the_next_try(bundle, views, gpu_ladder, monkeypatch):
    """The failed try's tensors, and its copy of the stage, must not be held by its error."""
    inputs, networks, held = [], [], []
    forward = DiffusionUNet.forward

    def fail_twice(self, x, *args):
        inputs.append(weakref.ref(x))
        networks.append(weakref.ref(self))
        if len(inputs) <= 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, x, *args)

    def progress(stage, step, total, preview):
        if stage not in STAGES:
            held.append((inputs[-1](), networks[-1]()))

    monkeypatch.setattr(DiffusionUNet, "forward", fail_twice)
    runner = StageRunner(bundle, CPU)
    gc.disable()  # nothing may wait for the collector of cycles
    try:
        runner.run("coarse", views, None, context=RunContext(progress=progress))
    finally:
        gc.enable()
    # The first try ran the model itself, which lives as long as the runner; the second a copy.
    assert [x for x, _ in held] == [None, None]
    assert isinstance(held[0][1], DiffusionUNet) and held[1][1] is None


def test_other_errors_are_not_mistaken_for_missing_memory(bundle, views, monkeypatch):
    def broken(self, *args, **kwargs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(AxonModel, "run_stage", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        run_all(bundle, views)


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("CUDA error: device-side assert"), False),
        (ValueError("out of memory"), False),
        (Cancelled("stopped"), False),
    ],
)
def test_what_counts_as_running_out(error, is_it):
    assert is_out_of_memory(error) is is_it


def test_a_cancel_is_heard_between_two_rungs(bundle, views, gpu_ladder, runs_out):
    runs_out("encoder", lambda call, module, slab: True)

    def stop(*what):
        raise Cancelled("stop")

    runner = StageRunner(bundle, CPU)
    with pytest.raises(Cancelled):
        runner.run("coarse", views, None, context=RunContext(progress=stop))


@pytest.mark.parametrize("network", ["encoder", "unet", "controlnet", "sr"])
def test_a_cancel_is_heard_inside_a_network(bundle, views, runs_out, network):
    """Within a step, not only between two: one step of a large model takes long."""
    wish = []

    def press(call, module, slab):
        wish.append(True)
        return False

    calls = runs_out(network, press)
    with pytest.raises(Cancelled):
        run_all(bundle, views, cancelled=lambda: bool(wish))
    assert calls == [1]
    model = load_model(bundle)
    assert not any(part._forward_pre_hooks for part in model.modules())
