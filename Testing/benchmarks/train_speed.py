"""How fast a stage trains, how long it waits for data, and how fast this machine could be.

    python Testing/benchmarks/train_speed.py --data data.json --out results/train_speed.json
        [--stage coarse] [--preset preview] [--set KEY=VALUE ...] [--steps 60] [--device auto]
        [--workers 1] [--peak-tflops 989]

Four numbers for one update of ``batch`` samples:

* the whole run: steps per second of ``axon train`` after its first steps, with the share of the
  time that it waited for data, once with pairs drawn on the way and once with pairs from the disk;
* the networks alone: forward, backward and optimiser on one batch that lies ready, and their
  floating-point operations, counted by torch; with ``--peak-tflops`` their share of that peak; on a
  CPU also the share of the time that goes into convolutions, and the operations a second in them;
* the hardware: what a large matrix product of the same precision reaches here.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from axon_backend.bundle import load_bundle
from axon_backend.inference.model_loading import choose_device
from axon_backend.methods.batch import Batch, Draws
from axon_backend.training.config import TrainConfig
from axon_backend.training.launch import train
from axon_backend.training.optimiser import Optimiser
from axon_backend.training.plan import resolve
from axon_backend.training.recompute import recompute_blocks
from axon_backend.training.run.fabric import resolve_precision
from axon_backend.training.run.run_folder import RunFolder


def ready_batch(config: TrainConfig, device: torch.device) -> Batch:
    """A micro-batch of noise with the sizes of the configuration."""
    b, h, s = config.micro_batch, config.model.grid, config.model.view_size
    fine = torch.rand(b, 1, *(config.gamma * h,) * 3) * 2 - 1
    volume = torch.nn.functional.avg_pool3d(fine, config.gamma)
    u = torch.rand(7, b, dtype=torch.float64)
    draws = Draws(
        single=torch.zeros(b, dtype=torch.bool),
        t=u[0],
        t_end=u[1],
        augmentation=u[2],
        kind=u[3],
        crop=u[4:].T,
        noise=torch.randn(b, 1, h, h, h),
        seeds=torch.arange(b),
    )
    views = torch.rand(2, b, 1, s, s) * 2 - 1
    beam = torch.tensor([[0.07, -0.09]]).expand(b, 2)
    return Batch(volume, fine, views[0], views[1], beam, draws).to(device)


def wait_for(device: torch.device) -> None:
    """Until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def networks_alone(config: TrainConfig, device: torch.device, seconds: float) -> dict[str, float]:
    """Updates per second on a batch that lies ready, and the operations of one."""
    torch.manual_seed(0)
    model = config.of_method.build(config.model)
    model.keep_networks({*config.trains, *config.needs})
    model.requires_grad_(False)
    objective = config.objective(
        model,
        config.loss,
        single_view=config.data.single_view,
        repeats=bool(config.data.repeat_after),
    ).to(device)
    for network in objective.networks().values():
        network.requires_grad_(True)
    if config.checkpointing:
        recompute_blocks(model)
    optimiser = Optimiser([p for p in objective.parameters() if p.requires_grad], config.optimiser)
    batch = ready_batch(config, device)
    half = (
        resolve_precision(config.precision, device, config.of_method.smallest_side(config.model))
        == "bf16-mixed"
    )
    micro_batches = config.batch // config.micro_batch

    def forward_backward() -> None:
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            loss = objective(batch)
        loss.backward()

    def update() -> None:
        optimiser.zero_grad()
        for _ in range(micro_batches):
            forward_backward()
        optimiser.step()

    def pace(work: object) -> float:
        assert callable(work)
        for _ in range(2):
            work()
        wait_for(device)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            work()
            wait_for(device)
            count += 1
        return (time.perf_counter() - began) / count

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds_each, seconds_networks = pace(update), pace(forward_backward)
    with FlopCounterMode(display=False) as counter:
        forward_backward()
    flops = counter.get_total_flops() * micro_batches
    found = {
        "updates_per_second": 1 / seconds_each,
        "forward_backward_ms": 1000 * seconds_networks,
        "gflop_per_update": flops / 1e9,
        "tflop_per_second": flops / seconds_each / 1e12,
        "parameters": float(sum(p.numel() for p in optimiser.parameters)),
    }
    if device.type == "cpu":
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            forward_backward()
        times = {e.key: e.self_cpu_time_total for e in seen.key_averages()}
        share = sum(t for key, t in times.items() if "convolution" in key) / sum(times.values())
        found["convolutions_share"] = share
        found["convolutions_tflop_per_second"] = (
            flops / micro_batches / 1e12 / (share * seconds_networks)
        )
    if device.type == "cuda":
        found["peak_memory_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found


def matrix_product(config: TrainConfig, device: torch.device) -> float:
    """TFLOP per second of a large product in the training's precision."""
    half = (
        resolve_precision(config.precision, device, config.of_method.smallest_side(config.model))
        == "bf16-mixed"
    )
    n = 8192 if device.type == "cuda" else 2048
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if half else torch.float32)
    best = float("inf")
    for _ in range(8):
        wait_for(device)
        began = time.perf_counter()
        a @ a
        wait_for(device)
        best = min(best, time.perf_counter() - began)
    return 2 * n**3 / best / 1e12


def whole_run(config: TrainConfig, data: Path, folder: Path, device: str) -> dict[str, float]:
    """Pace and waiting of a run that begins from the shipped bundle, from its own events; the
    first third of the steps is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / f"run-{len(list(folder.glob('run-*')))}"
    start = load_bundle(None) if config.preset == "preview" else None
    train(config, data, run, start=start, device=device)
    steps = [e for e in RunFolder(run).events()[0] if e["event"] == "step"]
    late = [e for e in steps if e["step"] > config.steps / 3] or steps[-1:]
    return {
        "steps_per_second": sum(e["steps_per_second"] for e in late) / len(late),
        "waiting": sum(e["waiting"] for e in late) / len(late),
        "memory_gb": late[-1]["memory_gb"],
    }


def main() -> None:
    """The command line described above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="leave it out to measure the networks only")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--stage", default="coarse")
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float, default=20.0, help="for the networks alone")
    parser.add_argument("--peak-tflops", type=float, help="of the device, from its data sheet")
    chosen = parser.parse_args()
    device = choose_device(chosen.device)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    pairs = ["log_steps=5", "validation.samples=0", "every_minutes=1e6", *chosen.set]
    config = resolve(chosen.stage, preset_name=chosen.preset, pairs=pairs, steps=chosen.steps)

    result: dict[str, object] = {
        "machine": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "stage": config.stage,
        "preset": config.preset,
        "batch": config.batch,
        "micro_batch": config.micro_batch,
        "checkpointing": config.checkpointing,
        "precision": resolve_precision(
            config.precision, device, config.of_method.smallest_side(config.model)
        ),
        "matrix_product_tflops": matrix_product(config, device),
        "networks": (alone := networks_alone(config, device, chosen.seconds)),
    }
    if chosen.peak_tflops:
        result["share_of_peak"] = alone["tflop_per_second"] / chosen.peak_tflops
    if chosen.data is not None:
        with tempfile.TemporaryDirectory() as folder:
            result["drawing"] = whole_run(config, chosen.data, Path(folder), chosen.device)
            # The same pairs again, from the disk.
            result["from_disk"] = whole_run(config, chosen.data, Path(folder), chosen.device)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
