"""Drag and drop of files onto the panel."""

from __future__ import annotations

from collections.abc import Callable

import qt


class FileDrop(qt.QObject):
    """Event filter that accepts a dropped file or folder.

    Keep a reference to it for the lifetime of the widget.

    Args:
        widget: drop target.
        dropped: called with the path.
    """

    def __init__(self, widget, dropped: Callable[[str], None]) -> None:
        qt.QObject.__init__(self)
        self._dropped = dropped
        widget.acceptDrops = True
        widget.installEventFilter(self)

    def eventFilter(self, watched, event) -> bool:
        """Accept local files; leave everything else to Slicer."""
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
