"""Configurations from the plain values of JSON and YAML, with type checks and renamed settings."""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")


def from_plain(kind: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """The inverse of ``dataclasses.asdict``, also after a round trip through JSON.

    Fields may be numbers, strings, tuples, dataclasses, and unions of these; fields missing in
    ``values`` keep their defaults.

    Args:
        kind: the dataclass.
        values: values by field.
        where: dotted name of ``values``, for error messages.

    Raises:
        TypeError: a key is unknown, or a value has the wrong type.
        ValueError: the dataclass rejects a value.
    """
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise TypeError(f"{where}{unknown[0]} is not a setting")
    return kind(
        **{key: _typed(hints[key], value, f"{where}{key}") for key, value in values.items()}
    )


@dataclass(frozen=True)
class Gone:
    """A setting that no longer exists: the code now always behaves as with ``value``, to which
    ``others`` are equivalent."""

    value: Any
    others: tuple[Any, ...] = ()

    def covers(self, value: Any) -> bool:
        """Whether an old value corresponds to the current behaviour."""

        def plain(one: Any) -> Any:
            return list(one) if isinstance(one, tuple) else one

        return plain(value) in [plain(one) for one in (self.value, *self.others)]


@dataclass(frozen=True)
class NewValues:
    """Renamed values of a setting: {former value: current value}."""

    values: Mapping[Any, Any]


# {former dotted name: its new name, or Gone}, {current dotted name: NewValues}.
Renamed = Mapping[str, str | Gone | NewValues]


def with_new_names(values: Mapping[str, Any], renamed: Renamed) -> dict[str, Any]:
    """Nested values of an older version under their current names.

    A setting that is :class:`Gone` is dropped if its value corresponds to the current behaviour,
    and kept otherwise, so that the check of the settings rejects it.

    Args:
        values: as read from JSON, YAML or a checkpoint.
        renamed: renamed settings, including groups of settings.

    Raises:
        TypeError: a single value is given for a group of settings.
    """
    new: dict[str, Any] = {}

    def put(key: str, value: Any) -> None:
        change = renamed.get(key)
        if isinstance(change, str):
            key, change = change, renamed.get(change)
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                put(f"{key}.{name}", inner)
            return
        if isinstance(change, Gone) and change.covers(value):
            return
        at = new
        *groups, last = key.split(".")
        for group in groups:
            at = at.setdefault(group, {})
            if not isinstance(at, dict):
                raise TypeError(f"{group} is {at!r}; expected a group of settings")
        at[last] = new_value(value, change)

    for key, value in values.items():
        put(str(key), value)
    return new


def new_value(value: Any, change: str | Gone | NewValues | None) -> Any:
    """The current name of a value."""
    if isinstance(change, NewValues) and isinstance(value, Hashable):
        return change.values.get(value, value)
    return value


def _typed(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        for one in inner:
            try:
                return _typed(one, value, where)
            except TypeError:
                continue
    elif origin is tuple:
        if isinstance(value, (list, tuple)):
            kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
            if len(kinds) == len(value):
                pairs = enumerate(zip(kinds, value, strict=True))
                return tuple(_typed(k, v, f"{where}[{i}]") for i, (k, v) in pairs)
    elif is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, Mapping):
            return from_plain(kind, value, f"{where}.")
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    name = getattr(kind, "__name__", str(kind)) if origin is None else str(kind)
    raise TypeError(f"{where} is {value!r}; expected {name}")
