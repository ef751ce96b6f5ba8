"""Run the stages of a model within the available memory.

If memory runs out, the stage is retried on the next rung of a ladder, from all networks on the GPU
down to the CPU. Rungs that give the same voxels come before the one that does not (bfloat16).
Stages that are already finished are kept.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError
from axon_backend.inference.model_loading import bundle_method, bundle_model, load_model
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.networks.precision import keep_in_bfloat16, store_as_computed
from axon_backend.util.free_memory import return_free_memory
from axon_backend.util.run_context import RunContext

SLAB = 4  # slices per slab, for stages that can work in slabs
# Messages of drivers and allocators whose errors have no type of their own.
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
        message: shown to the user when this rung is reached; ``{stage}`` is the stage's label.
        whole: keep all networks on the device; False: only those of the running stage.
        slab: slices per slab, for stages that can work in slabs; None: all at once.
        bfloat16: use bfloat16 for weights and activations.
        only_in_slabs: the rung helps only stages that can work in slabs.
    """

    device: torch.device
    message: str = ""
    whole: bool = True
    slab: int | None = None
    bfloat16: bool = False
    only_in_slabs: bool = False


def ladder(device: torch.device) -> tuple[Rung, ...]:
    """The rungs for a device; the first is used as long as memory suffices."""
    cpu = torch.device("cpu")
    slabs = "{stage} works in slabs (same result, a little slower)"
    rungs: list[Rung] = []
    if device.type != "cpu":
        rungs = [
            Rung(device),
            Rung(
                device,
                "from now on, only the networks of the running stage are kept on it "
                "(same result, a little slower)",
                whole=False,
            ),
            Rung(device, slabs, whole=False, slab=SLAB, only_in_slabs=True),
            Rung(
                device,
                "from now on, the networks compute in bfloat16 (HU may differ slightly)",
                whole=False,
                slab=SLAB,
                bfloat16=True,
            ),
        ]
    return (
        *rungs,
        Rung(cpu, "the remaining stages run on the CPU, which takes much longer"),
        Rung(cpu, slabs, slab=SLAB, only_in_slabs=True),
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the GPU or the computer ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in _SAYS_OUT_OF_MEMORY)


class StageRunner:
    """Runs a bundle's model stage by stage, and steps down the ladder if memory runs out.

    It owns the model: dropping the runner frees its memory.

    Args:
        bundle: the model's weights and configuration.
        device: the device to start on.

    Attributes:
        method, config: method of the bundle and its configuration.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle = bundle
        self.method, self.config = bundle_method(bundle), bundle_model(bundle)
        self._begin, self._rungs, self._at = device, ladder(device), 0
        self._whole: Model | None = None
        self._part: tuple[str, int, Model] | None = None

    @property
    def device(self) -> torch.device:
        """The device on which the last stage ran."""
        return self._rungs[self._at].device

    def load(self, context: RunContext) -> list[str]:
        """Load the model to the device before the first stage; returns warnings as :meth:`run`."""
        first = self.method.info.stage_names[0]
        return self._with_memory(first, context, lambda model, rung: None)[1]

    def run(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: int | None = None,
        context: RunContext,
    ) -> tuple[torch.Tensor, list[str]]:
        """Run one stage; see :meth:`methods.protocol.Model.run_stage`.

        Returns:
            The volume, (1, 1, n, n, n) in normalised HU on the CPU, and warnings about the
            fallbacks used to save memory.

        Raises:
            AxonInputError: memory ran out even on the last rung.
            Cancelled: ``context.cancelled()`` returned True, or ``context.progress`` raised it.
        """

        def work(model: Model, rung: Rung) -> torch.Tensor:
            with _stopping(model, stage, context), _tidy(model):
                out = model.run_stage(
                    stage, views, volume, steps=steps, context=context, slab=rung.slab
                )
            return out.float().cpu()

        return self._with_memory(stage, context, work)

    def release(self) -> None:
        """Free the model and its GPU memory. The next run loads it again, on the device that was
        given to the runner."""
        self._whole, self._part, self._at = None, None, 0
        _empty_cache()

    def _with_memory(
        self, stage: str, context: RunContext, work: Callable[[Model, Rung], Any]
    ) -> tuple[Any, list[str]]:
        warnings: list[str] = []
        while True:
            rung = self._rungs[self._at]
            try:
                return work(self._model(stage), rung), warnings
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the except block, where the traceback would keep the tensors alive.
            warnings.append(self._step_down(stage))
            context.report(warnings[-1], 0, 1)

    def _model(self, stage: str) -> Model:
        rung = self._rungs[self._at]
        where = rung.device if rung.whole else torch.device("cpu")
        if self._whole is None or self._whole.device != where:
            self._whole = self._moved(where, rung.device)
        if rung.whole:
            return self._whole
        if self._part is None or self._part[:2] != (stage, self._at):
            self._part = None
            part = self._whole.copy_of_stage(stage)
            if rung.bfloat16:
                part.compute_in_bfloat16()
                keep_in_bfloat16(part)
            self._part = (stage, self._at, part.to(rung.device))
        return self._part[2]

    def _moved(self, where: torch.device, computed_on: torch.device) -> Model:
        """All networks on a device, loaded if they are not yet."""
        model = load_model(self.bundle, where) if self._whole is None else self._whole.to(where)
        if model.AUTOCASTS:
            store_as_computed(model, computed_on, model.always_bfloat16)
            return_free_memory()  # of the wider weights
        return model

    def _step_down(self, stage: str) -> str:
        info = self.method.info.stage(stage)
        where = "the computer" if self.device.type == "cpu" else "the GPU"
        below = [
            i
            for i in range(self._at + 1, len(self._rungs))
            if info.in_slabs or not self._rungs[i].only_in_slabs
        ]
        if not below:
            raise AxonInputError(
                f"Out of memory in stage {stage} even after every fallback. Close other programs, "
                "leave this stage out, or use a bundle with smaller volumes."
            )
        self._part, self._at = None, below[0]
        _empty_cache()
        message = self._rungs[self._at].message.format(stage=info.label)
        return f"{where} ran out of memory: {message}"


def _empty_cache() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _stopping(model: Model, stage: str, context: RunContext) -> Iterator[None]:
    """Poll for cancellation before every layer, because a step can take a minute."""
    if context.cancelled is None:
        yield
        return

    def check(*_: Any) -> None:
        context.check(f"stage {stage}")

    hooks = [part.register_forward_pre_hook(check) for part in model.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _tidy(model: Model) -> Iterator[None]:
    """On the CPU, return the memory that was freed before and after each network, before each block
    of the second half of a U-Net, and at the end: what a network needs for a moment decides how
    much the process takes at most."""
    if model.device.type != "cpu":
        yield
        return

    def tidy(*_: Any) -> None:
        return_free_memory()

    names = [name for name in model.config.networks if model.has_network(name)]
    networks = [model.network(name) for name in names]
    blocks = [block for network in networks for block in getattr(network, "second_half", ())]
    hooks = [part.register_forward_pre_hook(tidy) for part in (*networks, *blocks)]
    hooks += [network.register_forward_hook(tidy) for network in networks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        return_free_memory()
