"""Helpers for stand-ins of CTK and Slicer widgets, which appear as C++ classes.

A stand-in has the properties, signals and methods of the real class that are written here, and
nothing else: any other name raises HostMissing.
"""

from PySide6 import QtCore

from .qt_objects import coerced, remember_property
from .qt_signals import normalised, wrap_signals

_CPP_TYPES = {bool: "bool", str: "QString", int: "int", float: "double"}


def standin(*signatures, setters=()):
    """Class decorator. ``signatures``: the real signals' signatures, as in the C++ header.
    ``setters``: properties that also have a slot ``set<Property>``."""

    def decorate(cls):
        cls._h_standin = True
        declared = {}
        for signature in signatures:
            declared.setdefault(signature.partition("(")[0], []).append(normalised(signature))
        cls._h_signatures = declared
        for name in declared:
            if not hasattr(cls, name):
                raise TypeError(f"{cls.__name__} declares the signal {name} but does not make it")
        wrap_signals(cls)
        for name in setters:

            def setter(self, value, _name=name):
                setattr(self, _name, value)

            setattr(cls, "set" + name[0].upper() + name[1:], setter)
        return cls

    return decorate


def computed(kind, read, write=None):
    """A Qt property (visible to .ui files) from two functions."""
    arguments = (kind, read) if write is None else (kind, read, write)
    made = QtCore.Property(*arguments)
    remember_property(made, write)
    return made


def prop(kind, name, default=None, after=None):
    """A stored Qt property; ``after(self, value)`` is called after a change."""
    key = "_h_p_" + name
    is_list = kind == "QStringList"  # PythonQt gives tuples

    def read(self):
        return self.__dict__.get(key, () if is_list and default is None else default)

    def write(self, value):
        if is_list:
            value = (value,) if isinstance(value, str) else tuple(value or ())
        else:
            value = coerced(_CPP_TYPES.get(kind, ""), value)
            value = int(value) if kind is int else value
        changed = read(self) != value
        self.__dict__[key] = value
        if changed and after is not None:
            after(self, value)

    return computed(kind, read, write)


class Told:
    """Base of Python stand-ins that are not widgets: absent names are reported as missing."""

    def __getattr__(self, name):
        from . import records

        if name.startswith("_"):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        raise records.lacking(f"{getattr(self, '_h_class', type(self).__name__)}.{name}")
