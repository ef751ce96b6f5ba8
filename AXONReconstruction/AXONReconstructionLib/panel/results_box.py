"""The lists of results in the Compare section: which one is shown (A), and what beside it (B)."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import stored_results
from AXONReconstructionLib.views.display import Side, besides, titleOf, volumeOf

CT = "ct"


class ResultsBox:
    """Two combo boxes; the choice is stored in the parameter node.

    Args:
        section: the Compare section, which provides `ui`, `parameterNode` and `result`.
        changed: called when the user chose another result, or another one beside it.
    """

    def __init__(self, section, changed) -> None:
        self._section, self._ui, self._changed = section, section.ui, changed
        combos = (self._ui.resultCombo, self._ui.otherCombo)
        self._tips = [(combo, combo.toolTip) for combo in combos]
        self._ui.resultCombo.connect("activated(int)", self._resultChosen)
        self._ui.otherCombo.connect("activated(int)", self._otherChosen)

    def refresh(self) -> None:
        """Fill the lists from the scene."""
        ui, result, node = self._ui, self._section.result, self._section.parameterNode
        current = stored_results.nodeOf(result)
        results = stored_results.nodes()
        entries = [(each.GetName(), each.GetID()) for each in results]
        if current is None:  # of a scene saved by an earlier version, or set by a script
            entries.insert(0, (_("Result without a name"), ""))
        fill(ui.resultCombo, entries, "" if current is None else current.GetID())
        others = [(_("CT"), CT)] if result.truth is not None else []
        others += [(each.GetName(), each.GetID()) for each in results if each is not current]
        chosen = node.comparedResult
        fill(ui.otherCombo, others, CT if chosen is None else chosen.GetID())
        ui.otherCombo.enabled = bool(others)
        if not others:
            ui.otherCombo.addItem(_("nothing: no CT and no other result"), "")
        for combo, tip in self._tips:
            combo.toolTip = f"{combo.currentText}\n\n{tip}"

    @property
    def other(self) -> Any:
        """What is beside the result: a `ReconstructionResult`, or None for the CT or nothing."""
        node = self._otherNode()
        return None if node is None else stored_results.read(node)

    @property
    def side(self) -> Side | None:
        """What is beside the shown stage, or None."""
        node, result = self._otherNode(), self._section.result
        if node is None:
            return besides(result)
        other, stage = stored_results.read(node), self.otherStage
        return Side(volumeOf(other, stage), titleOf(node.GetName(), other.record, stage))

    @property
    def otherStage(self) -> str:
        """The stage of the other result: the shown one, if it has it, else the recommended."""
        other, shown = self.other, self._section.stage
        return shown if shown in other.volumes else other.recommendedStage

    @property
    def title(self) -> str:
        """The name of the result; empty without one."""
        node = stored_results.nodeOf(self._section.result)
        return "" if node is None else node.GetName()

    def _otherNode(self):
        """The node of the result beside the shown one; None for the CT or nothing."""
        name = value(self._ui.otherCombo)
        return None if name in (None, "", CT) else slicer.mrmlScene.GetNodeByID(name)

    def _resultChosen(self, index: int) -> None:
        node = slicer.mrmlScene.GetNodeByID(self._ui.resultCombo.itemData(index) or "")
        if node is None:
            return
        parameterNode = self._section.parameterNode
        if parameterNode.comparedResult is node:  # exchange the two
            parameterNode.comparedResult = stored_results.nodeOf(self._section.result)
        stored_results.write(parameterNode, stored_results.read(node))
        self._changed()

    def _otherChosen(self, index: int) -> None:
        name = self._ui.otherCombo.itemData(index)
        self._section.parameterNode.comparedResult = (
            None if name in ("", CT) else slicer.mrmlScene.GetNodeByID(name)
        )
        self._changed()


def fill(combo, entries, chosen) -> None:
    """Fill a combo box with (text, data), and select the chosen data, or the first.

    The panel may be too narrow for a text: its list is not, and its tooltip has it whole.
    """
    combo.clear()
    for index, (text, data) in enumerate(entries):
        combo.addItem(text, data)
        combo.setItemData(index, text, qt.Qt.ToolTipRole)
    combo.view().setMinimumWidth(combo.view().sizeHintForColumn(0))
    combo.currentIndex = max(0, combo.findData(chosen)) if entries else -1


def value(combo):
    """The data of the selected entry."""
    return combo.itemData(combo.currentIndex)
