"""GUI connectors: which widgets can show which parameters, as far as AXON uses them."""

import types
import typing

from PySide6 import QtWidgets

from .ctk_slider import ctkSliderWidget
from .node_combo_box import qMRMLNodeComboBox
from .parameter_types import Choice, Maximum, Minimum, WithinRange, first, is_node_type
from .parameter_types import split_annotations as split

_WHOLE_NUMBERS = (QtWidgets.QSlider, QtWidgets.QSpinBox)
_NUMBERS = (QtWidgets.QDoubleSpinBox, ctkSliderWidget)


class _Connector:
    """Connects a widget to a parameter; ``signal`` is emitted on user input."""

    signal = ""

    def __init__(self, widget, annotations):
        self.widget, self.annotations, self._callback = widget, annotations, None
        self.prepare()

    def prepare(self):
        pass

    def connect(self, callback):
        # kept: a slot is compared when it is disconnected, and takes none of the arguments
        self._callback = callback
        if self.signal:
            getattr(self.widget, self.signal).connect(callback)

    def disconnect(self):
        if self.signal and self._callback is not None:
            getattr(self.widget, self.signal).disconnect(self._callback)


class _Check(_Connector):
    signal = "toggled"

    def prepare(self):
        self.widget.checkable = True

    def read(self):
        return self.widget.checked

    def write(self, value):
        self.widget.checked = value


class _Number(_Connector):
    signal = "valueChanged"

    def prepare(self):
        bounds = first(self.annotations, WithinRange)
        low, high = first(self.annotations, Minimum), first(self.annotations, Maximum)
        whole = type(self.widget) in _WHOLE_NUMBERS
        largest = 2**31 - 1 if whole else float("inf")
        unbounded = bounds is None and (low is None or high is None)
        if unbounded and isinstance(self.widget, (QtWidgets.QSlider, ctkSliderWidget)):
            raise RuntimeError(f"{type(self.widget).__name__} needs a number with limits")
        source = bounds or low
        self.widget.minimum = source.minimum if source else -largest
        source = bounds or high
        self.widget.maximum = source.maximum if source else largest

    def read(self):
        return self.widget.value

    def write(self, value):
        self.widget.value = value


class _Integer(_Number):
    def prepare(self):
        if type(self.widget) in _NUMBERS:
            self.widget.decimals = 0
        _Number.prepare(self)

    def read(self):
        return int(self.widget.value)


class _Choices(_Connector):
    signal = "currentIndexChanged"

    def prepare(self):
        found = first(self.annotations, Choice)
        if found is None:
            raise RuntimeError("a combo box needs a parameter with the Choice annotation")
        self.choices = found.choices
        self.widget.clear()
        for choice in self.choices:
            self.widget.addItem(str(choice))

    def read(self):
        return self.choices[self.widget.currentIndex]

    def write(self, value):
        if value not in self.choices:
            raise ValueError(f"Unable to find value {value} in choices {self.choices}")
        self.widget.currentIndex = list(self.choices).index(value)


class _LineEdit(_Connector):
    signal = "textChanged"

    def read(self):
        return self.widget.text

    def write(self, value):
        if value != self.widget.text:  # else the cursor would jump to the end
            self.widget.text = value


class _Label(_LineEdit):
    signal = ""


class _TextEdit(_Connector):
    signal = "textChanged"

    def read(self):
        return self.widget.toPlainText()

    def write(self, value):
        self.widget.setPlainText(value)


class _NodeSelector(_Connector):
    signal = "currentNodeChanged"

    def read(self):
        return self.widget.currentNode()

    def write(self, value):
        self.widget.setCurrentNode(value)


def _kind(widget, plain):
    cls = type(widget)
    if plain is bool and cls in (QtWidgets.QCheckBox, QtWidgets.QPushButton):
        return _Check
    if plain is int and cls in (*_WHOLE_NUMBERS, *_NUMBERS):
        return _Integer
    if plain is float and cls in _NUMBERS:
        return _Number
    if plain in (int, float, str, bool) and cls is QtWidgets.QComboBox:
        return _Choices
    texts = {
        QtWidgets.QLineEdit: _LineEdit,
        QtWidgets.QLabel: _Label,
        QtWidgets.QTextEdit: _TextEdit,
    }
    if plain is str and cls in texts:
        return texts[cls]
    if is_node_type(plain) and cls is qMRMLNodeComboBox:
        return _NodeSelector
    return None


def make_connector(widget, hint):
    """The connector for a widget and a type; RuntimeError if Slicer has none either."""
    plain, annotations = split(hint)
    if typing.get_origin(plain) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(plain) if a is not type(None)]
        plain = members[0] if len(members) == 1 and is_node_type(members[0]) else plain
    kind = _kind(widget, plain)
    if kind is None:
        raise RuntimeError(
            f"Unable to create GUI connector from datatype '{hint}' to widget "
            f"'{type(widget).__name__}' {widget.objectName!r}"
        )
    connector = kind(widget, annotations)
    if kind is _NodeSelector:
        widget.nodeTypes = [plain().GetClassName()]
    return connector
