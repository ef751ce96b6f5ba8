"""The Compare section: which results are side by side, display options, metrics, X-ray check,
saving."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.console import comparing, reprojection
from AXONReconstructionLib.panel import metrics_table, slices_text
from AXONReconstructionLib.panel.results_box import ResultsBox, fill, value
from AXONReconstructionLib.panel.save_box import SaveBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.panel.segment_box import SegmentBox
from AXONReconstructionLib.scene import samples, stored_results
from AXONReconstructionLib.setup.methods import stageLabel
from AXONReconstructionLib.views import display, layout, own_layouts, slices

COMPARISON, SLICES_ONLY = "usual", "slices"


class CompareSection(Section):
    """Shows the result in the parameter node, beside the CT or another result of the scene.

    Attributes:
        result: `ReconstructionResult`, or None without a parameter node.
    """

    uiFile = "Compare.ui"
    container = "compareSection"

    def __init__(self, panel) -> None:
        Section.__init__(self, panel)
        self.result: Any = None
        self._lastState: tuple | None = ()
        self._content = "reconstruction"
        self._record = ""
        self._comparison: Any = None  # the last one that was computed
        ui = self.ui
        own_layouts.register()
        metrics_table.prepare(ui.metricsTable)
        fill(
            ui.viewsCombo,
            ((_("3D and slices"), COMPARISON), (_("Slices side by side"), SLICES_ONLY)),
            COMPARISON,
        )
        presets = (
            (_("Lungs"), "lung"),
            (_("Bones"), "bone"),
            (_("Soft tissue"), "soft"),
            (_("As an X-ray"), "xray"),
        )
        fill(ui.presetCombo, presets, "lung")
        ui.viewsCombo.connect("activated(int)", self.onShow)
        ui.stageCombo.connect("activated(int)", self.onStage)
        ui.presetCombo.connect("activated(int)", self.onPreset)
        ui.slicesCombo.connect("activated(int)", self.onSlices)
        ui.sampleSlider.connect("valueChanged(double)", self.onSample)
        ui.fadeSlider.connect("valueChanged(double)", self.onFade)
        ui.showButton.connect("clicked()", self.onShow)
        self.results = ResultsBox(self, self.onResult)
        self.segmentBox = SegmentBox(self)
        self.saveBox = SaveBox(self)
        scene = slicer.mrmlScene
        panel.addObserver(scene, scene.NodeRemovedEvent, self._nodeRemoved)
        self._follow(None)

    @property
    def stage(self) -> str:
        """The shown stage: the one that the user chose, or the recommended one."""
        chosen = "" if self.parameterNode is None else self.parameterNode.shownStage
        return chosen if chosen in self.result.volumes else self.result.recommendedStage

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

    def entered(self) -> None:
        """Update, as a script may have made results."""
        self.parameterNodeChanged(self.parameterNode)

    def sceneClosing(self) -> None:
        """Release all nodes."""
        self.saveBox.forget()
        self._lastState = ()
        self._content = "reconstruction"
        self._comparison = None
        self._follow(None)

    def cleanup(self) -> None:
        """Cancel saving."""
        self.saveBox.cleanup()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeRemoved(self, scene, _event, node) -> None:
        """Update the lists when the user deletes a result."""
        if scene.IsClosing() or self.parameterNode is None or node is None:
            return
        if node.IsA("vtkMRMLScalarVolumeNode") and node.GetAttribute("AXON.Stage"):
            self._lastState = ()
            self.parameterNodeChanged(self.parameterNode)

    # User actions

    def onShow(self, *_unused) -> None:
        """Switch to the comparison layout and show the result."""
        self.ui.fadeSlider.value = 0
        if value(self.ui.viewsCombo) == SLICES_ONLY:
            display.showSlicesSideBySide(self.result, self.stage, self.results.side)
        else:
            display.showComparison(
                self.result,
                self.stage,
                self.parameterNode.preset,
                self.results.side,
                self._title,
            )
        self._showSlices()

    def onResult(self) -> None:
        """Show another result, or another one beside it."""
        self._follow(self.parameterNode)
        if self._isShown:
            self.onShow()
        else:
            self._compare()

    def onStage(self, index: int) -> None:
        """Show another stage."""
        self.parameterNode.shownStage = self.ui.stageCombo.itemData(index)
        self._showVolumes()
        self._showSlices()

    def onPreset(self, index: int) -> None:
        """Change the volume rendering preset of both volumes."""
        self.parameterNode.preset = self.ui.presetCombo.itemData(index)
        self._showVolumes()

    def onSlices(self, index: int) -> None:
        """Change the content of the slice views."""
        before, self._content = self._content, self.ui.slicesCombo.itemData(index)
        # Otherwise the CT would still cover the result when switching back to it.
        if before != self._content:
            self.ui.fadeSlider.value = 0
        self._showSlices()
        if before == "xray" and self._isShown:
            slices.fitViews(display.volumeOf(self.result, self.stage))

    def onSample(self, _number: float) -> None:
        """Show another sample."""
        if self._content == "sample":
            self._showSlices()

    def onFade(self, percent: float) -> None:
        """Set the opacity of the foreground layer."""
        slices.setForegroundOpacity(percent / 100)

    # Display

    @property
    def _isShown(self) -> bool:
        return own_layouts.shownLayout() in layout.LAYOUTS

    @property
    def _title(self) -> str:
        """Title of the 3D view, where it must tell the result from another one."""
        return "" if self.results.other is None else self.results.title

    def _follow(self, node) -> None:
        ui = self.ui
        self.result = None if node is None else display.resultOf(node)
        has = self.result is not None and bool(self.result.volumes)
        ui.nothingLabel.visible = not has
        ui.compareBox.visible = has
        if not has:
            return
        result = self.result
        if node.record != self._record:  # another run
            self._record = node.record
            self._content = "reconstruction"
            ui.fadeSlider.value = 0
        self.results.refresh()
        hasSide = self.results.side is not None
        fill(
            ui.stageCombo,
            [(stageLabel(result.record, s), s) for s in result.volumes],
            self.stage,
        )
        fill(ui.presetCombo, _entries(ui.presetCombo), node.preset)
        fill(ui.slicesCombo, slices_text.contents(result, self.results.other), self._content)
        self._content = value(ui.slicesCombo)
        ui.sampleSlider.maximum = max(1, samples.count(result.samples))
        ui.viewsCombo.enabled = hasSide
        if not hasSide:
            ui.viewsCombo.currentIndex = 0
        self._fillMetrics()
        self.segmentBox.show("")
        self.saveBox.showStatus("")
        self.saveBox.update()
        self._explainSlices()

    def _showVolumes(self) -> None:
        if self._isShown:
            display.showVolumes(
                self.result,
                self.stage,
                self.parameterNode.preset,
                self.results.side,
                self._title,
            )

    def _showSlices(self) -> None:
        content, volume = self._content, display.volumeOf(self.result, self.stage)
        self._compare()
        if self._isShown and content == "xray":
            self._startCheck(volume)
        elif self._isShown:
            display.showSlices(
                self.result,
                self.stage,
                content,
                self.ui.fadeSlider.value / 100,
                self.results.side,
                self._shownNode(),
            )
        self._explainSlices()

    def _shownNode(self):
        """The node of the slices' content, if it is not the reconstruction."""
        if self._content == "deviation":
            return self.result.deviation
        if self._content == "sample":
            return samples.show(self.result.samples, int(self.ui.sampleSlider.value))
        if self._content == "difference":
            stored = self._storedDifference()
            return self._comparison.difference if stored is None and self._isCompared() else stored
        return None

    def _storedDifference(self):
        """The difference from the CT that came with the result, if it is the one asked for."""
        last = self.results.other is None and self.stage == self.result.finalStage
        return self.result.difference if last else None

    # Difference and measures

    def _compare(self) -> None:
        """Compute the difference and the measures, if they are shown and not known yet."""
        side = self.results.side
        difference = self._content == "difference" and self._storedDifference() is None
        wanted = difference or self.results.other is not None
        if side is None or not wanted or self._isCompared():
            return
        try:
            comparing.compare(
                self.logic.tasks,
                display.volumeOf(self.result, self.stage),
                side.volume,
                self.result.record.get("hu_window"),
                onFinished=self._compared,
                onError=self.panel.reportError,
                onCancelled=lambda _nothing=None: None,
            )
        except Exception as error:
            self.panel.reportError(error)

    def _isCompared(self) -> bool:
        """Whether the last comparison is that of the shown volumes."""
        found, side = self._comparison, self.results.side
        return (
            found is not None
            and side is not None
            and found.volume is display.volumeOf(self.result, self.stage)
            and found.other is side.volume
            and found.difference.GetScene() is not None
        )

    def _compared(self, found) -> None:
        self._comparison = found
        if self.result is None or not self._isCompared():  # the selection has changed
            return
        self._fillMetrics()
        if self._content == "difference":
            self._showSlices()

    def _fillMetrics(self) -> None:
        ui, result, other = self.ui, self.result, self.results.other
        window = metrics_table.windowOf(result.record)
        columns, compared = metrics_table.columnsOf(result.record), None
        note = metrics_table.noteOf(result)
        if other is not None:
            columns, compared = {}, [_("A"), _("B")]
            for title, found, stage in (
                (_("A"), result, self.stage),
                (_("B"), other, self.results.otherStage),
            ):
                columns[title] = (found.record.get("metrics") or {}).get(stage, {})
            columns[_("A with B")] = self._comparison.metrics if self._isCompared() else {}
            note = _("A and B: each against the CT; bold: the better one. A with B: A against B.")
        ui.metricsBox.visible = any(columns.values())
        metrics_table.fill(ui.metricsTable, columns, window, compared)
        ui.metricsNote.text = note

    # X-ray check

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
        if found and self._isShown:
            display.showCheck(found, volume, self.ui.fadeSlider.value / 100)
        self._explainSlices(found)

    def _explainSlices(self, found: dict | None = None) -> None:
        ui, content, other = self.ui, self._content, self.results.other
        fades = content == "xray" or (
            content in ("reconstruction", "sample") and self.results.side is not None
        )
        for widget in (ui.fadeLabel, ui.fadeSlider):
            widget.visible = fades
        for widget in (ui.sampleLabel, ui.sampleSlider):
            widget.visible = content == "sample"
        ui.fadeLabel.text = slices_text.fadeText(content, other)
        ui.legendLabel.text = slices_text.legend(content, self.result, other, found)
        ui.legendLabel.visible = bool(ui.legendLabel.text)


def _relevantState(node) -> tuple:
    shown = [*node.volumes.values(), *(node.getValue(name) for name in stored_results.NODES)]
    return (
        *node.volumes,
        *(None if n is None else n.GetID() for n in (*shown, node.comparedResult)),
        *((each.GetID(), each.GetName()) for each in stored_results.nodes()),
        node.record,
        node.shownStage,
        node.preset,
    )


def _entries(combo) -> list:
    return [(combo.itemText(index), combo.itemData(index)) for index in range(combo.count)]
