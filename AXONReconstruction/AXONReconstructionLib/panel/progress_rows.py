"""One progress bar for each stage, with its state in text."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

from AXONReconstructionLib.setup.run_times import durationText

STAGES = ("coarse", "fine", "sr")
_LABEL = re.compile(r"^(\w+)(?: \((\d+) of (\d+)\))?$")


class ProgressRows:
    """Drives the bars `<stage>Bar`, the text `<stage>State` and the line `prepareState`.

    Args:
        ui: of the Reconstruct section.
    """

    def __init__(self, ui) -> None:
        self._ui = ui
        self._stages: tuple[str, ...] = ()
        self._running = ""
        self.reset()

    def reset(self) -> None:
        """Empty bars."""
        self._stages, self._running = (), ""
        self._showPreparation("")
        for stage in STAGES:
            self._show(stage, 0.0, "")

    def start(self, stages) -> None:
        """A run of these stages begins."""
        self._stages, self._running = tuple(stages), ""
        self._showPreparation(_("Starting"))
        for stage in STAGES:
            self._show(stage, 0.0, _("waiting") if stage in stages else _("not asked for"))

    def report(self, stage: str, step: int, total: int, secondsLeft=None) -> None:
        """Take a progress message of the logic."""
        match = _LABEL.match(stage)
        name = match.group(1) if match else stage
        if name not in STAGES:
            self._showPreparation(_preparationText(name, step, total))
            return
        self._showPreparation("")
        self._running = name
        sample, samples = int(match.group(2) or 1), int(match.group(3) or 1)
        total = max(total, 1)
        fraction = (sample - 1 + min(step, total) / total) / samples
        text = [_("sample {k} of {n}").format(k=sample, n=samples)] if samples > 1 else []
        if total > 1:
            text.append(_("step {k} of {n}").format(k=min(step + 1, total), n=total))
        if secondsLeft is not None and step < total:
            text.append(_("{time} left").format(time=durationText(secondsLeft)))
        self._show(name, fraction, ", ".join(text) or _("running"))

    def stageFinished(self, stage: str) -> None:
        """A stage has ended well."""
        self._show(stage, 1.0, _("done"))
        if self._running == stage:
            self._running = ""

    def finish(self, record: dict) -> None:
        """The run has ended; `record` says how long each stage took."""
        self._showPreparation("")
        done = {stage["name"]: stage["seconds"] for stage in record.get("stages", ())}
        for stage in STAGES:
            if stage in done:
                time = durationText(float(done[stage]))
                self._show(stage, 1.0, _("done in {time}").format(time=time))
            elif stage in self._stages:
                self._show(stage, 0.0, _("stopped"))

    def stop(self, text: str) -> None:
        """The run ended early: what was not done yet shows `text`."""
        self._showPreparation("")
        for stage in self._stages:
            state = getattr(self._ui, f"{stage}State")
            bar = getattr(self._ui, f"{stage}Bar")
            if bar.value < bar.maximum:
                state.text = text
        self._running = ""

    def _show(self, stage: str, fraction: float, text: str) -> None:
        bar = getattr(self._ui, f"{stage}Bar")
        bar.value = round(max(0.0, min(1.0, fraction)) * bar.maximum)
        getattr(self._ui, f"{stage}State").text = text

    def _showPreparation(self, text: str) -> None:
        self._ui.prepareState.text = text
        self._ui.prepareState.visible = bool(text)


def _preparationText(name: str, step: int, total: int) -> str:
    known = {
        "read": _("Reading the images and the model"),
        "register": _("Aligning the X-rays"),
    }
    # Anything else is a sentence for the user, for example that the GPU's memory is full.
    return known.get(name, name[:1].upper() + name[1:])
