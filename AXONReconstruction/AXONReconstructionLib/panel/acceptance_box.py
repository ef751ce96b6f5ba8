"""Undo, reset and acceptance of the placement."""

from __future__ import annotations

from slicer.i18n import tr as _


class AcceptanceBox:
    """The last row of the Register section.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self._ui.undoButton.connect("clicked()", section.placement.undo)
        self._ui.resetButton.connect("clicked()", section.placement.reset)
        self._ui.acceptButton.connect("clicked()", self.accept)

    def accept(self) -> None:
        """Accept the placement; a poor one is accepted with a warning."""
        section = self._section
        section.placement.accept(section.role)
        quality = section.quality.scores.get(section.role)
        if quality is not None and quality["verdict"] == "poor":
            section.panel.showMessage(
                _(
                    "The placement was accepted despite a poor registration. Check the overlay "
                    "before relying on the reconstruction."
                )
            )
        self.refresh()

    def refresh(self) -> None:
        """Update the buttons and the acceptance status."""
        section, ui = self._section, self._ui
        node, role = section.parameterNode, section.role
        if node is None:
            return
        accepted = bool(getattr(node, f"{role}Accepted"))
        running = section.auto.running
        ready = section.xray is not None and section.drr is not None and not running
        undoName = section.placement.undoName
        ui.undoButton.enabled = bool(undoName) and not running
        ui.undoButton.toolTip = (
            _("Undo: {name}.").format(name=undoName) if undoName else _("Nothing to undo.")
        )
        ui.resetButton.enabled = ready
        ui.acceptButton.enabled = ready and not accepted
        ui.acceptButton.text = _("Accepted") if accepted else _("Accept")
        if section.xray is None:
            text = (
                _("No frontal X-ray selected.")
                if role == "frontal"
                else _("No lateral X-ray selected.")
            )
        elif accepted:
            text = _("Accepted: the reconstruction uses this placement.")
        else:
            text = _("Not accepted: the reconstruction registers this X-ray automatically.")
        ui.acceptedLabel.text = text
