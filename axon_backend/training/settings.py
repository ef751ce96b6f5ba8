"""Read settings from YAML and ``key=value`` pairs into the typed configuration, and write them."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from axon_backend.errors import AxonInputError
from axon_backend.methods import typed_config
from axon_backend.methods.typed_config import Gone, Renamed, new_value
from axon_backend.physics.randomise import XrayRanges
from axon_backend.training.data.pairs import Deformation
from axon_backend.util.input_file import read_text

Settings = TypeVar("Settings")
# Former names of settings, in YAML files, on command lines and in checkpoints. Methods add their
# own (``Method.renamed_settings``).
RENAMED: Renamed = {
    "loss.single_view": "data.single_view",
    "optimiser.rate": "optimiser.lr",
    "data.augmentation": "data.deformation",
    "data.appearance.misregistration": "data.appearance.p.misregistration",
    "data.appearance.letters": "data.appearance.p.letters",
    "data.appearance.collimation": "data.appearance.p.collimation",
    "checkpoint_minutes": Gone(3.0),
    "validation.patience": Gone(0),
    "data.mean_cases": Gone(100),
    **{f"data.deformation.{name}": Gone(value) for name, value in asdict(Deformation()).items()},
    **{f"data.appearance.xray.{name}": Gone(value) for name, value in asdict(XrayRanges()).items()},
    "data.appearance.scatter": Gone(0.5),
    "data.appearance.local_contrast": Gone((-0.2, 1.2)),
    "data.appearance.gamma": Gone(0.3),
    "data.appearance.noise": Gone(0.04),
}
_YAML_MISSING = (
    "Training reads and writes YAML with PyYAML, which is not installed: pip install axon-ct[train]"
)


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise AxonInputError(_YAML_MISSING) from error
    return yaml


def _parsed(text: str) -> Any:
    """Parse plain YAML. Aliases are refused: a few lines of them can expand to more values than
    fit into memory, and settings do not need them."""
    yaml = _yaml()
    if "*" in text and any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text)):
        raise ValueError("aliases (*name) are not allowed in settings")
    return yaml.safe_load(text)


def with_new_names(values: Mapping[str, Any], renamed: Renamed) -> dict[str, Any]:
    """``methods.typed_config.with_new_names`` with :data:`RENAMED` and ``renamed``."""
    return typed_config.with_new_names(values, {**RENAMED, **renamed})


def new_name(key: str, renamed: Renamed) -> str:
    """The current name of a setting given by a former name or by the end of one."""
    every = {**RENAMED, **renamed}
    names = {old: new for old, new in every.items() if isinstance(new, str)}
    for old, new in names.items():
        if key == old or key.startswith(old + "."):
            return new + key[len(old) :]
    ending = [new for old, new in names.items() if old.endswith("." + key)]
    return ending[0] if len(ending) == 1 else key


def all_keys(settings: Any, before: str = "") -> list[str]:
    """The dotted names of all settings (leaves of the tree)."""
    keys = []
    for one in fields(settings):
        value = getattr(settings, one.name)
        name = before + one.name
        keys += all_keys(value, name + ".") if is_dataclass(value) else [name]
    return keys


def full_key(settings: Any, key: str) -> str:
    """The dotted name meant by ``key``: itself, or the one setting whose name ends with it.

    Raises:
        AxonInputError: no setting matches, or several do.
    """
    keys = all_keys(settings)
    groups = {k[:i] for k in keys for i, letter in enumerate(k) if letter == "."}
    if key in keys or key in groups:
        return key
    ending = [k for k in keys if k.endswith("." + key)]
    if len(ending) == 1:
        return ending[0]
    if ending:
        raise AxonInputError(
            f"The setting {key!r} is ambiguous: {', '.join(ending)}. Give its full name."
        )
    short = {k.rsplit(".", 1)[-1]: k for k in keys}
    near = difflib.get_close_matches(key, [*keys, *short], 5, 0.6)
    near = list(dict.fromkeys(short.get(k, k) for k in near))[:3]
    hint = f"Did you mean {' or '.join(near)}?" if near else "`--show` lists all settings."
    raise AxonInputError(f"There is no setting {key!r}. {hint}")


def apply(settings: Settings, changes: Mapping[str, Any], where: str = "") -> Settings:
    """The settings with the nested values of a mapping (as read from YAML) applied.

    Raises:
        AxonInputError: a key is unknown (the nearest known ones are named), or a value has the
            wrong type.
    """
    hints = get_type_hints(type(settings))
    new: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), list(hints), 3, 0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(hints)}."
            raise AxonInputError(f"There is no setting '{where}{key}'. {hint}")
        old = getattr(settings, key)
        if is_dataclass(old) and not isinstance(old, type):
            if not isinstance(value, Mapping):
                raise AxonInputError(
                    f"'{where}{key}' is a group of settings ({', '.join(all_keys(old))}); "
                    f"found {value!r}."
                )
            new[key] = apply(old, value, f"{where}{key}.")
        else:
            new[key] = convert(hints[key], value, where + key)
    try:
        return replace(settings, **new)  # type: ignore[type-var]
    except ValueError as error:  # raised by the checks of the dataclasses themselves
        raise AxonInputError(f"{where.rstrip('.') or 'settings'}: {error}") from error


def convert(kind: Any, value: Any, where: str) -> Any:
    """Convert a YAML value to the type of a field; ``where`` is its dotted name."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        kind = next(k for k in inner if k is not type(None))
        return convert(kind, value, where)
    if origin is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.strip("()[] ").split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            value = [value]
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(each) != len(value):
            raise AxonInputError(f"'{where}' needs {len(each)} values; found {len(value)}.")
        return tuple(convert(k, v, where) for k, v in zip(each, value, strict=True))
    if kind is bool:
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() in words:
            return words[str(value).lower()]
    elif kind is float and not isinstance(value, bool):
        try:
            if math.isfinite(number := float(value)):  # YAML reads 1e-4 as a string
                return number
        except (TypeError, ValueError, OverflowError):
            pass
    elif kind is int and not isinstance(value, bool):
        try:
            if float(value) == int(float(value)):
                return int(float(value))
        except (TypeError, ValueError, OverflowError):
            pass
    elif kind is str and isinstance(value, (str, int, float)):
        return str(value)
    names = {bool: "true or false", float: "a number", int: "a whole number", str: "text"}
    raise AxonInputError(f"'{where}' is {value!r}; expected {names.get(kind, kind)}.")


