"""What a training does, in the user's words."""

from __future__ import annotations

from slicer.i18n import tr as _


def statusText(status: str, watch) -> str:
    """One sentence."""
    if status == "failed" and watch.error:
        return _("Failed: {error}").format(error=watch.error)
    if status == "died":
        return _("Stopped unexpectedly; Resume goes on from the last checkpoint.\n{words}").format(
            words=watch.explanation()
        )
    return {
        "none": _("No training in this folder yet."),
        "starting": _("Starting: PyTorch is loaded, the first patients are drawn..."),
        "running": _("Training."),
        "stopping": _("Stopping after this step..."),
        "stopped": _("Stopped. Resume goes on where it was."),
        "finished": _("Finished."),
        "failed": _("Failed."),
    }[status]


def numbersText(watch) -> str:
    """Step, pace, time left, memory, figures; only what is known."""
    parts = []
    if watch.step:
        total = f" / {watch.totalSteps}" if watch.totalSteps else ""
        parts.append(_("Step {step}{total}").format(step=watch.step, total=total))
    if watch.active and watch.speed:
        parts.append(_("{speed:.2f} steps a second").format(speed=watch.speed))
    if watch.secondsLeft is not None:
        parts.append(_("{time} left").format(time=timeText(watch.secondsLeft)))
    if watch.active and watch.memoryGb:
        parts.append(_("{memory:.1f} GB").format(memory=watch.memoryGb))
    if watch.device:
        parts.append(_("on {device}").format(device=watch.device))
    lines = [", ".join(parts)] if parts else []
    if watch.metrics:
        lines.append(_("Validation: {figures}").format(figures=metricsText(watch)))
    if watch.bestStep is not None:
        lines.append(_("Best so far: step {step}").format(step=watch.bestStep))
    return "\n".join(lines)


def metricsText(watch) -> str:
    """The newest figures of the validation, the decibels first."""
    newest = {name: points[-1][1] for name, points in watch.metrics.items() if points}
    names = [n for n in newest if "psnr" in n] or list(newest)
    return ", ".join(f"{name} {newest[name]:.3g}" for name in names[:3])


def timeText(seconds: float) -> str:
    """A duration as a person says it."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return _("less than a minute")
    if minutes < 90:
        return _("{n} min").format(n=minutes)
    return _("{h} h {m} min").format(h=minutes // 60, m=minutes % 60)


def failureMessage(words: str) -> str:
    """What a program that failed said last, without its own name."""
    lines = [line for line in words.splitlines() if line.strip()]
    return lines[-1].removeprefix("axon: ") if lines else _("It failed and said nothing.")
