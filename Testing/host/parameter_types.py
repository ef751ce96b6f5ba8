"""Validation of typed parameters, and their storage in a vtkMRMLScriptedModuleNode.

The form on disk is Slicer's, so that scenes can be exchanged: numbers and strings as text, bool as
"True" or "False", a node as a reference and an empty parameter, ``Optional[X]`` under ``name.0``
(the value) or ``name.1`` (None), a list under ``name.0``, ``name.1``, ... and ``name.len``, a
dictionary as a list of pairs.
"""

import collections.abc
import types
import typing

import slicer


class Default:
    """The default value of a parameter that is not in the node yet."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value


class Validator:
    """Base of the annotations that raise for an invalid value."""


class WithinRange(Validator):
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value):
        if not self.minimum <= value <= self.maximum:
            raise ValueError(
                f"Value must be within range [{self.minimum}, {self.maximum}], is {value}"
            )


class Minimum(Validator):
    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value):
        if value < self.minimum:
            raise ValueError(f"Value must be greater than {self.minimum}, is {value}")


class Maximum(Validator):
    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value):
        if value > self.maximum:
            raise ValueError(f"Value must be less than {self.maximum}, is {value}")


class Choice(Validator):
    def __init__(self, choices):
        self.choices = choices

    def validate(self, value):
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of the following: {self.choices}")


def split_annotations(hint):
    """``Annotated[int, a, b]`` -> ``(int, [a, b])``; a plain type has no annotations."""
    if typing.get_origin(hint) is typing.Annotated:
        plain, *annotations = typing.get_args(hint)
        return plain, annotations
    return hint, []


def first(annotations, kind):
    return next((a for a in annotations if isinstance(a, kind)), None)


def is_node_type(plain):
    return isinstance(plain, type) and issubclass(plain, slicer.vtkMRMLNode)


class _Text:
    """int, float, str: the text of the value."""

    def __init__(self, kind):
        self.kind = kind
        self.default = kind()

    def check(self, value):
        accepted = (int, float) if self.kind is float else self.kind
        if value is None:
            raise ValueError("Value must not be None")
        if not isinstance(value, accepted):
            raise TypeError(f"Value must be of type '{accepted}', is '{type(value)}' ({value!r})")

    def is_in(self, node, name):
        return node.HasParameter(name)

    def write(self, node, name, value):
        node.SetParameter(name, str(value))

    def read(self, node, name):
        return self.kind(node.GetParameter(name))

    def remove(self, node, name):
        node.UnsetParameter(name)


class _Bool(_Text):
    def read(self, node, name):
        return node.GetParameter(name) == "True"


class _Node(_Text):
    def __init__(self, kind):
        self.kind, self.default = kind, None

    def check(self, value):
        if value is not None and not isinstance(value, self.kind):
            raise TypeError(f"Value must be of type '{self.kind}', is '{type(value)}'")

    def write(self, node, name, value):
        # None is a value as well: the parameter says that the reference has been written
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name):
        return node.GetNodeReference(name)

    def remove(self, node, name):
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class _Optional:
    """``Optional[X]``: X under ``name.0``, or None under ``name.1``."""

    default = None

    def __init__(self, inner):
        self.inner = inner

    def check(self, value):
        if value is not None:
            self.inner.check(value)

    def is_in(self, node, name):
        return self.inner.is_in(node, name + ".0") or node.HasParameter(name + ".1")

    def write(self, node, name, value):
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            if value is None:
                node.SetParameter(name + ".1", "True")
            else:
                self.inner.write(node, name + ".0", value)

    def read(self, node, name):
        inner = self.inner.is_in(node, name + ".0")
        return self.inner.read(node, name + ".0") if inner else None

    def remove(self, node, name):
        self.inner.remove(node, name + ".0")
        node.UnsetParameter(name + ".1")


class _List:
    """``list[X]``: the length under ``name.len``, the items under ``name.0``, ``name.1``, ...

    What is read is a copy: changes to it, which Slicer would write back, have to be assigned.
    """

    default = ()

    def __init__(self, item):
        self.item = item

    def check(self, value):
        for item in value:
            self.item.check(item)

    def is_in(self, node, name):
        return node.HasParameter(name + ".len")

    def _length(self, node, name):
        return int(node.GetParameter(name + ".len")) if self.is_in(node, name) else 0

    def write(self, node, name, value):
        items = list(value)
        with slicer.util.NodeModify(node):
            before = self._length(node, name)
            for index, item in enumerate(items):
                self.item.write(node, f"{name}.{index}", item)
            node.SetParameter(name + ".len", str(len(items)))
            for index in range(len(items), before):
                self.item.remove(node, f"{name}.{index}")

    def read(self, node, name):
        return [self.item.read(node, f"{name}.{i}") for i in range(self._length(node, name))]

    def remove(self, node, name):
        self.write(node, name, ())
        node.UnsetParameter(name + ".len")


class _Pair:
    """Two values under ``name.0`` and ``name.1``, as dictionaries have them."""

    default = None

    def __init__(self, *parts):
        self.parts = parts

    def check(self, value):
        for part, one in zip(self.parts, value, strict=True):
            part.check(one)

    def is_in(self, node, name):
        return self.parts[0].is_in(node, name + ".0")

    def write(self, node, name, value):
        for index, (part, one) in enumerate(zip(self.parts, value, strict=True)):
            part.write(node, f"{name}.{index}", one)

    def read(self, node, name):
        return tuple(part.read(node, f"{name}.{i}") for i, part in enumerate(self.parts))

    def remove(self, node, name):
        for index, part in enumerate(self.parts):
            part.remove(node, f"{name}.{index}")


class _Dict(_List):
    """``dict[K, V]``: the list of its pairs."""

    def __init__(self, key, value):
        super().__init__(_Pair(key, value))

    def check(self, value):
        super().check(dict(value).items())

    def write(self, node, name, value):
        super().write(node, name, dict(value).items())

    def read(self, node, name):
        return _ObservedDict(self, node, name, dict(super().read(node, name)))


class _ObservedDict(collections.abc.MutableMapping):
    """A dictionary of a parameter node, with the methods of Slicer's: no ``get`` with a default."""

    def __init__(self, kind, node, name, values):
        self._kind, self._node, self._name, self._values = kind, node, name, values

    def __repr__(self):
        return f"ObservedDict({self._values})"

    def __eq__(self, other):
        return self._values == (other._values if isinstance(other, _ObservedDict) else other)

    __hash__ = None

    def __len__(self):
        return len(self._values)

    def __iter__(self):
        return iter(self._values)

    def __getitem__(self, key):
        return self._values[key]

    def __setitem__(self, key, value):
        self._values[key] = value
        self._kind.write(self._node, self._name, self._values)

    def __delitem__(self, key):
        del self._values[key]
        self._kind.write(self._node, self._name, self._values)

    def get(self, key):
        return self._values.get(key)

    def pop(self, key):
        value = self[key]
        del self[key]
        return value


