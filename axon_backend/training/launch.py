"""``axon train``: from a data set and settings to a run folder with trained weights."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch

from axon_backend import DISCLAIMER
from axon_backend.bundle import Bundle
from axon_backend.dataset.dataset import FILE as DATASET_FILE
from axon_backend.dataset.dataset import Dataset, DatasetCase
from axon_backend.errors import AxonInputError
from axon_backend.training.assembly import Assembly
from axon_backend.training.config import TrainConfig
from axon_backend.training.data.source import data_hash
from axon_backend.training.plan import cases_of, window_warning
from axon_backend.training.resume import check_stage, data_changed, last_state
from axon_backend.training.run import distributed
from axon_backend.training.run.error_text import explain
from axon_backend.training.run.events import RunWriter
from axon_backend.training.run.fabric import launch
from axon_backend.training.run.lock import RunLock
from axon_backend.training.run.provenance import environment, git_commit
from axon_backend.training.run.run_folder import ACTIVE, RunFolder
from axon_backend.training.run.stop_request import StopRequest, clear_stop_request
from axon_backend.training.weights import check_sources
from axon_backend.util.apart import check_apart


def ready(
    config: TrainConfig, data: Path, run: Path, resume: bool
) -> tuple[list[DatasetCase], list[DatasetCase]]:
    """Check that the run can start in its folder; return the training and validation cases.

    Raises:
        AxonInputError: the data cannot be used, or the folder belongs to another run.
    """
    folder = RunFolder(run.resolve())
    if os.path.lexists(run) and not run.is_dir():
        raise AxonInputError(f"{run} is a file; --run must be a folder. Choose another name.")
    if (folder.path / DATASET_FILE).exists():
        raise AxonInputError(f"{run} is a data set. Choose another --run: a folder for the run.")
    check_apart(run, data, below=True)
    cases = cases_of(Dataset.read(data), config)
    if resume:
        check_stage(folder, config, folder.state())
    # A run that failed before its first checkpoint may be overwritten.
    elif folder.exists() and (folder.status() in ACTIVE or folder.has_weights()):
        if folder.status() in ACTIVE:
            raise AxonInputError(
                f"{run} is being trained by process {folder.state().get('pid')} on "
                f"{folder.state().get('host')}. Choose another --run, or stop that one first."
            )
        raise AxonInputError(
            f"{run} already holds a run of stage {folder.state().get('stage')} (status "
            f"{folder.status()}). Resume it with --resume, or choose another --run."
        )
    return cases


def train(
    config: TrainConfig,
    data: Path,
    run: Path,
    *,
    start: Bundle | None = None,
    device: str = "auto",
    resume: bool = False,
    output: str | None = None,
    command: Sequence[str] = (),
    since: float | None = None,
) -> str:
    """Train one stage into a run folder; returns "finished" or "stopped".

    Args:
        config: as returned by ``training.plan.resolve``.
        data: see ``Dataset.read``.
        run: the run folder; new, or with ``resume`` that of an earlier run.
        start: a bundle to initialise from.
        device: auto, cpu or cuda.
        output: print events to standard output as "json" or "words"; None prints nothing.
        command: the command line, recorded in run.json.
        since: when the process started (Unix seconds; default: now). A stop request older than
            this was meant for an earlier run and is removed.

    Raises:
        AxonInputError: an input cannot be used; recorded in run.json once the run has begun.
        FloatingPointError: the loss or gradient is not finite.
    """
    since = time.time() if since is None else since
    folder = RunFolder(run.resolve())
    cases, validation = ready(config, data, run, resume)
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = launch(device, config.precision, config.of_method.smallest_side(config.model))
    first = fabric.global_rank == 0
    lock: Any = RunLock(folder) if first else nullcontext()
    with ExitStack() as stack:
        distributed.raise_on_any_rank(lambda: stack.enter_context(lock))
        writer = RunWriter(folder, output=output if first else None, active=first)
        stop = StopRequest(folder.stop_file if first else None)
        if first:
            clear_stop_request(folder.stop_file, since)
            folder.clean()
        state: dict[str, Any] | None = None
        notices: list[str] = []
        if resume:
            state, notices = distributed.raise_on_any_rank(lambda: last_state(folder, config))
            if state is not None:  # so that a wrong --start leaves the run unchanged
                distributed.raise_on_any_rank(lambda: check_sources(config, folder.path, start))
        counts = {"train": len(cases), "validation": len(validation)}
        data_sha256 = data_hash([*cases, *validation])
        before = folder.state() if state is not None else {}
        changed = data_changed(before, data_sha256, counts)
        parts = Assembly(fabric, config, cases, validation, writer, stop)
        try:
            with stop.listening():
                writer.begin(
                    method=config.method,
                    stage=config.stage,
                    research_use=DISCLAIMER,
                    command=list(command),
                    preset=config.preset,
                    data=str(data.resolve()),
                    cases=counts,
                    git=git_commit(),
                    data_sha256=data_sha256,
                    environment=environment(),
                    processes=fabric.world_size,
                    networks=before.get("networks") or {},
                )
                hidden = window_warning(config)
                for text in [*notices, *(t for t in (changed, hidden) if t)]:
                    writer.message(text, "warning")
                status = parts.go(start, state)
        except BaseException as error:
            sentence = explain(error)
            try:
                writer.set(status="failed", error=sentence)
                writer.event("end", status="failed", step=writer.step, error=sentence)
            except OSError:
                pass  # a full disk; the last checkpoint is still intact
            raise
        writer.set(status=status)
        writer.event("end", status=status, step=writer.step, error=None)
        if first:
            clear_stop_request(folder.stop_file)
        return status
