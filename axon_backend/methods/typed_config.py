"""Configurations from the plain values of JSON and YAML: names of today, types checked."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")


def from_plain(kind: type[Config], values: Mapping[str, Any], where: str = "") -> Config:
    """A dataclass from what ``dataclasses.asdict`` made of it, after JSON too.

    Fields may be numbers, texts, tuples, dataclasses, and unions of these; what ``values`` lacks
    keeps its default.

    Args:
        kind: the dataclass.
        values: by field.
        where: dotted name of ``values``, for the errors.

    Raises:
        TypeError: an unknown key, or a value of another type than the field's.
        ValueError: a value that the dataclass refuses.
    """
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(str(key) for key in values if key not in known)
    if unknown:
        raise TypeError(f"{where}{unknown[0]} is not a setting")
    return kind(
        **{key: _typed(hints[key], value, f"{where}{key}") for key, value in values.items()}
    )


def with_new_names(values: Mapping[str, Any], renamed: Mapping[str, str | None]) -> dict[str, Any]:
    """Nested values of an older version under today's names.

    Args:
        values: as JSON, YAML or a checkpoint gives them.
        renamed: {old dotted name: new one}; of a value that has another name today,
            {"name=old value": "new value"}; of a setting that no longer exists,
            {"name=value": None} for the value that all code has now.

    Raises:
        TypeError: a group of settings is something else.
    """
    new: dict[str, Any] = {}

    def put(key: str, value: Any) -> None:
        key = renamed.get(key) or key
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                put(f"{key}.{name}", inner)
            return
        stated = f"{key}={value}"
        if stated in renamed and renamed[stated] is None:
            return
        at = new
        *groups, last = key.split(".")
        for group in groups:
            at = at.setdefault(group, {})
            if not isinstance(at, dict):
                raise TypeError(f"{group} is {at!r}; expected a group of settings")
        at[last] = renamed.get(stated, value)

    for key, value in values.items():
        put(str(key), value)
    return new


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
