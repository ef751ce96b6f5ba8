"""Keyboard shortcuts of the module, active while it is shown."""

from __future__ import annotations

import qt
import slicer

# Steps by key, with the button that Ctrl+Return clicks.
STEPS = {
    "Alt+1": ("inputsSection", "openFilesButton"),
    "Alt+2": ("registerSection", "registerButton"),
    "Alt+3": ("reconstructSection", "reconstructButton"),
    "Alt+4": ("compareSection", "showButton"),
}
ACTION_KEY = "Ctrl+Return"


class Shortcuts:
    """Alt+1 to Alt+4 open a step; Ctrl+Return clicks the main button of the step opened last.

    Args:
        panel: the panel.
    """

    def __init__(self, panel) -> None:
        self._panel = panel
        self._step = "Alt+3"
        self._made: list = []

    def install(self) -> None:
        """Make the shortcuts, in the main window if there is one."""
        window = slicer.util.mainWindow()
        if window is None or self._made:
            return
        for key in STEPS:
            self._add(window, key, lambda key=key: self.open(key))
        self._add(window, ACTION_KEY, self.act)

    def remove(self) -> None:
        """Remove the shortcuts."""
        for shortcut in self._made:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._made = []

    def open(self, key: str) -> None:
        """Open a step, and fold the other steps."""
        self._step = key
        for section, _button in STEPS.values():
            self._panel.container(section).collapsed = section != STEPS[key][0]

    def act(self) -> None:
        """Click the main button of the step, if it is enabled."""
        button = getattr(self._panel.ui, STEPS[self._step][1])
        if button.enabled:
            button.click()

    def _add(self, window, key: str, slot) -> None:
        shortcut = qt.QShortcut(window)
        shortcut.setKey(qt.QKeySequence(key))
        shortcut.connect("activated()", slot)
        self._made.append(shortcut)
