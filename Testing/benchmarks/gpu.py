"""What a GPU does with AXON, in one run of at most eight minutes.

    python Testing/benchmarks/gpu.py --out results/gpu.json [--preset paper] [--minutes 8]
    python Testing/benchmarks/gpu.py --device cpu --preset preview --minutes 3      (a rehearsal)

Weights, X-rays and volumes are random: none of this depends on their values. Parts, each of which
is left out when the time is up, and whose failure does not end the others:

* ``peak``: bf16 operations per second of a large matrix product; shares below are of this.
* ``stages``: seconds per step, operations per step and peak memory of every stage.
* ``faster``: a step of the bridge's U-Net as it is, under CUDA graphs and under ``torch.compile``;
  how much faster they are, what they cost at first, and how much the outputs differ.
* ``end_to_end``: X-rays to the enlarged volume, 10 + 10 steps, and 1 + 1.
* ``training``: a step of the bridge, with and without gradient checkpointing.
* ``ladder``: the same reconstruction in ever less GPU memory: what the fallback said and took.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from full_size import random_batch
from torch.utils.flop_counter import FlopCounterMode

from axon_backend.bundle import Bundle, bundle_metadata, write_bundle
from axon_backend.inference.memory_fallback import StageRunner
from axon_backend.inference.model_loading import bundle_config, load_model
from axon_backend.methods import registry
from axon_backend.methods.formats import views_format
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.precision import autocast
from axon_backend.training.presets import preset
from axon_backend.training.recompute import recompute_blocks
from axon_backend.util.run_context import RunContext

METHOD = registry.load("axon")
SHARES = (1.0, 0.5, 0.25, 0.12, 0.06)  # of the GPU's memory, in the part `ladder`
MATRIX = 8192  # side of the product that gives the peak; a quarter on a CPU


class Bench:
    """The device, its clock and its memory."""

    def __init__(self, device: str, name: str, minutes: float) -> None:
        self.device = torch.device(device)
        self.on_gpu = self.device.type == "cuda"
        self.preset, self.config = name, METHOD.presets[name]()
        self.end = time.monotonic() + 60 * minutes
        self.peak = 0.0
        side = self.config.view_size
        views = torch.rand(2, 1, 1, side, side) * 2 - 1
        self.views = RegisteredViews(views[0], views[1], torch.tensor([[0.07, -0.09]]))

    def time_is_up(self) -> bool:
        return time.monotonic() > self.end

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def timed(self, work: Callable[[], Any]) -> tuple[float, float]:
        """Seconds, and peak memory in GB (of a CPU: of the process so far)."""
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        seconds = time.perf_counter() - began
        if self.on_gpu:
            return seconds, torch.cuda.max_memory_allocated() / 1e9
        return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

    def per_call(self, work: Callable[[], Any], calls: int) -> float:
        work()  # the first one chooses algorithms
        return self.timed(lambda: [work() for _ in range(calls)])[0] / calls


def peak(bench: Bench) -> dict[str, Any]:
    side = MATRIX if bench.on_gpu else MATRIX // 4
    a = torch.randn(side, side, device=bench.device, dtype=torch.bfloat16)
    seconds = bench.per_call(lambda: a @ a, 20 if bench.on_gpu else 1)
    bench.peak = 2 * side**3 / seconds
    return {"tflops_bf16": bench.peak / 1e12}


def random_bundle(bench: Bench, folder: Path) -> Bundle:
    """The preset with random weights, as a bundle; layers that start at zero are shaken."""
    torch.manual_seed(0)
    config = bench.config
    model = METHOD.build(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.01)
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, config.output_grid)] * 3, indexing="ij")
    chest = np.where(x**2 + y**2 < 0.9, 40.0, -1000.0)
    for side in (-0.45, 0.45):
        chest[((x - side) / 0.32) ** 2 + (y / 0.55) ** 2 + (z / 0.8) ** 2 < 1] = -850.0
    return write_bundle(
        folder,
        config=bundle_config(METHOD, config),
        metadata=bundle_metadata(
            name="random", version="0.0.0", description="Random weights.",
            inputs=views_format(config.view_size), output_grid=config.output_grid,
            hu_window=(config.window.low, config.window.high),
            networks=METHOD.network_formats(config),
        ),
        state_dicts={name: model.network(name).state_dict() for name in config.networks},
        atlas_hu=chest.astype(np.float32), atlas_size_mm=(320.0, 240.0, 300.0),
        model_card="# random\n", licence_text="Apache-2.0\n",
    )  # fmt: skip


def stages(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    model = load_model(bundle, bench.device)
    found: dict[str, Any] = {}
    volume = None
    for stage in METHOD.info.stages:
        views = bench.views.to(bench.device)
        before = volume

        def run(steps: int, stage: Any = stage, before: Any = before, views: Any = views) -> Any:
            return model.run_stage(stage.name, views, before, steps=steps, context=RunContext())

        few, many = (2, 6) if stage.takes_steps else (1, 1)
        with FlopCounterMode(display=False) as counter:
            volume = run(few)
        short, _ = bench.timed(partial(run, few))
        long, memory = bench.timed(partial(run, many))
        per_step = (long - short) / (many - few) if stage.takes_steps else long
        work = counter.get_total_flops()
        found[stage.name] = {
            "seconds_per_step": per_step,
            "seconds_of_the_rest": short - few * per_step if stage.takes_steps else 0.0,
            "tflop_of_the_first_run": work / 1e12,
            "share_of_peak": work / short / bench.peak if bench.peak else None,
            "peak_gb": memory,
            "shape": list(volume.shape),
        }
        if bench.time_is_up():
            break
    return found


def faster(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    model = load_model(bundle, bench.device)
    unet, h = model.network("coarse"), bench.config.grid
    x = torch.randn(1, 1 + bench.config.condition_channels, h, h, h, device=bench.device)
    t = torch.tensor([500], device=bench.device)

    def plain() -> torch.Tensor:
        with torch.inference_mode(), autocast(bench.device):
            return unet(x, t)

    calls = 10 if bench.on_gpu else 2
    reference = plain()
    found: dict[str, Any] = {"as it is": {"seconds": bench.per_call(plain, calls)}}

    def compare(name: str, prepare: Callable[[], Callable[[], torch.Tensor]]) -> None:
        if bench.time_is_up():
            return
        try:
            began = time.perf_counter()
            work = prepare()
            out = work().clone()
            bench.wait()
            first = time.perf_counter() - began
            found[name] = {
                "seconds": bench.per_call(work, calls),
                "first_seconds": first,
                "largest_difference": float((out - reference).abs().max()),
            }
        except Exception as error:  # a compiler that is not there must not end the rest
            found[name] = {"failed": f"{type(error).__name__}: {error}"[:300]}

    def graph() -> Callable[[], torch.Tensor]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                plain()
        torch.cuda.current_stream().wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            out = plain()

        def replay() -> torch.Tensor:
            captured.replay()
            return out

        return replay

    def compiled() -> Callable[[], torch.Tensor]:
        fast = torch.compile(unet)

        def run() -> torch.Tensor:
            with torch.no_grad(), autocast(bench.device):
                return fast(x, t)

        return run

    if bench.on_gpu:
        compare("CUDA graph", graph)
        compare("torch.compile", compiled)
    return found


def end_to_end(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    model = load_model(bundle, bench.device)
    found = {}
    for count in (1, 10):
        if bench.time_is_up():
            break
        steps = {s.name: count for s in METHOD.info.stages if s.takes_steps}

        def run(steps: dict[str, int] = steps) -> Any:
            return model.reconstruct(bench.views, steps=steps, context=RunContext())

        if count == 1:
            run()
        seconds, memory = bench.timed(run)
        found[f"{count} + {count} steps"] = {"seconds": seconds, "peak_gb": memory}
    return found


def training(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    found = {}
    for checkpointing in (False, True):
        if bench.time_is_up():
            break
        torch.manual_seed(0)
        config = preset(bench.preset, "coarse")
        model = METHOD.build(config.model)
        model.keep_networks({*config.trains, *config.needs})
        model.to(bench.device)
        for network in {*config.trains, *config.needs}:
            model.network(network).requires_grad_(network in config.trains)
        if checkpointing:
            recompute_blocks(model)
        objective = config.objective(model, config.loss, single_view=config.data.single_view)
        weights = [w for n in config.trains for w in model.network(n).parameters()]
        optimiser = torch.optim.AdamW(weights, config.optimiser.lr)
        batch = random_batch(config).to(bench.device)

        def step(objective=objective, optimiser=optimiser, batch=batch) -> None:
            optimiser.zero_grad(set_to_none=True)
            with autocast(bench.device):
                loss = objective(batch)
            loss.backward()
            optimiser.step()

        try:
            step()
            seconds, memory = bench.timed(step)
            row: dict[str, Any] = {"seconds": seconds, "peak_gb": memory}
        except torch.OutOfMemoryError:
            row = {"failed": "out of memory"}
        found["with checkpointing" if checkpointing else "without"] = row
    return found


def ladder(bench: Bench, bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for share in SHARES if bench.on_gpu else SHARES[:1]:
        if bench.time_is_up():
            break
        if bench.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(share)
        runner, said, volume = StageRunner(bundle, bench.device), [], None
        began = time.perf_counter()
        try:
            for stage in METHOD.info.stages:
                volume, told = runner.run(
                    stage.name, bench.views, volume, steps=1, context=RunContext()
                )
                said += told
            row: dict[str, Any] = {
                "seconds": time.perf_counter() - began,
                "device": str(runner.device),
            }
        except Exception as error:
            row = {"failed": str(error)[:300]}
        found[f"{share:.0%}"] = {**row, "said": said}
        runner.release()
    if bench.on_gpu:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return found


def parts(bench: Bench, bundle: Bundle) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    yield "peak", lambda: peak(bench)
    for part in (stages, faster, end_to_end, training, ladder):
        yield part.__name__, lambda part=part: part(bench, bundle)


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--device", default="cuda")
    ask.add_argument("--preset", default="paper", choices=tuple(METHOD.presets))
    ask.add_argument("--minutes", type=float, default=8.0)
    ask.add_argument("--only", help="names of parts, separated by commas (default: all)")
    ask.add_argument("--out", type=Path)
    chosen = ask.parse_args()
    bench = Bench(chosen.device, chosen.preset, chosen.minutes - 0.3)
    machine = torch.cuda.get_device_name() if bench.on_gpu else platform.processor() or "CPU"
    found: dict[str, Any] = {"machine": machine, "torch": torch.__version__, "preset": bench.preset}
    with tempfile.TemporaryDirectory() as folder:
        bundle = random_bundle(bench, Path(folder) / "bundle")
        for name, measure in parts(bench, bundle):
            if chosen.only and name not in ("peak", *chosen.only.split(",")):
                continue
            try:
                late = {"left out": "the time was up"}
                found[name] = late if bench.time_is_up() else measure()
            except Exception:  # the other parts are worth having
                found[name] = {"failed": traceback.format_exc(limit=3)}
            print(name, json.dumps(found[name], indent=1), flush=True)
            if chosen.out:  # after every part: what is measured is kept
                chosen.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
