"""From a record to a call: every form an event has, and what is none."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.consuming import FakeRecord, event_value
from support.events import OrderPlaced
from tidings import Consumer, Envelope, Message, Personal, Publisher
from tidings.consuming.functions import called
from tidings.consuming.handlers import Handlers, handler_of
from tidings.consuming.reading import Reading, Unread
from tidings.consuming.retries import RetryPolicy
from tidings.testing.memory import InMemoryTransport


class Model(pydantic.BaseModel):
    order_id: str
    total: int = 0


class Timed(msgspec.Struct):
    took: timedelta


class Hidden(msgspec.Struct):
    email: Annotated[str, Personal]
    age: int


def struct(order: OrderPlaced) -> None: ...
def model(order: Model) -> None: ...
def as_json(order: dict[str, Any]) -> None: ...
def message(order: Message[OrderPlaced]) -> None: ...
def bare(order: Message) -> None: ...  # type: ignore[type-arg]
def timed(it: Timed) -> None: ...
def hidden(it: Hidden) -> None: ...


def reading(*, unknown: Any = "skip", topic: Any = None, **by_type: Any) -> Reading:
    handlers = Handlers()
    for name, fn in by_type.items():
        made = handler_of(fn, policy=RetryPolicy(), timeout=1)
        handlers.add_type(name.replace("_", "."), made)
    if topic is not None:
        handlers.add_topic("orders", handler_of(topic, policy=RetryPolicy(), timeout=1))
    return Reading(handlers, unknown)


def published(envelope: str, **data: Any) -> FakeRecord:
    """What our own publisher writes."""
    transport = InMemoryTransport()
    with Publisher(transport=transport, envelope=envelope, service="shop", version="3") as publisher:
        publisher.publish(
            data,
            event_type="order.placed",
            topic="orders",
            event_id="the-id",
            correlation_id="the-work",
            timestamp=datetime(2026, 1, 2, tzinfo=UTC),
        ).wait(60)
    (record,) = transport.records
    return FakeRecord(record.value, b"k", offset=7, partition=2, headers=record.headers)


@pytest.mark.parametrize("envelope", ["json", "cloudevents", "cloudevents-binary"])
@pytest.mark.parametrize("fn", [struct, model, as_json, message, bare])
def test_every_form_becomes_what_the_annotation_says(envelope: str, fn: Any) -> None:
    record = published(envelope, order_id="o-1", total=3)
    call = reading(order_placed=fn).read(record, 2)
    assert call is not None
    route, argument, correlation_id = call
    assert (route.handler.name, correlation_id) == (called(fn), "the-work")
    expected: dict[Any, Any] = {
        struct: OrderPlaced("o-1", 3),
        model: Model(order_id="o-1", total=3),
        as_json: {"order_id": "o-1", "total": 3},
        message: OrderPlaced("o-1", 3),
        bare: {"order_id": "o-1", "total": 3},
    }
    if fn in (message, bare):
        assert isinstance(argument, Message)
        assert (argument.event_type, argument.event_id, argument.attempt) == ("order.placed", "the-id", 2)
        assert argument.timestamp == datetime(2026, 1, 2, tzinfo=UTC)
        assert (argument.source, argument.version, argument.correlation_id) == ("shop", "3", "the-work")
        assert (argument.topic, argument.partition, argument.offset) == ("orders", 2, 7)
        assert (argument.key, argument.value) == (b"k", record.value())
        assert argument.record_timestamp == datetime.fromtimestamp(1_700_000_000, UTC)
        assert ("event_id", b"the-id") in [(n.removeprefix("ce_"), v) for n, v in argument.headers] or (
            envelope == "cloudevents-binary"
        )
        argument = argument.data
    assert argument == expected[fn]


def test_durations_are_nanoseconds_on_the_wire() -> None:
    record = FakeRecord(event_value("timed", took=1_500_000_000))
    call = reading(timed=timed).read(record)
    assert call is not None
    assert call[1] == Timed(timedelta(seconds=1.5))


def test_an_event_without_a_correlation_id_begins_one_of_its_own() -> None:
    value = msgspec.json.encode({"event_type": "order.placed", "event_id": "e", "data": {}})
    call = reading(order_placed=as_json).read(FakeRecord(value))
    assert call is not None
    assert call[2] == "e"


@pytest.mark.parametrize("fn", [struct, model, message])
def test_only_the_type_and_the_data_have_to_be_right(fn: Any) -> None:
    value = b'{"event_type": "order.placed", "event_id": 3, "source": {}, "timestamp": "?", "data": %b}'
    call = reading(order_placed=fn).read(FakeRecord(value % b'{"order_id": "o", "total": 1}'))
    assert call is not None
    assert call[2] == "3"


def test_an_id_in_a_header_is_that_of_an_envelope_without_one() -> None:
    value = b'{"event_type": "order.placed", "data": {"order_id": "o", "total": 1}}'
    call = reading(order_placed=message).read(FakeRecord(value, headers=[("event_id", b"e-1")]))
    assert call is not None
    assert (call[1].event_id, call[2]) == ("e-1", "e-1")


@pytest.mark.parametrize("unknown", ["skip", "letter"])
def test_unknown_types_are_skipped_or_become_letters(unknown: str) -> None:
    read = reading(unknown=unknown, order_placed=struct).read
    plain = FakeRecord(b'{"just": "json"}')
    other = FakeRecord(event_value("order.shipped"))
    cloud = published("cloudevents")
    cloud = FakeRecord((cloud.value() or b"").replace(b"order.placed", b"order.shipped"))
    for record in (other, plain, FakeRecord(None), cloud):
        if unknown == "skip":
            assert read(record) is None
        else:
            with pytest.raises(Unread, match="no handler"):
                read(record)


def test_what_no_type_handler_is_for_goes_to_the_handler_of_the_topic() -> None:
    read = reading(order_placed=struct, topic=bare).read
    cases = [
        (FakeRecord(b'{"just": "json"}'), {"just": "json"}, None),
        (FakeRecord(b"[1, 2]"), [1, 2], None),
        (FakeRecord(event_value("order.shipped", n=1)), {"n": 1}, "order.shipped"),
        (FakeRecord(None, b"gone"), None, None),
    ]
    for record, data, event_type in cases:
        call = read(record)
        assert call is not None
        assert (call[0].handler.name, call[1].data, call[1].event_type) == (called(bare), data, event_type)
    typed = read(FakeRecord(event_value(order_id="o", total=1)))
    assert typed is not None
    assert typed[0].handler.name == called(struct)


def test_a_binary_cloud_event_whose_data_looks_like_an_envelope_is_no_unknown_type() -> None:
    value = event_value("something.else")
    headers = [("ce_specversion", b"1.0"), ("ce_type", b"order.placed"), ("ce_id", b"1")]
    call = reading(order_placed=as_json).read(FakeRecord(value, headers=headers))
    assert call is not None
    assert call[1]["event_type"] == "something.else"


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xfe",
        b"not json",
        b"",
        b'{"event_type": "order.placed", "data": {"total": "many"}}',
        b'{"event_type": "order.placed", "data": {"order_id": 3}}',
        b'{"event_type": "order.placed", "data": ' + b"[" * 100_000,
        b'{"event_type": "\xff", "data": {}}',
    ],
)
@pytest.mark.parametrize("fn", [struct, model, message])
def test_what_cannot_be_decoded_says_so(value: bytes, fn: Any) -> None:
    with pytest.raises(Unread):
        reading(order_placed=fn).read(FakeRecord(value))


@given(value=st.binary(max_size=60) | st.text().map(str.encode) | st.none())
def test_no_bytes_do_more_than_that(value: bytes | None) -> None:
    read = reading(order_placed=struct, topic=as_json).read
    with contextlib.suppress(Unread):
        read(FakeRecord(value))


def test_what_is_wrong_is_told_without_what_marked_fields_hold() -> None:
    value = event_value("hidden", email={"nested": "a@b.example"}, age="old")
    with pytest.raises(Unread) as raised:
        reading(hidden=hidden).read(FakeRecord(value))
    assert "a@b.example" not in str(raised.value)
    assert "email" in str(raised.value)


def test_a_message_is_what_decode_says_too() -> None:
    """The quick way and the general one give the same."""
    from tidings import decode

    record = published("json", order_id="o", total=1)
    call = reading(order_placed=bare).read(record)
    envelope: Envelope[Any] = decode(record.value(), record.headers() or [])
    assert call is not None
    for name in ("data", "event_type", "event_id", "timestamp", "source", "version", "correlation_id"):
        assert getattr(call[1], name) == getattr(envelope, name), name


@given(
    kinds=st.lists(
        st.sampled_from(["placed", "no id", "other", "broken", "gone"]) | st.just("placed"),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_read_at_once_is_what_is_read_one_by_one(kinds: list[str]) -> None:
    values = {
        "placed": event_value(order_id="o", total=1),
        "no id": b'{"event_type": "order.placed", "data": {"order_id": "o", "total": 1}}',
        "other": event_value("order.shipped", n=1),
        "broken": b"{",
        "gone": None,
    }
    records = [FakeRecord(values[kind], b"k", offset=number) for number, kind in enumerate(kinds)]
    consumer = Consumer(brokers="b:9092", topics="orders", group_id="g")

    @consumer.on_batch(OrderPlaced)
    def handle(orders: list[OrderPlaced]) -> None: ...

    made = Reading(consumer._handlers, "skip")
    found = made.read_alike(records)
    assert (found is not None) is (set(kinds) == {"placed"})
    if found is not None:
        route, data = found
        calls = [made.read(record) for record in records]
        assert [(it[0], it[1]) for it in calls if it] == [(route, each) for each in data]
