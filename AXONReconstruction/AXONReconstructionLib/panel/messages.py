"""The message area that stands above the sections of a panel."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend

_MESSAGE_PIXELS = 150  # room for a message below the banner
_ERROR_STYLE = "QFrame#messageFrame { border: 2px solid #c0392b; }"
_INFO_STYLE = "QFrame#messageFrame { border: 1px solid #7f8c8d; }"


class MessageArea:
    """What a panel tells the user, without dialogs.

    The panel has `widget`, and in `_own` the controls of its `.ui` file: researchBanner,
    messageFrame, messageLabel, messageDetails, messageDetailsButton, messageCloseButton.
    """

    def connectMessages(self) -> None:
        """Call once the controls are there."""
        self._own.messageDetailsButton.connect("toggled(bool)", self._showDetails)
        self._own.messageCloseButton.connect("clicked()", self.hideMessage)

    def showError(self, sentence: str, details: str = "") -> None:
        """One plain sentence in the message area; `details` unfold on demand."""
        self._message(sentence, details, _ERROR_STYLE)

    def reportError(self, error: BaseException) -> None:
        """The same of an exception."""
        self.showError(*backend.explain(error))

    def showMessage(self, text: str) -> None:
        """A remark that is not an error."""
        self._message(text, "", _INFO_STYLE)

    def hideMessage(self) -> None:
        """Empty and hide the message area."""
        self._own.messageFrame.visible = False
        self._own.messageLabel.text = ""
        self._own.messageDetails.plainText = ""

    def _message(self, text: str, details: str, style: str) -> None:
        own = self._own
        own.messageFrame.styleSheet = style
        own.messageLabel.text = text
        own.messageDetails.plainText = details
        own.messageDetailsButton.checked = False
        own.messageDetailsButton.visible = bool(details)
        own.messageFrame.visible = True
        self._scrollToMessage()
        slicer.util.showStatusMessage(_("AXON: {text}").format(text=text), 5000)

    def _scrollToMessage(self) -> None:
        """Bring the message into sight when the user has scrolled down; the banner stands above it
        and, unlike it, has its final place already."""
        scroll = self.widget.parent()
        while scroll is not None and not scroll.inherits("QScrollArea"):
            scroll = scroll.parent()
        if scroll is not None:
            scroll.ensureWidgetVisible(self._own.researchBanner, 0, _MESSAGE_PIXELS)

    def _showDetails(self, shown: bool) -> None:
        self._own.messageDetails.visible = shown
