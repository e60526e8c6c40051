"""@event: what a class may say of itself, and what is refused when it is declared."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest

from tidings import ConfigError, Registry
from tidings.events.declare import declaration_of


class Plain:
    pass


def _struct(name: str = "Placed", module: str = "shop") -> type:
    return msgspec.defstruct(name, [("order_id", str), ("total", int)], module=module)


def test_structs_models_and_dataclasses_can_be_events() -> None:
    registry = Registry()

    @registry.event("a.struct", topic="orders", key="order_id", version="2")
    class AStruct(msgspec.Struct):
        order_id: str

    @registry.event("a.model")
    class AModel(pydantic.BaseModel):
        order_id: str

    @registry.event("a.dataclass")
    @dataclasses.dataclass
    class ADataclass:
        order_id: str

    assert registry.types == {"a.struct": AStruct, "a.model": AModel, "a.dataclass": ADataclass}
    declaration = declaration_of(AStruct)
    assert declaration is not None
    assert (declaration.event_type, declaration.topic, declaration.version) == ("a.struct", "orders", "2")
    read_key = declaration.key_of()
    assert read_key is not None
    assert read_key(AStruct("o-1")) == "o-1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"event_type": ""}, "printable string"),
        ({"event_type": "a\nb"}, "printable string"),
        ({"event_type": "a\ud800"}, "printable string"),
        ({"event_type": 5}, "printable string"),
        ({"topic": ""}, "topic"),
        ({"topic": ".."}, "topic"),
        ({"topic": "a b"}, "topic"),
        ({"topic": "x" * 250}, "topic"),
        ({"topic": 5}, "topic"),
        ({"key": "nothing"}, "not one of its fields: order_id, total"),
        ({"key": ""}, "not one of its fields"),
        ({"key": ".order_id"}, "not one of its fields"),
        ({"key": 5}, "a field's name or a function"),
        ({"key": b"order_id"}, "a field's name or a function"),
        ({"version": 5}, "version"),
        ({"version": "\ud800"}, "version"),
    ],
)
def test_a_wrong_declaration_is_a_config_error_that_names_the_class(said: dict[str, Any], why: str) -> None:
    registry = Registry()
    with pytest.raises(ConfigError, match=why) as raised:
        registry.event(**{"event_type": "order.placed", **said})(_struct())
    assert "shop.Placed" in str(raised.value)
    assert not registry.types


@pytest.mark.parametrize("cls", [Plain, dict, int, "Placed", None, _struct()("o", 1)])
def test_other_things_cannot_be_events(cls: Any) -> None:
    with pytest.raises((ConfigError, AttributeError)):
        Registry().event("order.placed")(cls)


def test_two_classes_of_one_type_are_an_error_and_a_reload_is_not() -> None:
    registry = Registry()
    first, reloaded, other = _struct(), _struct(), _struct("Shipped")
    registry.event("order.placed")(first)
    registry.event("order.placed")(reloaded)
    assert registry.types["order.placed"] is reloaded
    with pytest.raises(ConfigError, match="already has this event type"):
        registry.event("order.placed")(other)
    Registry().event("order.placed")(other)


def test_a_subclass_does_not_inherit_the_declaration() -> None:
    base = Registry().event("order.placed")(_struct())
    assert declaration_of(type("Sub", (base,), {})) is None
