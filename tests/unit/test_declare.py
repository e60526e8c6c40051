"""@event: what a class may say of itself, and what is refused when it is declared."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from tidings import ConfigError, InvalidEvent, Personal, Publisher, Registry, Secret
from tidings.events.declare import declaration_of
from tidings.testing import InMemoryTransport


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


class Maybe(msgspec.Struct):
    order_id: str | None = None


def test_a_key_field_that_is_none_is_refused() -> None:
    registry = Registry()
    registry.event("order.placed", key="order_id")(Maybe)
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry) as publisher:
        for _ in range(2):  # the general way, then the hot path
            with pytest.raises(InvalidEvent, match="the key field 'order_id' is None"):
                publisher.publish(Maybe())
        with pytest.raises(InvalidEvent, match="the key field 'order_id' is None"):
            publisher.publish({"order_id": None}, event_type="order.placed")
        publisher.publish(Maybe(), key="given")
    assert [record.key for record in transport.records] == [b"given"]


def test_a_key_function_may_say_that_there_is_none() -> None:
    registry = Registry()
    registry.event("order.placed", key=lambda order: order.order_id)(Maybe)
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry) as publisher:
        publisher.publish(Maybe())
        publisher.publish(Maybe())
    assert [record.key for record in transport.records] == [None, None]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("customer.name", "'name' is not one of customer's fields: id"),
        ("customer.id.x", ""),
        ("anything.x", ""),
        ("maybe.id", ""),
        ("maybe.no", "'no' is not one of maybe's fields: id"),
    ],
)
def test_a_path_is_checked_as_far_as_annotations_tell(key: str, says: str) -> None:
    declare = Registry().event("order.placed", key=key)
    if says:
        with pytest.raises(ConfigError, match=says):
            declare(WithParts)
    else:
        declare(WithParts)


class Part(msgspec.Struct):
    id: str


class WithParts(msgspec.Struct):
    customer: Part
    anything: Any = None
    maybe: Part | None = None


def test_typed_dicts_are_checked_and_keyed() -> None:
    class Noted(TypedDict):
        order_id: str
        count: NotRequired[int]

    registry = Registry()
    registry.event("order.noted", topic="notes", key="order_id", version="4")(Noted)
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry) as publisher:
        publisher.publish(Noted(order_id="o-1"), event_type="order.noted")
        with pytest.raises(InvalidEvent, match="count"):
            publisher.publish({"order_id": "o-1", "count": "many"}, event_type="order.noted")
        with pytest.raises(InvalidEvent, match="order_id"):
            publisher.publish({"count": 1}, event_type="order.noted")
    (record,) = transport.records
    assert (record.topic, record.key, record.json()["version"]) == ("notes", b"o-1", "4")


@pytest.mark.parametrize("event_type", ["Placed", "order", "order.Placed", "order..placed", "order placed"])
def test_entity_action_where_it_is_asked_for(event_type: str) -> None:
    with pytest.raises(ConfigError, match=r"entity\.action"):
        Registry(entity_action=True).event(event_type)(_struct())
    Registry(entity_action=True).event("order.line_item.placed")(_struct())
    Registry().event(event_type)(_struct())


def test_a_key_may_not_be_what_never_leaves() -> None:
    for mark in (Secret, Personal(on_wire="drop")):
        cls = msgspec.defstruct("Card", [("number", Annotated[str, mark], "")])
        with pytest.raises(ConfigError, match="never reaches the wire"):
            Registry().event("card.added", key="number")(cls)


def test_a_key_is_what_the_wire_carries() -> None:
    registry = Registry()
    cls = msgspec.defstruct("Card", [("number", Annotated[str, Personal(on_wire="last4")])])
    registry.event("card.added", key="number")(cls)
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry) as publisher:
        publisher.publish(cls("4111111111111111"))
    assert transport.records[0].key == b"************1111"


def test_a_dict_in_place_of_a_class_has_its_topic_and_its_key_field_and_not_its_key_function() -> None:
    registry = Registry()
    registry.event("order.placed", topic="orders", key="order_id")(_struct())
    registry.event("order.shipped", topic="orders", key=lambda order: order.order_id)(_struct("Shipped"))
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry) as publisher:
        publisher.publish({"order_id": "o-1"}, event_type="order.placed")
        publisher.publish({"order_id": "o-1"}, event_type="order.shipped")
        with pytest.raises(InvalidEvent, match="the key cannot be read"):
            publisher.publish({}, event_type="order.placed")
    assert [(record.topic, record.key) for record in transport.records] == [
        ("orders", b"o-1"),
        ("orders", None),
    ]
