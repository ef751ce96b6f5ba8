"""Loading of .ui files with the host's stand-ins for CTK's and Slicer's widgets."""

import inspect
import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from . import records
from .qt_objects import loading, native_class, native_properties
from .qt_signals import slot_function

#: real class name -> stand-in; filled when the widgets are installed
WIDGETS = {}


class QUiLoader(QtCore.QObject):
    """``qt.QUiLoader``. Connections in the file are made by name, as the stand-ins are Python."""

    def load(self, device, parent=None):
        if not device.isOpen():
            device.open(QtCore.QIODevice.ReadOnly)
        name = getattr(device, "fileName", lambda: "")()
        return _load(bytes(device.readAll().data()), parent, name.rpartition("/")[2])


def _enumerated(text):
    """Number of "Class::Name|Class::Name"."""
    total = 0
    for item in filter(None, text.strip().split("|")):
        owner, _, key = item.strip().rpartition("::")
        owner = owner.split("::")[0] if owner else "Qt"
        holder = next((h for lib in (QtWidgets, QtGui, QtCore) if (h := getattr(lib, owner, None))),
                      WIDGETS.get(owner))  # fmt: skip
        total |= int(getattr(holder, key))
    return total


def _prepare(element, cls, name):
    """Convert enumerations of stand-ins to numbers; warn about properties that do not exist."""
    for prop in element.findall("property"):
        key = prop.get("name")
        own = isinstance(inspect.getattr_static(cls, key, None), QtCore.Property)
        value = prop.find("enum") if prop.find("enum") is not None else prop.find("set")
        if own and value is not None:
            prop.remove(value)
            ElementTree.SubElement(prop, "number").text = str(_enumerated(value.text or ""))
        known = own or key in native_properties[native_class(cls)]
        if prop.get("stdset") != "0" and not known:
            records.warn(
                f"{name}: {element.get('class')} {element.get('name')!r} is given a property "
                f"{key!r} that the class does not have"
            )


def _connect(widget, connection, name):
    sender, signal, receiver, slot = (
        connection.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")
    )

    def named(wanted):
        if widget.objectName == wanted:
            return widget
        return widget.findChild(QtCore.QObject, wanted)

    source, target = named(sender), named(receiver)
    text = f"{name}: connection {sender}.{signal} -> {receiver}.{slot}"
    if source is None or target is None:
        records.warn(f"{text} names an object that is not there")
    elif not source.connect(signal, slot_function(target, slot)):
        records.warn(f"{text} could not be made")


def _load(data, parent, name):
    root = ElementTree.fromstring(data)
    loader = QtUiTools.QUiLoader()
    native = {*loader.availableWidgets(), "Line", "Spacer"}
    for element in root.iter("widget"):
        cls = WIDGETS.get(element.get("class"))
        if cls is not None:
            loader.registerCustomWidget(cls)
        elif element.get("class") in native:
            cls = getattr(QtWidgets, element.get("class"), QtWidgets.QFrame)
        else:
            raise records.lacking(f"{element.get('class')} (widget class of {name})")
        _prepare(element, cls, name)
    connections = []
    for container in root.findall("connections"):
        connections += container.findall("connection")
        root.remove(container)
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(root))
    buffer.open(QtCore.QIODevice.ReadOnly)
    loading[0] += 1
    try:
        widget = loader.load(buffer, parent)
    finally:
        loading[0] -= 1
    if widget is None:
        raise RuntimeError(f"Qt could not load {name}")
    for connection in connections:
        _connect(widget, connection, name)
    return widget
