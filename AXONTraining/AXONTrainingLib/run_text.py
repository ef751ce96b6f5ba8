"""Text descriptions of a training run."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.jobs.processes import errorOf
from AXONReconstructionLib.setup.run_times import durationText


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
    """The latest validation metrics: PSNR values (dB) if there are any."""
    newest = {name: points[-1][1] for name, points in watch.metrics.items() if points}
    names = [n for n in newest if "psnr" in n] or list(newest)
    return ", ".join(f"{name} {newest[name]:.3g}" for name in names[:3])


def failureMessage(output: str) -> str:
    """The error message of a failed process."""
    return errorOf(output) or _("The process failed without an error message.")