def apply_pairs(
    settings: Settings, pairs: Iterable[str], renamed: Renamed | None = None
) -> Settings:
    """The settings with ``key=value`` pairs applied in order; ``renamed`` as in
    :func:`with_new_names`."""
    renamed = renamed or {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise AxonInputError(f"--set {pair}: expected key=value.")
        key = full_key(settings, new_name(key.strip(), renamed))
        try:
            value = _parsed(text) if text.strip() else None
        except (_yaml().YAMLError, ValueError, RecursionError) as error:
            raise AxonInputError(f"--set {pair}: the value cannot be read.") from error
        nested: Any = new_value(value, renamed.get(key))
        for part in reversed(key.split(".")):
            nested = {part: nested}
        settings = apply(settings, nested)
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file as a mapping; AxonInputError if it is missing or not a YAML mapping."""
    text = read_text(path, "The settings")
    try:
        values = _parsed(text)
    except (_yaml().YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:300]
        raise AxonInputError(f"{path} is not YAML: {line}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise AxonInputError(f"{path} holds {type(values).__name__}; expected key: value lines.")
    return values


def as_plain(settings: Any) -> dict[str, Any]:
    """Plain dictionaries and lists, for YAML, JSON and checkpoints."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    return plain(asdict(settings))


def to_yaml(settings: Any) -> str:
    """The settings as YAML, in the order of the fields."""
    return _yaml().safe_dump(as_plain(settings), sort_keys=False, default_flow_style=None)


def differences(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """{dotted key: (old, new)} of two plain trees."""
    found: dict[str, tuple[Any, Any]] = {}

    def walk(a: Any, b: Any, key: str) -> None:
        if isinstance(a, dict) and isinstance(b, dict):
            for name in {**a, **b}:
                walk(a.get(name), b.get(name), f"{key}.{name}" if key else name)
        elif a != b:
            found[key] = (a, b)

    walk(old, new, "")
    return found
