"""The hot path and the general way publish the same records and refuse the same events."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pydantic
import pytest

from support.ids import named
from tidings import EventTooLarge, InvalidEvent, Publisher, PublishError, QueueFull, Registry, correlation
from tidings.testing import InMemoryRecord, InMemoryTransport

event = Registry().event


@event("hot.struct", topic="hot", key="name")
class Struct(msgspec.Struct):
    name: str
    count: int = 1


@event("hot.nested", key=lambda nested: f"{nested.inner.name}-x")
class Nested(msgspec.Struct):
    inner: Struct
    more: list[float]


@event("hot.data", key="number", version="7")
@dataclasses.dataclass
class Data:
    number: int
    text: str | None = None


@event("hot.model")
class Model(pydantic.BaseModel):
    name: str


SOUND = [
    Struct("ünï\n", 2),
    Struct(""),
    Nested(Struct("a"), [1.0, 2.5]),
    Data(2**70),
    Data(-1, "null"),
    Model(name="m"),
]
UNSOUND: list[tuple[Any, type[PublishError]]] = [
    (Struct("\ud800"), InvalidEvent),
    (Struct("a", "b"), InvalidEvent),  # type: ignore[arg-type]
    (Nested(Struct("a"), [float("nan")]), InvalidEvent),
    (Nested(Struct("a"), "no list"), InvalidEvent),  # type: ignore[arg-type]
    (Data(1, object()), InvalidEvent),  # type: ignore[arg-type]
    (Model.model_construct(name=5), InvalidEvent),
    (Struct("x" * 500_000, 1), EventTooLarge),
    (Struct("x" * 2_000_000, 1), EventTooLarge),
]


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport(queue_messages=20)


def _general(publisher: Publisher, payload: object) -> None:
    """``max_block`` is an option, so this takes the general way."""
    publisher.publish(payload, max_block=0.5)


def _comparable(record: InMemoryRecord) -> tuple[object, ...]:
    """A record without what no two have in common: its id, its time, its place."""
    envelope = record.json()
    event_id, timestamp = envelope.pop("event_id"), envelope.pop("timestamp")
    assert len(event_id) == 36
    assert len(timestamp) == 24
    own = envelope["correlation_id"] == event_id
    text = (record.value or b"").replace(event_id.encode(), b"ID").replace(timestamp.encode(), b"TIME")
    headers = [(name, (value or b"").replace(event_id.encode(), b"ID")) for name, value in record.headers]
    return own, text, headers, record.key, record.topic, record.partition


@pytest.mark.parametrize("payload", SOUND, ids=named)
@pytest.mark.parametrize("correlation_id", [None, 'quote " and ü'])
def test_the_same_record(transport: InMemoryTransport, payload: object, correlation_id: str | None) -> None:
    with Publisher(transport=transport) as publisher:
        for _ in range(2):  # the first of a kind makes the hot path, the second takes it
            if correlation_id is None:
                publisher.publish(payload)
                _general(publisher, payload)
            else:
                with correlation(correlation_id):
                    publisher.publish(payload)
                    _general(publisher, payload)
        assert type(payload) in publisher._hot
        assert publisher.flush(10)
    assert len({repr(_comparable(record)) for record in transport.records}) == 1
    assert len(transport.records) == 4


@pytest.mark.parametrize(("payload", "error"), UNSOUND, ids=lambda value: named(value)[:30])
def test_the_same_refusal(transport: InMemoryTransport, payload: Any, error: type[PublishError]) -> None:
    sound = next(each for each in SOUND if type(each) is type(payload))
    with Publisher(transport=transport) as publisher:
        publisher.publish(sound)
        with pytest.raises(error) as hot:
            publisher.publish(payload)
        with pytest.raises(error) as general:
            _general(publisher, payload)
        assert str(hot.value) == str(general.value)
        assert publisher.stats().rejected == 2
        assert publisher.stats().accepted == 1


def test_a_full_queue_refuses_alike(transport: InMemoryTransport) -> None:
    with Publisher(transport=transport, max_block="10ms") as publisher:
        transport.down()
        for _ in range(20):
            publisher.publish(SOUND[0])
        for publish in (publisher.publish, lambda payload: _general(publisher, payload)):
            with pytest.raises(QueueFull):
                publish(SOUND[0])
        transport.up()
        assert publisher.flush(10)
        assert publisher.stats().accepted == publisher.stats().delivered == 20


def test_headers_can_be_written_again(transport: InMemoryTransport) -> None:
    """What the hot path does not keep must come back exactly: a resend needs it."""
    transport.down()
    with Publisher(transport=transport) as publisher:
        with correlation("ü \u0000"):
            deliveries = [publisher.publish(SOUND[0]) for _ in range(2)]
        deliveries.append(publisher.publish(SOUND[0], event_id='"odd" \\ id'))
        again = [delivery.record_headers() for delivery in deliveries]
        transport.up()
        assert publisher.flush(10)
    assert [record.headers for record in transport.records] == again


def test_a_new_mapping_is_obeyed_at_once(transport: InMemoryTransport) -> None:
    with Publisher(transport=transport) as publisher:
        publisher.publish(SOUND[0])
        publisher.set_topic_mapping("hot.struct", "elsewhere")
        publisher.publish(SOUND[0])
        assert publisher.flush(10)
    assert [record.topic for record in transport.records] == ["hot", "elsewhere"]
