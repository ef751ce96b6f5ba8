"""One progress bar with a status text per stage."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

from AXONReconstructionLib.setup.run_times import durationText

_LABEL = re.compile(r"^(\w+)(?: \((\d+) of (\d+)\))?$")


class ProgressRows:
    """Updates the bars and states of the stages, and the label above them.

    Args:
        prepareState: the label.
        widgets: `StageWidgets`, whose `rows` may be rebuilt between two runs.
    """

    def __init__(self, prepareState, widgets) -> None:
        self._prepareState, self._widgets = prepareState, widgets
        self._stages: tuple[str, ...] = ()
        self._running = ""
        self.reset()

    def reset(self) -> None:
        """Reset all bars."""
        self._stages, self._running = (), ""
        self._showPreparation("")
        for stage in self._widgets.rows:
            self._show(stage, 0.0, "")

    def start(self, stages) -> None:
        """Start a run of these stages."""
        self._stages, self._running = tuple(stages), ""
        self._showPreparation(_("Starting"))
        for stage in self._widgets.rows:
            self._show(stage, 0.0, _("waiting") if stage in stages else _("skipped"))

    def report(self, stage: str, step: int, total: int, secondsLeft=None) -> None:
        """Show a progress report of the logic."""
        match = _LABEL.match(stage)
        name = match.group(1) if match else stage
        if match is None or name not in self._widgets.rows:
            self._showPreparation(_preparationText(name, step, total))
            return
        self._showPreparation("")
        self._running = name
        sample, samples = int(match.group(2) or 1), int(match.group(3) or 1)
        total = max(total, 1)
        fraction = (sample - 1 + min(step, total) / total) / samples
        parts = [_("sample {k} of {n}").format(k=sample, n=samples)] if samples > 1 else []
        if total > 1:
            # The reports count passes of the network, which are more than denoising steps where
            # a stage averages several predictions.
            parts.append(_("{percent} %").format(percent=100 * min(step, total) // total))
        if secondsLeft is not None and step < total:
            parts.append(_("{time} left").format(time=durationText(secondsLeft)))
        self._show(name, fraction, ", ".join(parts) or _("running"))

    def stageFinished(self, stage: str) -> None:
        """Mark a stage as finished."""
        self._show(stage, 1.0, _("done"))
        if self._running == stage:
            self._running = ""

    def finish(self, record: dict) -> None:
        """Finish a run; `record` contains the duration of each stage."""
        self._showPreparation("")
        done = {stage["name"]: stage["seconds"] for stage in record.get("stages", ())}
        for stage in self._widgets.rows:
            if stage in done:
                time = durationText(float(done[stage]))
                self._show(stage, 1.0, _("done in {time}").format(time=time))
            elif stage in self._stages:
                self._show(stage, 0.0, _("cancelled"))

    def stop(self, text: str) -> None:
        """End a run early; unfinished stages show `text`."""
        self._showPreparation("")
        for stage in self._stages:
            row = self._widgets.rows[stage]
            if row.bar.value < row.bar.maximum:
                row.state.text = text
        self._running = ""

    def _show(self, stage: str, fraction: float, text: str) -> None:
        row = self._widgets.rows[stage]
        row.bar.value = round(max(0.0, min(1.0, fraction)) * row.bar.maximum)
        row.state.text = text

    def _showPreparation(self, text: str) -> None:
        self._prepareState.text = text
        self._prepareState.visible = bool(text)


def _preparationText(name: str, step: int, total: int) -> str:
    known = {
        "read": _("Loading the images and the model"),
        "register": _("Registering the X-rays"),
    }
    # Anything else is a message, for example that the GPU is out of memory.
    return known.get(name, name[:1].upper() + name[1:])
