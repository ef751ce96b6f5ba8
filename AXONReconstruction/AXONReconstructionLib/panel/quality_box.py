"""Registration quality: verdict, metrics and a plot."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.views.similarity_plot import SimilarityLog

_COLOURS = {"good": "#2e8b57", "fair": "#c07a00", "poor": "#c0392b"}


class QualityBox:
    """Requests the quality of the current placement from the logic and shows it.

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
        """Whether a role's placement has been assessed, or is being assessed."""
        return role in self.scores or role in self._pending

    def assess(self, role: str) -> None:
        """Assess a role's placement; the display is updated when the result is available."""
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

        # A later call for the same X-ray replaces this one and then removes the mark.
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
        """Discard the result: an image was removed or changed."""
        self.scores.pop(role, None)
        self._pending.discard(role)
        self.refresh()

    def refresh(self) -> None:
        """Show the quality of the current role."""
        quality = self.scores.get(self._section.role)
        self._ui.plotButton.enabled = bool(self.log.rows(self._section.role))
        if quality is None:
            self._ui.verdictLabel.text = _("Not evaluated yet.")
            self._ui.verdictLabel.styleSheet = ""
            self._ui.numbersLabel.text = self._ui.warningLabel.text = ""
        else:
            verdict = quality["verdict"]
            self._ui.verdictLabel.text = verdictText(verdict)
            self._ui.verdictLabel.styleSheet = (
                f"QLabel {{ color: {_COLOURS.get(verdict, 'palette(text)')}; font-weight: bold; }}"
            )
            self._ui.numbersLabel.text = _(
                "Intensity NCC {ncc:.2f}, gradient NCC {gradient_ncc:.2f}, mutual information "
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
    """A verdict with advice."""
    return {
        "good": _("Good registration."),
        "fair": _("Fair registration: check the overlay before accepting."),
        "poor": _("Poor registration: adjust manually or use landmarks before accepting."),
    }.get(verdict, verdict)
