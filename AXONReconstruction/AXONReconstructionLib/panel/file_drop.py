"""Files dragged from the desktop onto a part of the panel."""

from __future__ import annotations

from collections.abc import Callable

import qt


class FileDrop(qt.QObject):
    """Lets a widget take one dragged file or folder.

    Keep a reference to it as long as the widget lives.

    Args:
        widget: takes the drops.
        dropped: called with the path.
    """

    def __init__(self, widget, dropped: Callable[[str], None]) -> None:
        qt.QObject.__init__(self)
        self._dropped = dropped
        widget.acceptDrops = True
        widget.installEventFilter(self)

    def eventFilter(self, watched, event) -> bool:
        """Take what is a file of this computer, leave the rest to Slicer."""
        kind = event.type()
        if kind not in (qt.QEvent.DragEnter, qt.QEvent.Drop):
            return False
        path = _firstPath(event.mimeData())
        if not path:
            return False
        event.acceptProposedAction()
        if kind == qt.QEvent.Drop:
            self._dropped(path)
        return True


def _firstPath(mimeData) -> str:
    if not mimeData.hasUrls():
        return ""
    paths = [url.toLocalFile() for url in mimeData.urls()]
    return next((path for path in paths if path), "")
