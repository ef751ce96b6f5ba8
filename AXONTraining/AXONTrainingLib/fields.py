"""Controls that follow the parameter node, and it them."""

from __future__ import annotations

# By the kind of control: the signal of a change, and the property that holds the value.
KINDS = {
    "path": ("currentPathChanged(QString)", "currentPath"),  # ctkPathLineEdit
    "number": ("valueChanged(int)", "value"),  # QSpinBox
    "check": ("toggled(bool)", "checked"),  # QCheckBox
    "text": ("textChanged()", "plainText"),  # QPlainTextEdit
}


class Fields:
    """Ties controls to parameters, for what `SlicerParameterName` cannot: labels that differ from
    the stored value, paths as text, texts of several lines.

    Args:
        panel: gives `parameterNode` and `ui`.
    """

    def __init__(self, panel) -> None:
        self._panel = panel
        self._readers: list = []
        self._updating = False

    def tie(self, kind: str, control: str, name: str) -> None:
        """The control shows the parameter `name`, and sets it; `kind` is one of `KINDS`."""
        signal, held = KINDS[kind]
        widget = getattr(self._panel.ui, control)
        self._tie(
            widget, signal, name, lambda: getattr(widget, held),
            lambda value: setattr(widget, held, value),
        )  # fmt: skip

    def choice(self, control: str, name: str, labels: dict[str, str]) -> None:
        """A QComboBox that shows labels for values."""
        widget, values = getattr(self._panel.ui, control), list(labels)
        for value, word in labels.items():
            widget.addItem(word, value)
        self._tie(
            widget, "currentIndexChanged(int)", name, lambda: values[max(0, widget.currentIndex)],
            lambda value: setattr(widget, "currentIndex", values.index(value)),
        )  # fmt: skip

    def refresh(self) -> None:
        """Show what the parameter node says."""
        node = self._panel.parameterNode
        if node is None:
            return
        self._updating = True
        try:
            for name, get, put in self._readers:
                value = getattr(node, name)
                if get() != value:
                    put(value)
        finally:
            self._updating = False

    def _tie(self, widget, signal: str, name: str, get, put) -> None:
        def changed(*_ignored) -> None:
            node = self._panel.parameterNode
            if not self._updating and node is not None:
                setattr(node, name, get())

        widget.connect(signal, changed)
        self._readers.append((name, get, put))
