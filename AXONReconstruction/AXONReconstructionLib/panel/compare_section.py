"""The Compare section: display options, metrics, X-ray check, saving."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from AXONReconstructionLib.console import reprojection
from AXONReconstructionLib.panel import metrics_table
from AXONReconstructionLib.panel.save_box import SaveBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.setup.methods import stageLabel
from AXONReconstructionLib.views import display, layout, own_layouts, slices

COMPARISON, SLICES_ONLY = "usual", "slices"


class CompareSection(Section):
    """Shows the results in the parameter node."""

    uiFile = "Compare.ui"
    container = "compareSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.result: Any = None  # `ReconstructionResult`, or None without a parameter node
        self._lastState: tuple | None = ()
        self._content = "reconstruction"
        self._record = ""
        ui = self.ui
        own_layouts.register()
        metrics_table.prepare(ui.metricsTable)
        for combo, choices in (
            (
                ui.viewsCombo,
                ((_("3D and slices"), COMPARISON), (_("Slices side by side"), SLICES_ONLY)),
            ),
            (
                ui.presetCombo,
                (
                    (_("Lungs"), "lung"),
                    (_("Bones"), "bone"),
                    (_("Soft tissue"), "soft"),
                    (_("As an X-ray"), "xray"),
                ),
            ),
        ):
            for text, value in choices:
                combo.addItem(text, value)
        ui.viewsCombo.connect("activated(int)", self.onShow)
        ui.stageCombo.connect("activated(int)", self.onStage)
        ui.presetCombo.connect("activated(int)", self.onPreset)
        ui.slicesCombo.connect("activated(int)", self.onSlices)
        ui.fadeSlider.connect("valueChanged(double)", self.onFade)
        ui.showButton.connect("clicked()", self.onShow)
        ui.leaveButton.connect("clicked()", self.onLeave)
        ui.frontButton.connect("clicked()", self.onFront)
        ui.linkCameras.connect("toggled(bool)", layout.linkCameras)
        self.saveBox = SaveBox(self)
        self._follow(None)

    # Updates from the panel

    def parameterNodeChanged(self, node) -> None:
        """Update if the results changed."""
        state = None if node is None else _relevantState(node)
        if state == self._lastState:
            return
        self._lastState = state
        self._follow(node)

    def busyChanged(self, busy: bool) -> None:
        """Update the save button when a computation starts or ends."""
        self.saveBox.update()

    def sceneClosing(self) -> None:
        """Release all nodes."""
        self.saveBox.forget()
        self._lastState = ()
        self._content = "reconstruction"
        self._follow(None)

    def cleanup(self) -> None:
        """Cancel saving."""
        self.saveBox.cleanup()

    # User actions

    def onShow(self, *_unused) -> None:
        """Switch to the comparison layout and show the result."""
        node = self.parameterNode
        self.ui.fadeSlider.value = 0
        if _value(self.ui.viewsCombo) == SLICES_ONLY:
            display.showSlicesSideBySide(self.result, node.shownStage)
        else:
            display.showComparison(self.result, node.shownStage, node.preset, node.linkCameras)
        self._showSlices()

    def onLeave(self) -> None:
        """Restore the previous layout."""
        layout.leaveLayout()

    def onStage(self, index: int) -> None:
        """Show another stage."""
        self.parameterNode.shownStage = self.ui.stageCombo.itemData(index)
        if layout.shownLayout() in layout.LAYOUTS:
            display.showVolumes(
                self.result, self.parameterNode.shownStage, self.parameterNode.preset
            )
            self._showSlices()

    def onPreset(self, index: int) -> None:
        """Change the volume rendering preset of both volumes."""
        self.parameterNode.preset = self.ui.presetCombo.itemData(index)
        if layout.shownLayout() in layout.LAYOUTS:
            display.showVolumes(
                self.result, self.parameterNode.shownStage, self.parameterNode.preset
            )

    def onSlices(self, index: int) -> None:
        """Change the content of the slice views."""
        before, self._content = self._content, self.ui.slicesCombo.itemData(index)
        # Otherwise the ground truth would still cover the result when switching back to it.
        if before != self._content:
            self.ui.fadeSlider.value = 0
        self._showSlices()
        if before == "xray" and layout.shownLayout() in layout.LAYOUTS:
            slices.fitViews(display.volumeOf(self.result, self.parameterNode.shownStage))

    def onFade(self, percent: float) -> None:
        """Set the opacity of the foreground layer."""
        slices.setForegroundOpacity(percent / 100)

    def onFront(self) -> None:
        """Reset the 3D views to anterior."""
        display.setAnteriorView(self.result, self.parameterNode.shownStage)

    # Display

    def _follow(self, node) -> None:
        ui = self.ui
        self.result = None if node is None else display.resultOf(node)
        has = self.result is not None and bool(self.result.volumes)
        ui.nothingLabel.visible = not has
        ui.compareBox.visible = has
        if not has:
            return
        result = self.result
        if node.record != self._record:  # a new run, which has already shown its volumes
            self._record = node.record
            self._content = "reconstruction"
            ui.viewsCombo.currentIndex = 0
            ui.fadeSlider.value = 0
        _fill(ui.stageCombo, [(stageLabel(result.record, s), s) for s in result.volumes])
        _choose(ui.stageCombo, node.shownStage, last=True)
        _choose(ui.presetCombo, node.preset)
        choices = [(_("Reconstruction"), "reconstruction")]
        if result.truth is not None:
            choices[0] = (_("Reconstruction and ground truth"), "reconstruction")
        if result.difference is not None:
            choices.append((_("Difference from ground truth"), "difference"))
        if result.deviation is not None:
            choices.append((_("Standard deviation of samples"), "deviation"))
        choices.append((_("X-ray check"), "xray"))
        _fill(ui.slicesCombo, choices)
        _choose(ui.slicesCombo, self._content)
        self._content = _value(ui.slicesCombo)
        ui.viewsCombo.enabled = result.truth is not None
        if result.truth is None:
            ui.viewsCombo.currentIndex = 0
        ui.metricsBox.visible = bool(result.record.get("metrics"))
        metrics_table.fill(ui.metricsTable, ui.metricsNote, result.record)
        self.saveBox.showStatus("")
        self.saveBox.update()
        self._explainSlices()

    def _showSlices(self) -> None:
        if layout.shownLayout() not in layout.LAYOUTS:
            self._explainSlices()
            return
        stage, opacity = self.parameterNode.shownStage, self.ui.fadeSlider.value / 100
        if self._content == "xray":
            self._startCheck(display.volumeOf(self.result, stage))
        else:
            display.showSlices(self.result, stage, self._content, opacity)
        self._explainSlices()

    def _startCheck(self, volume) -> None:
        node = self.parameterNode
        try:
            reprojection.check(
                self.logic.tasks,
                self.result,
                volume,
                {"frontal": node.frontal, "lateral": node.lateral},
                onFinished=lambda found: self._checked(found, volume),
                onError=self.panel.reportError,
            )
        except Exception as error:
            self.panel.reportError(error)

    def _checked(self, found: dict, volume) -> None:
        if self._content != "xray" or self.result is None:  # the selection has changed
            return
        if volume not in self.result.volumes.values():  # deleted, or from another run
            return
        if found and layout.shownLayout() in layout.LAYOUTS:
            display.showCheck(found, volume, self.ui.fadeSlider.value / 100)
        self._explainSlices(found)

    def _explainSlices(self, found: dict | None = None) -> None:
        ui, content = self.ui, self._content
        hasCT = self.result is not None and self.result.truth is not None
        fades = content == "xray" or (content == "reconstruction" and hasCT)
        ui.fadeLabel.visible = ui.fadeSlider.visible = fades
        ui.fadeLabel.text = _("Fade to DRR:") if content == "xray" else _("Fade to ground truth:")
        text = ""
        if content == "difference":
            text = _(
                "Last stage minus ground truth. Blue: less dense than the ground truth. Red: "
                "denser. White: equal. Saturated at {hu:.0f} HU."
            ).format(hu=slices.DIFFERENCE_HU)
        elif content == "deviation":
            text = _(
                "Standard deviation over the samples; brightest at {hu:.0f} HU and above."
            ).format(hu=slices.brightestStandardDeviation(self.result.deviation))
        elif content == "xray" and found is None:
            text = _("The X-ray with a DRR of the result as overlay.")
        elif content == "xray":
            names = {"frontal": _("frontal"), "lateral": _("lateral")}
            parts = [
                _("{name} {value:.2f}").format(name=names[role], value=pair.agreement)
                for role, pair in (found or {}).items()
            ]
            text = _("The X-rays of this result are no longer in the scene.")
            if parts:
                text = _("Agreement with the X-ray: {parts} (1 is perfect).").format(
                    parts=", ".join(parts)
                )
        ui.legendLabel.text = text
        ui.legendLabel.visible = bool(text)


def _relevantState(node) -> tuple:
    names = ("deviationVolume", "truthVolume", "differenceVolume", "metricsTable")
    nodes = [*node.volumes.values(), *(getattr(node, name) for name in names)]
    return (
        *node.volumes,
        *(None if n is None else n.GetID() for n in nodes),
        node.record,
        node.shownStage,
        node.preset,
    )


def _value(combo):
    return combo.itemData(combo.currentIndex)


def _fill(combo, choices) -> None:
    combo.clear()
    for text, value in choices:
        combo.addItem(text, value)


def _choose(combo, value, last: bool = False) -> None:
    index = combo.findData(value)
    combo.currentIndex = index if index >= 0 else (combo.count - 1 if last else 0)
