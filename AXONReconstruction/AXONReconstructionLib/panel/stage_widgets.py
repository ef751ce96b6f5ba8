"""The widgets of the stages of the selected model's method, made in code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.parameters import MAX_STEPS

BAR_MAXIMUM = 1000


@dataclass(frozen=True)
class StageRow:
    """The widgets of one stage.

    Attributes:
        check: whether to run it; disabled for the first stage, which always runs, and where the
            stage that it needs is skipped.
        steps: number of denoising steps, or None if the stage takes none.
        state, bar: its progress.
    """

    check: Any
    steps: Any
    state: Any
    bar: Any


class StageWidgets:
    """Fills the containers `stagesBox`, `stepsBox` and `progressRows` of the Reconstruct section.

    Args:
        ui: widgets of the section.
        checked: called with a stage's name and whether the user wants it to run.
        stepsChanged: called with a stage's name and the number of steps; 0 is the default.

    Attributes:
        rows: `StageRow` by stage, in the method's order.
    """

    def __init__(self, ui, checked: Callable, stepsChanged: Callable) -> None:
        self._ui, self._checked, self._stepsChanged = ui, checked, stepsChanged
        self._method: Any = None
        self._made: list = []
        self._showing = False
        self.rows: dict[str, StageRow] = {}

    def build(self, method) -> None:
        """Make the widgets of a method (`MethodInfo`, or None for none) if they are another's."""
        if method is self._method:
            return
        self._method = method
        for widget in self._made:
            widget.setParent(None)
            widget.deleteLater()
        self._made, self.rows = [], {}
        for number, stage in enumerate(() if method is None else method.stages):
            self.rows[stage.name] = self._row(number, stage)

    def show(self, run, recommended, steps: dict, defaults: dict) -> None:
        """Show the settings.

        Args:
            run: names of the stages that will be run.
            recommended: names of those that the model recommends; the tooltips of the others say
                why they are left out.
            steps: numbers of steps chosen by the user, by stage.
            defaults: the model's, as far as known.
        """
        self._showing = True
        try:
            for number, (name, row) in enumerate(self.rows.items()):
                row.check.checked = name in run
                tip = self._tip(number, recommended)
                row.check.toolTip = row.state.toolTip = row.bar.toolTip = tip
                needs = self._method.stages[number].needs
                row.check.enabled = number > 0 and (needs is None or needs in run)
                if row.steps is None:
                    continue
                text = _("model default")
                if name in defaults:
                    text = _("model default ({n})").format(n=defaults[name])
                row.steps.specialValueText = text
                row.steps.value = steps.get(name, 0)
                row.steps.enabled = name in run
        finally:
            self._showing = False

    def _tip(self, number: int, recommended=None) -> str:
        """What a stage does and, if it is not among the recommended ones, why."""
        stage = self._method.stages[number]
        tip: str = _("Stage {n}: {description}.").format(
            n=number + 1, description=stage.description or stage.label
        )
        if not recommended or stage.name in recommended:
            return tip
        reason = _(
            "The model's authors recommend stopping after {stage}: this stage adds detail that "
            "the X-rays do not determine, and may measure worse."
        ).format(stage=self._method.stage(recommended[-1]).label)
        return f"{tip} {reason}"

    def _row(self, number: int, stage) -> StageRow:
        ui = self._ui
        stageTip = self._tip(number)
        check = self._add(qt.QCheckBox(stage.label), stageTip)
        check.connect("toggled(bool)", lambda on: self._entered(self._checked, stage.name, on))
        ui.stagesBox.layout().addWidget(check)
        spin = None
        if stage.takes_steps:
            stepsTip = _("Number of denoising steps; more take longer. 0 = model default.")
            label = self._add(qt.QLabel(_("Steps, {stage}:").format(stage=stage.label)), stepsTip)
            spin = self._add(qt.QSpinBox(), stepsTip)
            spin.setRange(0, MAX_STEPS)
            spin.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
            spin.connect(
                "valueChanged(int)",
                lambda value: self._entered(self._stepsChanged, stage.name, value),
            )
            ui.stepsBox.layout().addRow(label, spin)
        grid = ui.progressRows.layout()
        grid.addWidget(self._add(qt.QLabel(stage.label), stageTip), 2 * number, 0)
        state = self._add(qt.QLabel(), stageTip)
        state.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        state.wordWrap = True
        grid.addWidget(state, 2 * number, 1)
        bar = self._add(qt.QProgressBar(), stageTip)
        bar.maximum = BAR_MAXIMUM
        bar.textVisible = False
        bar.setMaximumHeight(12)
        grid.addWidget(bar, 2 * number + 1, 0, 1, 2)
        bar.value = 0
        return StageRow(check, spin, state, bar)

    def _add(self, widget, toolTip: str):
        widget.toolTip = toolTip
        self._made.append(widget)
        return widget

    def _entered(self, callback: Callable, *values) -> None:
        if not self._showing:
            callback(*values)
