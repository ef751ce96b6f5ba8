"""Segmentation of lungs and bones, in the Compare section."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.console import segmenting
from AXONReconstructionLib.views import display


class SegmentBox:
    """Segments the shown stage and what is beside it.

    Args:
        section: the Compare section, which provides `ui`, `logic`, `panel`, `compute`, `result`,
            `stage` and `results`.
    """

    def __init__(self, section) -> None:
        self._section, self._ui = section, section.ui
        self._ui.segmentButton.connect("clicked()", self.onSegment)

    def onSegment(self) -> None:
        """Start the segmentation on the worker."""
        section, shown = self._section, self._shown()
        volume, side = shown
        section.panel.hideMessage()
        self._ui.segmentButton.enabled = False
        name = _("CT") if section.results.other is None else _("B")

        def finished(found) -> None:
            if self._shown() == shown:  # else the selection has changed
                self.show(text(found.structures, name))

        def over() -> None:
            self._ui.segmentButton.enabled = True

        section.compute(
            segmenting.segment,
            section.logic.tasks,
            volume,
            None if side is None else side.volume,
            name,
            section.result.record.get("hu_window"),
            finished=finished,
            over=over,
        )

    def _shown(self) -> tuple:
        """The volume of the shown stage and what is beside it; empty without a result."""
        section = self._section
        if section.result is None or not section.result.volumes:
            return ()
        return display.volumeOf(section.result, section.stage), section.results.side

    def show(self, line: str) -> None:
        """Show a text; empty hides it."""
        self._ui.segmentLabel.text = line
        self._ui.segmentLabel.visible = bool(line)


def text(structures: dict, other: str) -> str:
    """Volumes and overlap of the structures.

    Args:
        structures: the backend's `Structure` by name.
        other: name of what they are compared with.
    """
    lines = []
    for name, found in structures.items():
        line = _("{structure}: {ml:.0f} ml").format(structure=segmenting.nameOf(name), ml=found.ml)
        if found.other_ml is not None:
            line += _(" ({other}: {ml:.0f} ml, Dice {dice:.2f})").format(
                other=other, ml=found.other_ml, dice=found.dice
            )
        lines.append(line)
    return "\n".join(lines)