class _Checked:
    """A parameter type with the validators of its annotations, which run after its own."""

    def __init__(self, kind, validators):
        self._kind, self._validators = kind, validators
        self.default = kind.default
        self.is_in, self.read, self.remove = kind.is_in, kind.read, kind.remove

    def check(self, value):
        self._kind.check(value)
        for validator in self._validators:
            validator.validate(value)

    def write(self, node, name, value):
        self.check(value)
        self._kind.write(node, name, value)


def serialiser(plain, annotations):
    """The serialiser of a type; TypeError for a type that the host does not support."""
    validators = [a for a in annotations if isinstance(a, Validator)]
    for annotation in annotations:
        if not isinstance(annotation, (Validator, Default)):
            raise TypeError(f"The test host has no annotation {annotation}")
    if plain is bool:
        kind = _Bool(bool)
    elif plain in (int, float, str):
        kind = _Text(plain)
    elif is_node_type(plain):
        kind = _Node(plain)
    elif typing.get_origin(plain) in (typing.Union, types.UnionType):
        arguments = typing.get_args(plain)
        if len(arguments) != 2 or arguments[1] is not type(None):
            raise TypeError(f"The test host has parameters of Optional[X] only, not {plain}")
        kind = _Optional(serialiser(*split_annotations(arguments[0])))
    elif typing.get_origin(plain) in (list, dict):
        inner = [serialiser(*split_annotations(a)) for a in typing.get_args(plain)]
        kind = (_List if typing.get_origin(plain) is list else _Dict)(*inner)
    else:
        raise TypeError(f"The test host has no parameters of type {plain}")
    return _Checked(kind, validators)
