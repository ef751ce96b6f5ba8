"""Text descriptions of a training run."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.processes import errorOf
from AXONReconstructionLib.setup.run_times import durationText

_PSNR = "_psnr"


def statusText(status: str, watch) -> str:
    """The status of a run."""
    if status == "failed" and watch.error:
        return _("Failed: {error}").format(error=watch.error)
    if status == "died":
        return _("Stopped unexpectedly; Resume continues from the last checkpoint.\n{log}").format(
            log=watch.explanation()
        )
    return {
        "none": _("No run in this folder yet."),
        "starting": _("Starting: loading PyTorch and the first patients..."),
        "running": _("Training."),
        "stopping": _("Stopping after the current step..."),
        "stopped": _("Stopped. Click Resume to continue."),
        "finished": _("Finished."),
        "failed": _("Failed."),
    }[status]


def numbersText(watch) -> str:
    """Step, speed, remaining time, memory and metrics, as far as known."""
    parts = []
    if watch.step:
        total = f" / {watch.totalSteps}" if watch.totalSteps else ""
        parts.append(_("Step {step}{total}").format(step=watch.step, total=total))
    if watch.active and watch.speed:
        parts.append(_("{speed:.2f} steps/s").format(speed=watch.speed))
    if watch.secondsLeft is not None:
        parts.append(_("{time} left").format(time=durationText(watch.secondsLeft)))
    if watch.active and watch.memoryGb:
        parts.append(_("{memory:.1f} GB").format(memory=watch.memoryGb))
    if watch.device:
        parts.append(_("on {device}").format(device=watch.device))
    lines = [", ".join(parts)] if parts else []
    if watch.metrics:
        lines.append(_("Validation: {metrics}").format(metrics=metricsText(watch)))
    elif watch.step:
        lines.append(_("Not validated yet."))
    if watch.bestStep is not None:
        lines.append(_("Best so far: step {step}").format(step=watch.bestStep))
    return "\n".join(lines)


def metricsText(watch) -> str:
    """The latest validation metrics: PSNR values if there are any."""
    newest = {name: points[-1][1] for name, points in watch.metrics.items() if points}
    psnr = [name for name in newest if name.endswith(_PSNR)]
    if not psnr:
        return ", ".join(f"{name} {newest[name]:.3g}" for name in list(newest)[:3])
    values = [f"{newest[name]:.1f} dB ({_conditionText(name)})" for name in psnr[:3]]
    return _("PSNR {values}").format(values=", ".join(values))


def _conditionText(name: str) -> str:
    """What a PSNR was measured on, of its name in the log, such as ``v2_fine_psnr``."""
    words = {"v1": _("one view"), "v2": _("two views")}
    return ", ".join(words.get(part, part) for part in name.removesuffix(_PSNR).split("_"))


def failureMessage(output: str) -> str:
    """The error message of a failed process."""
    return errorOf(output) or _("The process failed without an error message.")
