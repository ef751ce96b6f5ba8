"""Running a model's stages with the memory that there is.

Where memory runs out, the stage is tried again on the next rung of a ladder, from all networks on
the GPU down to the CPU. Rungs that return the same voxels come before the one that does not
(bfloat16). What was finished before stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.inference.model_cache import forget_models, load_model
from axon_backend.methods.axon.model import STAGES, Axon, AxonConfig
from axon_backend.methods.protocol import Progress, RegisteredViews
from axon_backend.networks.precision import keep_in_bfloat16

SLAB = 8  # input slices that SR-Net enlarges at a time
# What drivers and allocators say in errors that have no type of their own.
_SAYS_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "ALLOC_FAILED",
)


@dataclass(frozen=True)
class Rung:
    """One way of running the stages.

    Attributes:
        device: where the networks compute.
        told: what the user reads when this rung is reached.
        whole: all networks stay on the device; False keeps only those of the running stage there.
        slab: slices that SR-Net takes at a time; None for all.
        bfloat16: weights and activations in bfloat16.
        stages: those that need less memory here than on the rung before.
    """

    device: torch.device
    told: str = ""
    whole: bool = True
    slab: int | None = None
    bfloat16: bool = False
    stages: tuple[str, ...] = STAGES


def ladder(device: torch.device) -> tuple[Rung, ...]:
    """The rungs from a device on: the first is taken where memory suffices."""
    cpu = torch.device("cpu")
    rungs: list[Rung] = []
    if device.type != "cpu":
        rungs = [
            Rung(device),
            Rung(
                device,
                "only the networks of the running stage are kept on it from here on "
                "(same result, a little slower)",
                whole=False,
            ),
            Rung(
                device,
                "the last enlargement (SR-Net) is done in slabs (same result, a little slower)",
                whole=False,
                slab=SLAB,
                stages=("sr",),
            ),
            Rung(
                device,
                "the networks compute with shorter numbers from here on (bfloat16; HU may differ "
                "a little)",
                whole=False,
                slab=SLAB,
                bfloat16=True,
            ),
        ]
    return (
        *rungs,
        Rung(cpu, "the rest is computed on the CPU, which takes much longer"),
        Rung(
            cpu,
            "the last enlargement (SR-Net) is done in slabs (same result, a little slower)",
            slab=SLAB,
            stages=("sr",),
        ),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the GPU's or the computer's memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SAYS_OUT_OF_MEMORY)


class StageRunner:
    """Runs the stages of a bundle's model, and steps down the ladder where memory runs out.

    Args:
        bundle: the model.
        device: where to begin.
        tell: hears of each step down as ``tell(sentence, 0, 1)``; may raise ``Cancelled``.
        cancelled: asked all the time while networks compute.

    Attributes:
        warnings: the steps down that were made, in plain words.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device,
        tell: Callable[[str, int, int], None],
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._bundle, self._tell, self._cancelled = bundle, tell, cancelled
        self._rungs, self._at = ladder(device), 0
        self._part: tuple[str, int, Axon] | None = None
        self.config: AxonConfig = self._with_memory("coarse", lambda model, rung: model.config)

    @property
    def device(self) -> torch.device:
        """Where the last stage ran."""
        return self._rungs[self._at].device

    def run(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: dict[str, int] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """Run one stage; see :meth:`methods.axon.Axon.run_stage`.

        Returns:
            (1, 1, n, n, n) in normalised HU, on the CPU.

        Raises:
            AxonInputError: even the last rung ran out of memory.
            Cancelled: ``cancelled()`` was true, or ``progress`` raised it.
        """

        def work(model: Axon, rung: Rung) -> torch.Tensor:
            with _stopping(model, stage, self._cancelled):
                out = model.run_stage(
                    stage,
                    views,
                    volume,
                    steps=steps,
                    seed=seed,
                    progress=progress,
                    slab=rung.slab,
                )
            return out.float().cpu()

        return self._with_memory(stage, work)

    def _with_memory(self, stage: str, work: Callable[[Axon, Rung], Any]) -> Any:
        while True:
            rung = self._rungs[self._at]
            try:
                return work(self._model(stage), rung)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the except block: the error's traceback would keep the tensors alive.
            self._step_down(stage)

    def _model(self, stage: str) -> Axon:
        rung = self._rungs[self._at]
        if rung.whole:
            return load_model(self._bundle, rung.device)
        if self._part is None or self._part[:2] != (stage, self._at):
            self._part = None
            part = load_model(self._bundle, "cpu").copy_of_stage(stage)
            if rung.bfloat16:
                part.always_bfloat16 = True
                keep_in_bfloat16(part)
            self._part = (stage, self._at, part.to(rung.device))
        return self._part[2]

    def _step_down(self, stage: str) -> None:
        here = self.device
        where = "the computer" if here.type == "cpu" else "the GPU"
        below = [i for i in range(self._at + 1, len(self._rungs)) if stage in self._rungs[i].stages]
        if not below:
            raise AxonInputError(
                f"The memory ran out in stage {stage}, although all ways to save memory were "
                "tried. Close other programs, leave this stage out, or use a bundle with smaller "
                "volumes."
            )
        self._part, self._at = None, below[0]
        # The models kept for the next call hold most of the memory.
        forget_models()
        sentence = f"{where} ran out of memory: {self._rungs[self._at].told}"
        self.warnings.append(sentence)
        self._tell(sentence, 0, 1)


@contextmanager
def _stopping(model: Axon, stage: str, cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Let ``cancelled`` stop the model between any two layers: a step can take a minute."""
    if cancelled is None:
        yield
        return
    here = threading.get_ident()

    def check(*_: Any) -> None:
        # The model is shared: another thread's run is not ours to stop.
        if threading.get_ident() == here and cancelled():
            raise Cancelled(f"stopped in stage {stage}")

    hooks = [part.register_forward_pre_hook(check) for part in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
