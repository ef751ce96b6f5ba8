"""The message area above the sections of a panel."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend

_MESSAGE_PIXELS = 150  # height reserved for a message below the banner
_ERROR_STYLE = "QFrame#messageFrame { border: 2px solid #c0392b; }"
_INFO_STYLE = "QFrame#messageFrame { border: 1px solid #7f8c8d; }"


class MessageArea:
    """Mixin that shows messages in a panel instead of dialogs.

    Attributes:
        widget: the panel's widget, set by the panel.
        _own: named children of the panel's `.ui` file, set by the panel: researchBanner,
            messageFrame, messageLabel, messageDetails, messageDetailsButton, messageCloseButton.
    """

    widget: Any
    _own: Any

    def connectMessages(self) -> None:
        """Connect the buttons; call after loading the `.ui` file."""
        self._own.messageDetailsButton.connect("toggled(bool)", self._showDetails)
        self._own.messageCloseButton.connect("clicked()", self.hideMessage)

    def showError(self, sentence: str, details: str = "") -> None:
        """Show an error message with optional expandable details."""
        self._message(sentence, details, _ERROR_STYLE)

    def reportError(self, error: BaseException) -> None:
        """Show an exception as an error message."""
        self.showError(*backend.explain(error))

    def showMessage(self, text: str) -> None:
        """Show a message that is not an error."""
        self._message(text, "", _INFO_STYLE)

    def hideMessage(self) -> None:
        """Clear and hide the message area."""
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
        """Scroll to the message. The banner above it is used as the target, because the message
        itself has not been laid out yet."""
        scroll = self.widget.parent()
        while scroll is not None and not scroll.inherits("QScrollArea"):
            scroll = scroll.parent()
        if scroll is not None:
            scroll.ensureWidgetVisible(self._own.researchBanner, 0, _MESSAGE_PIXELS)

    def _showDetails(self, shown: bool) -> None:
        self._own.messageDetails.visible = shown
