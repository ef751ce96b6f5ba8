"""Plain values become a configuration, or the setting that is wrong is named."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

import pytest

from axon_backend.methods.typed_config import Gone, NewValues, from_plain, with_new_names


@dataclass(frozen=True)
class Inner:
    sides: tuple[int, ...] = (1, 2)
    reach: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    size: int = 1
    share: float = 0.5
    on: bool = False
    name: str | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size is {self.size}")


@pytest.mark.parametrize(
    "config", [Outer(), Outer(3, 1, True, "a", Inner((), (1, 2.5))), Outer(name=None)]
)
def test_what_asdict_makes_comes_back_after_json_too(config):
    assert from_plain(Outer, asdict(config)) == config
    assert from_plain(Outer, json.loads(json.dumps(asdict(config)))) == config


def test_what_is_left_out_keeps_its_default():
    assert from_plain(Outer, {"inner": {"sides": [7]}}) == Outer(inner=Inner(sides=(7,)))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"sise": 1}, "^sise is not a setting"),
        ({"inner": {"side": 1}}, r"^inner\.side is not a setting"),
        ({"size": 1.0}, "^size is 1.0; expected int"),
        ({"size": True}, "^size is True; expected int"),
        ({"share": "0.5"}, "^share is '0.5'; expected float"),
        ({"share": False}, "^share is False; expected float"),
        ({"on": 1}, "^on is 1; expected bool"),
        ({"name": 3}, r"^name is 3; expected str \| None"),
        ({"inner": 3}, "^inner is 3; expected Inner"),
        ({"inner": None}, "^inner is None; expected Inner"),
        ({"inner": {"sides": None}}, r"^inner\.sides is None; expected tuple\[int, \.\.\.\]"),
        ({"inner": {"sides": [1, 2.5]}}, r"^inner\.sides\[1\] is 2.5; expected int"),
        ({"inner": {"reach": [1.0]}}, r"^inner\.reach is \[1.0\]; expected tuple\[float, float\]"),
    ],
)
def test_another_type_is_refused_by_its_full_name(values, says):
    with pytest.raises(TypeError, match=says):
        from_plain(Outer, values)


def test_a_value_that_the_dataclass_refuses_is_a_value_error():
    with pytest.raises(ValueError, match="size is -1"):
        from_plain(Outer, {"size": -1})


def test_old_names_groups_and_values_become_new_ones():
    renamed = {
        "a.rate": "a.lr",
        "see": "look",
        "look": NewValues({"left": "port"}),
        "b": "c.b",
        "c.b.x": NewValues({1: 2}),
        "c.b.gone": Gone((0.5, 1)),
        "old": Gone("a", ("b",)),
    }
    new = {"a": {"lr": 0.1, "other": {}}, "look": "port", "c": {"b": {"x": 2, "y": 1}}, "z": [1]}
    for old in ("a", "b"):
        values = {"a": {"rate": 0.1, "other": {}}, "see": "left", "z": [1], "old": old}
        values["b"] = {"x": 1, "y": 1, "gone": [0.5, 1]}
        assert with_new_names(values, renamed) == new
    assert with_new_names(new, renamed) == new
    with pytest.raises(TypeError, match="a is 3; expected a group"):
        with_new_names({"a": 3, "a.x": 1}, {})


def test_a_setting_that_is_gone_stays_where_its_value_is_another():
    """So that who checks the settings refuses it by name."""
    other = {"a": {"gone": 0.3}}
    assert with_new_names(other, {"a.gone": Gone(0.5)}) == other
