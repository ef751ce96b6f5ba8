"""Drag and drop of files onto the panel."""

from __future__ import annotations

from collections.abc import Callable

import qt


class FileDrop(qt.QObject):
    """Event filter that accepts dropped files and folders.

    Keep a reference to it for the lifetime of the widget.

    Args:
        widget: drop target.
        dropped: called with their paths.
    """

    def __init__(self, widget, dropped: Callable[[list[str]], None]) -> None:
        qt.QObject.__init__(self)
        self._dropped = dropped
        widget.acceptDrops = True
        widget.installEventFilter(self)

    def eventFilter(self, watched, event) -> bool:
        """Accept local files; leave everything else to Slicer."""
        kind = event.type()
        if kind not in (qt.QEvent.DragEnter, qt.QEvent.Drop):
            return False
        paths = _paths(event.mimeData())
        if not paths:
            return False
        event.acceptProposedAction()
        if kind == qt.QEvent.Drop:
            self._dropped(paths)
        return True


def _paths(mimeData) -> list[str]:
    if not mimeData.hasUrls():
        return []
    return [path for path in (url.toLocalFile() for url in mimeData.urls()) if path]
