"""Attributes of Qt objects as in PythonQt.

The PySide6 classes themselves are changed, so that objects that Qt makes behave as well: properties
are plain attributes (``label.text``, ``button.enabled = True``), and an attribute that the class
does not have can be neither read nor set.
"""

import contextlib
import inspect
import types

import shiboken6
from PySide6 import QtCore

from . import records
from .qt_signals import Connect, HostSignal, SignalAttribute, read_signals

native_property = QtCore.QObject.property
native_set_property = QtCore.QObject.setProperty
native_properties = {}  # class -> names of all its properties
_native_getattribute = QtCore.QObject.__getattribute__
_native_findChild = QtCore.QObject.findChild
_native_findChildren = QtCore.QObject.findChildren

_writers = {}  # id of a QtCore.Property -> its setter, or None
loading = [0]  # PySide6's QUiLoader sets children as attributes of the widget; PythonQt's does not


def remember_property(made, write):
    _writers[id(made)] = (made, write)


def cpp_class(cls):
    """The class that represents the C++ class: PySide6's own, or a stand-in of the host."""
    for base in cls.__mro__:
        if base.__dict__.get("_h_standin") or base.__module__.startswith("PySide6"):
            return base
    return None


def native_class(cls):
    return next(base for base in cls.__mro__ if base in native_properties)


def coerced(kind, value):
    """The conversions of PythonQt for a property of a C++ type."""
    if kind == "bool":
        return bool(value)
    if kind == "QString" and value is not None and not isinstance(value, str):
        return str(value)
    if kind in ("int", "uint") and isinstance(value, float):
        return int(value)
    if kind in ("double", "float") and isinstance(value, int):
        return float(value)
    return list(value) if isinstance(value, (tuple, set)) else value


class _Property:
    """A Qt property as an attribute."""

    __slots__ = ("name", "getter", "writable", "static", "kind")

    def __init__(self, name, getter, writable, static, kind):
        self.name, self.getter, self.writable = name, getter, writable
        self.static, self.kind = static, kind

    def __get__(self, obj, owner=None):
        if obj is None:
            return self if self.static is None else self.static
        value = done = None
        if self.getter is not None:
            with contextlib.suppress(TypeError):  # a getter with arguments is another thing
                value, done = self.getter(obj), True
        if not done:
            value = native_property(obj, self.name)
        return tuple(value) if isinstance(value, list) else value

    def __set__(self, obj, value):
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(obj).__name__} is not writable")
        value = coerced(self.kind, value)
        try:
            if native_set_property(obj, self.name, value):
                return
        except (TypeError, RuntimeError):
            pass
        setter = getattr(obj, "set" + self.name[0].upper() + self.name[1:], None)
        if callable(setter):
            try:
                setter(value)
                return
            except TypeError:
                pass
        raise ValueError(
            f"Property '{self.name}' of {type(obj).__name__} object does not accept an object of "
            f"type {type(value).__name__} ({value!r})"
        )


_connect, _disconnect = Connect(False), Connect(True)


def _getattribute(self, name):
    # PySide6 looks these two up on its own, past the class's dictionary
    if name == "connect":
        return _connect.__get__(self)
    if name == "disconnect":
        return _disconnect.__get__(self)
    return _native_getattribute(self, name)


def _getattr(self, name):
    """Called only if ordinary attribute lookup failed."""
    cls = type(self)
    if not name.startswith("_"):
        if shiboken6.isValid(self):
            for child in QtCore.QObject.children(self):
                if shiboken6.isValid(child) and native_property(child, "objectName") == name:
                    return child
            value = native_property(self, name)
            if value is not None:
                return value
        standing = cpp_class(cls)
        if standing.__dict__.get("_h_standin") and not loading[0]:
            raise records.lacking(f"{standing.__name__}.{name}")
    raise AttributeError(f"'{cls.__name__}' object has no attribute '{name}'")


def _setattr(self, name, value):
    cls = type(self)
    attribute = inspect.getattr_static(cls, name, None)
    if name.startswith(("_h_", "__")):
        self.__dict__[name] = value
    elif isinstance(attribute, QtCore.Property):
        write = _writers[id(attribute)][1]
        if write is None:
            raise AttributeError(f"Property '{name}' of {cls.__name__} object is not writable")
        write(self, value)
    elif attribute is not None and hasattr(type(attribute), "__set__"):
        attribute.__set__(self, value)
    elif loading[0] and isinstance(value, QtCore.QObject) and attribute is None:
        pass
    elif cpp_class(cls) is not cls:  # a Python class derived from a Qt class may hold anything
        self.__dict__[name] = value
    elif attribute is not None:
        raise AttributeError(f"Slot '{name}' can not be overwritten on {cls.__name__} object")
    elif shiboken6.isValid(self) and name in (
        bytes(n).decode() for n in QtCore.QObject.dynamicPropertyNames(self)
    ):
        native_set_property(self, name, value)
    elif cls.__dict__.get("_h_standin"):
        raise records.lacking(f"{cls.__name__}.{name} (set)")
    else:
        raise AttributeError(
            f"Attribute '{name}' does not exist and creation of new attributes on C++ objects is "
            f"not allowed (class {cls.__name__})"
        )


def _find_children(self, kind=QtCore.QObject, *rest):
    if not isinstance(kind, str):
        return _native_findChildren(self, kind, *rest)
    found = [c for c in _native_findChildren(self, QtCore.QObject) if c.inherits(kind)]
    return [c for c in found if not rest or native_property(c, "objectName") == rest[0]]


def _find_child(self, kind=QtCore.QObject, *rest):
    if not isinstance(kind, str):
        return _native_findChild(self, kind, *rest)
    return next(iter(_find_children(self, kind, *rest)), None)


def _delete(self):
    if shiboken6.isValid(self):
        shiboken6.delete(self)


def _adapt_properties(cls):
    meta = cls.staticMetaObject
    own = meta.propertyOffset()
    native_properties[cls] = {meta.property(i).name() for i in range(meta.propertyCount())}
    for index in range(meta.propertyCount()):
        found = meta.property(index)
        name = found.name()
        here = cls.__dict__.get(name)
        if (cls.__name__, name) == ("QTimer", "singleShot"):
            continue  # the property is less known than the function
        if isinstance(here, (QtCore.Signal, SignalAttribute, type)):
            continue
        if index < own and here is None:
            continue
        static = getter = None
        if isinstance(here, (staticmethod, classmethod, types.BuiltinFunctionType)):
            static = getattr(cls, name)  # a property of the object, a function of the class
        elif callable(here):
            getter = here
        kind = found.typeName()
        setattr(cls, name, _Property(name, getter, found.isWritable(), static, kind))


def adapt(classes):
    """Make PySide6 classes behave as in PythonQt."""
    for cls in classes:
        read_signals(cls)
        _adapt_properties(cls)
        cls.__setattr__ = _setattr
    base = QtCore.QObject
    base.connect, base.disconnect = _connect, _disconnect
    base.__getattribute__, base.__getattr__ = _getattribute, _getattr
    base.name = _Property("objectName", None, True, None, "QString")
    base.className = lambda self: type(self).__name__
    base.delete = _delete
    base.findChildren, base.findChild = _find_children, _find_child


__all__ = ["HostSignal", "adapt", "coerced", "cpp_class", "loading", "native_properties"]
