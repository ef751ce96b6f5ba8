"""Undo, reset, accept."""

from __future__ import annotations

from slicer.i18n import tr as _


class AcceptanceBox:
    """The last row of the Register section: what happens with the placement.

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
        """Use the placement as it is; a poor one is accepted with a warning."""
        section = self._section
        section.placement.accept(section.role)
        quality = section.quality.scores.get(section.role)
        if quality is not None and quality["verdict"] == "poor":
            section.panel.showMessage(
                _(
                    "The placement was accepted although it fits poorly: do not trust the "
                    "reconstruction before you have looked at the overlay."
                )
            )
        self.refresh()

    def refresh(self) -> None:
        """What can be pressed, and whether the placement is accepted."""
        section, ui = self._section, self._ui
        node, role = section.parameterNode, section.role
        if node is None:
            return
        accepted = bool(getattr(node, f"{role}Accepted"))
        searching = section.auto.running
        ready = section.xray is not None and section.drr is not None and not searching
        undoName = section.placement.undoName
        ui.undoButton.enabled = bool(undoName) and not searching
        ui.undoButton.toolTip = (
            _("Takes back: {name}.").format(name=undoName)
            if undoName
            else _("There is nothing to take back.")
        )
        ui.resetButton.enabled = ready
        ui.acceptButton.enabled = ready and not accepted
        ui.acceptButton.text = _("Accepted") if accepted else _("Accept")
        if section.xray is None:
            text = (
                _("There is no frontal X-ray.")
                if role == "frontal"
                else _("There is no lateral X-ray.")
            )
        elif accepted:
            text = _("Accepted: the reconstruction uses this placement.")
        else:
            text = _("Not accepted yet: the reconstruction would search for the place by itself.")
        ui.acceptedLabel.text = text
