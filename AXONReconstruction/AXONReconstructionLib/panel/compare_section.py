"""The Compare section: what the views show, the measures, the X-ray check, saving."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.console import reprojection
from AXONReconstructionLib.panel import metrics_table
from AXONReconstructionLib.panel.save_box import SaveBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.views import display, layout, own_layouts, slices

USUAL, SLICES_ONLY = "usual", "slices"


class CompareSection(Section):
    """Follows the results in the parameter node."""

    uiFile = "Compare.ui"
    container = "compareSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.result = None
        self._told: tuple = ()
        self._what = "reconstruction"
        self._record = ""
        ui = self.ui
        own_layouts.register()
        metrics_table.prepare(ui.metricsTable)
        for combo, choices in (
            (ui.viewsCombo, ((_("3D and slices"), USUAL), (_("Slices side by side"), SLICES_ONLY))),
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

    # Following the panel

    def parameterNodeChanged(self, node) -> None:
        """Follow the results; cheap when they are the same."""
        told = None if node is None else _concerns(node)
        if told == self._told:
            return
        self._told = told
        self._follow(node)

    def busyChanged(self, busy: bool) -> None:
        """A computation started or ended."""
        self.saveBox.update()

    def sceneClosing(self) -> None:
        """Forget every node."""
        self.saveBox.forget()
        self._told = ()
        self._what = "reconstruction"
        self._follow(None)

    def cleanup(self) -> None:
        """Stop what is being written."""
        self.saveBox.cleanup()

    # What the user does

    def onShow(self, *_unused) -> None:
        """Divide the screen and show the result."""
        node = self.parameterNode
        self.ui.fadeSlider.value = 0
        if _value(self.ui.viewsCombo) == SLICES_ONLY:
            display.showSlicesSideBySide(self.result, node.shownStage)
        else:
            display.showComparison(self.result, node.shownStage, node.preset, node.linkCameras)
        self._showSlices()

    def onLeave(self) -> None:
        """Back to the views from before."""
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
        """Draw both volumes otherwise."""
        self.parameterNode.preset = self.ui.presetCombo.itemData(index)
        if layout.shownLayout() in layout.LAYOUTS:
            display.showVolumes(
                self.result, self.parameterNode.shownStage, self.parameterNode.preset
            )

    def onSlices(self, index: int) -> None:
        """Show something else in the slice views."""
        before, self._what = self._what, self.ui.slicesCombo.itemData(index)
        # Else a real CT faded over the result stays there when the user comes back to it.
        if before != self._what:
            self.ui.fadeSlider.value = 0
        self._showSlices()
        if before == "xray" and layout.shownLayout() in layout.LAYOUTS:
            slices.lookThrough(display.volumeOf(self.result, self.parameterNode.shownStage))

    def onFade(self, percent: float) -> None:
        """Fade between the two layers."""
        slices.setForegroundOpacity(percent / 100)

    def onFront(self) -> None:
        """Look from the front again."""
        display.lookFromFront(self.result, self.parameterNode.shownStage)

    # What is shown

    def _follow(self, node) -> None:
        ui = self.ui
        self.result = None if node is None else display.resultOf(node)
        has = self.result is not None and bool(self.result.volumes)
        ui.nothingLabel.visible = not has
        ui.compareBox.visible = has
        if not has:
            return
        result = self.result
        if node.record != self._record:  # a new run, which has put its volumes on the screen
            self._record = node.record
            self._what = "reconstruction"
            ui.viewsCombo.currentIndex = 0
            ui.fadeSlider.value = 0
        _fill(ui.stageCombo, [(display.stageName(s), s) for s in result.volumes])
        _choose(ui.stageCombo, node.shownStage, last=True)
        _choose(ui.presetCombo, node.preset)
        choices = [(_("Reconstruction"), "reconstruction")]
        if result.truth is not None:
            choices[0] = (_("Reconstruction and real CT"), "reconstruction")
        if result.difference is not None:
            choices.append((_("Difference to the real CT"), "difference"))
        if result.deviation is not None:
            choices.append((_("Where the samples disagree"), "deviation"))
        choices.append((_("X-ray check"), "xray"))
        _fill(ui.slicesCombo, choices)
        _choose(ui.slicesCombo, self._what)
        self._what = _value(ui.slicesCombo)
        ui.viewsCombo.enabled = result.truth is not None
        if result.truth is None:
            ui.viewsCombo.currentIndex = 0
        ui.metricsBox.visible = bool(result.record.get("metrics"))
        metrics_table.fill(ui.metricsTable, ui.metricsNote, result.record)
        self.saveBox.say("")
        self.saveBox.update()
        self._explainSlices()

    def _showVolumes(self) -> None:
        if layout.shownLayout() in layout.LAYOUTS:
            node = self.parameterNode
            display.showVolumes(self.result, node.shownStage, node.preset)

    def _showSlices(self) -> None:
        if layout.shownLayout() not in layout.LAYOUTS:
            self._explainSlices()
            return
        stage, opacity = self.parameterNode.shownStage, self.ui.fadeSlider.value / 100
        if self._what == "xray":
            self._startCheck(display.volumeOf(self.result, stage))
        else:
            display.showSlices(self.result, stage, self._what, opacity)
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
        if self._what != "xray" or self.result is None:  # something else was chosen meanwhile
            return
        if volume not in self.result.volumes.values():  # deleted, or of another run
            return
        if found and layout.shownLayout() in layout.LAYOUTS:
            display.showCheck(found, volume, self.ui.fadeSlider.value / 100)
        self._explainSlices(found)

    def _explainSlices(self, found: dict | None = None) -> None:
        ui, what = self.ui, self._what
        hasCT = self.result is not None and self.result.truth is not None
        fades = what == "xray" or (what == "reconstruction" and hasCT)
        ui.fadeLabel.visible = ui.fadeSlider.visible = fades
        ui.fadeLabel.text = _("Fade to result:") if what == "xray" else _("Fade to real CT:")
        text = ""
        if what == "difference":
            text = _(
                "Last stage minus real CT. Blue: less dense than the CT. Red: denser. White: the "
                "same. Full colour from {hu:.0f} HU."
            ).format(hu=slices.DIFFERENCE_HU)
        elif what == "deviation":
            text = _(
                "The brighter, the more the samples disagree there; brightest from a standard "
                "deviation of {hu:.0f} HU."
            ).format(hu=slices.brightestDeviation(self.result.deviation))
        elif what == "xray" and found is None:
            text = _("The X-ray, and over it what the result would look like on an X-ray.")
        elif what == "xray":
            names = {"frontal": _("frontal"), "lateral": _("lateral")}
            parts = [
                _("{name} {value:.2f}").format(name=names[role], value=pair.agreement)
                for role, pair in found.items()
            ]
            text = _("No X-ray of this result is in the scene any more.")
            if parts:
                text = _("Agreement with the X-ray: {parts} (1 is perfect).").format(
                    parts=", ".join(parts)
                )
        ui.legendLabel.text = text
        ui.legendLabel.visible = bool(text)


def _concerns(node) -> tuple:
    names = [f"{stage}Volume" for stage in display.STAGES]
    names += ["deviationVolume", "truthVolume", "differenceVolume", "metricsTable"]
    held = [getattr(node, name) for name in names]
    return (
        *(None if n is None else n.GetID() for n in held),
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
