"""The part of ``slicer.parameterNodeWrapper`` that AXON uses: typed attributes over a node.

As in Slicer, values are cached and read again when the node is modified, every connected widget is
written at each modification, and what the user enters goes back in one modification.
"""

import typing
import weakref

import slicer
import vtk
from PySide6 import QtWidgets

from .parameter_gui import make_connector
from .parameter_types import Default, first, serialiser, split_annotations
from .qt_objects import native_property

_MODIFIED = vtk.vtkCommand.ModifiedEvent


class _Parameter:
    """One parameter of the class: name, type with its annotations, form on disk, default."""

    def __init__(self, name, hint, default):
        plain, annotations = split_annotations(hint)
        self.name, self.hint = name, hint
        self.store = serialiser(plain, annotations)
        self.default = default or first(annotations, Default) or Default(self.store.default)

    def __get__(self, wrapper, owner=None):
        return self if wrapper is None else wrapper._cached[self.name].value

    def __set__(self, wrapper, value):
        wrapper._cached[self.name].write(value)


class _Cached:
    """The value of one parameter in one node."""

    def __init__(self, parameter, node):
        self.parameter, self.node, self.writing = parameter, node, False
        if not parameter.store.is_in(node, parameter.name):
            parameter.store.write(node, parameter.name, parameter.default.value)
        self.value = self.read()
        me = weakref.ref(self)
        self.tag = node.AddObserver(_MODIFIED, lambda caller, event: me() and me().modified())

    def __del__(self):
        if hasattr(self, "tag"):
            self.node.RemoveObserver(self.tag)

    def read(self):
        store, name = self.parameter.store, self.parameter.name
        if not store.is_in(self.node, name):
            store.write(self.node, name, self.parameter.default.value)
        return store.read(self.node, name)

    def modified(self):
        if not self.writing:
            self.value = self.read()

    def write(self, value):
        self.writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.parameter.store.write(self.node, self.parameter.name, value)
                self.value = self.read()
        finally:
            self.writing = False


class _Wrapper:
    """Methods that the decorator adds to a class."""

    def __init__(self, parameterNode, prefix=None):
        if prefix:
            raise NotImplementedError("the test host has no prefixed parameter nodes")
        self.parameterNode = parameterNode
        self._cached = {p.name: _Cached(p, parameterNode) for p in self.allParameters.values()}
        self._guis, self._next_tag, self._updating = {}, 0, False

    def _check_name(self, name):
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")

    def getValue(self, name):
        self._check_name(name)
        return getattr(self, name)

    def setValue(self, name, value):
        self._check_name(name)
        setattr(self, name, value)

    def default(self, name):
        self._check_name(name)
        return self.allParameters[name].default

    def dataType(self, name):
        self._check_name(name)
        return self.allParameters[name].hint

    def connectGui(self, gui):
        """``gui``: a widget, or an object whose attributes are widgets. Returns a tag."""
        if isinstance(gui, QtWidgets.QWidget):
            widgets = gui.findChildren(QtWidgets.QWidget)
        else:
            widgets = gui.__dict__.values()
        named = {native_property(w, "SlicerParameterName"): w for w in widgets}
        return self.connectParametersToGui({name: w for name, w in named.items() if name})

    def connectParametersToGui(self, mapping):
        for name in mapping:
            self._check_name(name)
        connectors = {n: make_connector(w, self.dataType(n)) for n, w in mapping.items()}
        tag, self._next_tag = self._next_tag, self._next_tag + 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._entered(name, connector))
        observer = self.AddObserver(_MODIFIED, lambda caller, event: self._update_gui())
        self._guis[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag):
        connectors, observer = self._guis.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.disconnect()
        if observer is not None:
            self.RemoveObserver(observer)

    def _entered(self, name, connector):
        def changed():
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return changed

    def _update_gui(self):
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _ in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified):
        return self.parameterNode.EndModify(was_modified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        self.parameterNode.Modified()


def parameterNodeWrapper(cls=None):
    """Class decorator: annotated attributes become parameters of a parameter node."""
    if cls is None:
        return parameterNodeWrapper
    cls.allParameters = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if hasattr(_Wrapper, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        default = Default(getattr(cls, name)) if hasattr(cls, name) else None
        parameter = cls.allParameters[name] = _Parameter(name, hint, default)
        setattr(cls, name, parameter)
    for name, method in vars(_Wrapper).items():
        if callable(method):
            setattr(cls, name, method)
    return cls
