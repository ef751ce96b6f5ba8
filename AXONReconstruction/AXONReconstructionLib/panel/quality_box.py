"""How well the X-ray fits its computed radiograph, in words, numbers and a plot."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.views.similarity_plot import SimilarityLog

_COLOURS = {"good": "#2e8b57", "fair": "#c07a00", "poor": "#c0392b"}


class QualityBox:
    """Asks the logic for the score of the present placement and shows it.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        self._section = section
        self._ui = section.ui
        self.log = SimilarityLog()
        self.scores: dict = {}
        self._pending: set = set()
        self._ui.plotButton.connect("clicked()", self._plot)

    def knows(self, role: str) -> bool:
        """A role's placement is scored, or will be."""
        return role in self.scores or role in self._pending

    def assess(self, role: str) -> None:
        """Score a role's placement; the words follow when it is computed."""
        section = self._section
        node = section.parameterNode
        xray = None if node is None else getattr(node, role)
        if xray is None or getattr(node, f"{role}Drr") is None:
            self.forget(role)
            return

        def finished(quality):
            self._pending.discard(role)
            if section.parameterNode is not None and getattr(section.parameterNode, role) is xray:
                self.scores[role] = quality
                self.log.add(role, quality)
                section.parameterNode.similarityTable = self.log.table(section.role)
                self.refresh()

        def failed(error):
            self._pending.discard(role)
            section.panel.reportError(error)

        # A later call for the same X-ray replaces this one; that one then ends.
        self._pending.add(role)
        try:
            section.logic.assess(
                xray,
                node.groundTruth,
                node.bundle or None,
                section.pose,
                onFinished=finished,
                onError=failed,
                onCancelled=lambda _nothing=None: None,
            )
        except Exception as error:
            failed(error)

    def forget(self, role: str) -> None:
        """There is nothing to compare, or something else than before."""
        self.scores.pop(role, None)
        self._pending.discard(role)
        self.refresh()

    def refresh(self) -> None:
        """Show the score of the role that is looked at."""
        quality = self.scores.get(self._section.role)
        self._ui.plotButton.enabled = bool(self.log.rows(self._section.role))
        if quality is None:
            self._ui.verdictLabel.text = _("Not compared yet.")
            self._ui.verdictLabel.styleSheet = ""
            self._ui.numbersLabel.text = self._ui.warningLabel.text = ""
        else:
            verdict = quality["verdict"]
            self._ui.verdictLabel.text = verdictText(verdict)
            self._ui.verdictLabel.styleSheet = (
                f"QLabel {{ color: {_COLOURS.get(verdict, 'palette(text)')}; font-weight: bold; }}"
            )
            self._ui.numbersLabel.text = _(
                "Grey values {ncc:.2f}, borders {gradient_ncc:.2f}, mutual information "
                "{mutual_information:.2f}"
            ).format(**quality)
            self._ui.warningLabel.text = "\n".join(
                text[:1].upper() + text[1:] + "." for text in quality["warnings"]
            )
        self._ui.numbersLabel.visible = bool(self._ui.numbersLabel.text)
        self._ui.warningLabel.visible = bool(self._ui.warningLabel.text)

    def _plot(self) -> None:
        section = self._section
        self.log.show(section.role, [section.role])


def verdictText(verdict: str) -> str:
    """A verdict as advice."""
    return {
        "good": _("Good fit."),
        "fair": _("Fair fit: look at the overlay before you accept it."),
        "poor": _("Poor fit: move the X-ray by hand or use landmarks before you accept it."),
    }.get(verdict, verdict)
