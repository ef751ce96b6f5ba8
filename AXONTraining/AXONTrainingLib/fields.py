"""Two-way binding of widgets to the parameter node."""

from __future__ import annotations

# By kind of widget: the change signal, and the property that holds the value.
KINDS = {
    "path": ("currentPathChanged(QString)", "currentPath"),  # ctkPathLineEdit
    "number": ("valueChanged(int)", "value"),  # QSpinBox
    "check": ("toggled(bool)", "checked"),  # QCheckBox
    "text": ("textChanged()", "plainText"),  # QPlainTextEdit
}


class Fields:
    """Binds widgets to parameters where `SlicerParameterName` does not suffice: combo box labels
    that differ from the value, paths as text, multi-line text.

    Args:
        panel: provides `parameterNode` and `ui`.
    """

    def __init__(self, panel) -> None:
        self._panel = panel
        self._readers: list = []
        self._updating = False

    def bind(self, kind: str, control: str, name: str) -> None:
        """Bind a widget to the parameter `name`; `kind` is a key of `KINDS`."""
        signal, held = KINDS[kind]
        widget = getattr(self._panel.ui, control)
        self._bind(
            widget, signal, name, lambda: getattr(widget, held),
            lambda value: setattr(widget, held, value),
        )  # fmt: skip

    def bindChoice(self, control: str, name: str, labels: dict[str, str]) -> None:
        """Fill a QComboBox with labels by value, and bind it; it shows the first label where the
        parameter has a value that is not listed."""
        widget = getattr(self._panel.ui, control)
        self.setChoices(control, labels)
        self._bind(
            widget, "currentIndexChanged(int)", name,
            lambda: widget.itemData(max(0, widget.currentIndex)),
            lambda value: setattr(widget, "currentIndex", max(0, widget.findData(value))),
        )  # fmt: skip

    def setChoices(self, control: str, labels: dict[str, str]) -> None:
        """Replace the labels of a QComboBox; the parameter stays as it is."""
        widget = getattr(self._panel.ui, control)
        before, self._updating = self._updating, True
        try:
            widget.clear()
            for value, label in labels.items():
                widget.addItem(label, value)
        finally:
            self._updating = before

    def refresh(self) -> None:
        """Update the widgets from the parameter node."""
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

    def _bind(self, widget, signal: str, name: str, get, put) -> None:
        def changed(*_ignored) -> None:
            node = self._panel.parameterNode
            if not self._updating and node is not None:
                setattr(node, name, get())

        widget.connect(signal, changed)
        self._readers.append((name, get, put))
