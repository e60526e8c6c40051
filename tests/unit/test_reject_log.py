"""ON_REJECT=log: publish() raises nothing but programming errors, and the Delivery has failed already."""

from __future__ import annotations

import asyncio
import logging

import pytest

from support.books import LONG, MakePublisher, check_books
from support.events import OrderPlaced
from tidings import (
    Delivery,
    InvalidEvent,
    InvalidTopic,
    PublisherClosed,
    PublishError,
    QueueFull,
    State,
    correlation,
)
from tidings.testing.memory import InMemoryTransport


async def _await(delivery: Delivery) -> None:
    await delivery


def test_a_refused_event_is_logged_counted_and_raises_when_waited_for(
    make_publisher: MakePublisher, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(on_reject="log")
    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        delivery = publisher.publish({"a": object()}, event_type="a.b", topic="orders", event_id="e-1")
    assert delivery.state is State.REJECTED
    assert delivery.done()
    assert (delivery.event_id, delivery.topic) == ("e-1", "orders")
    errors: list[PublishError] = []
    for wait in (lambda: delivery.wait(LONG), lambda: delivery.wait(0), delivery.wait_safe):
        with pytest.raises(InvalidEvent, match=r"\$\.a is a object") as raised:
            wait()
        errors.append(raised.value)
    with pytest.raises(InvalidEvent) as raised:
        asyncio.run(_await(delivery))
    errors.append(raised.value)
    assert len(set(map(id, errors))) == 4, "a fresh one each time"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    for said in ("event_id=e-1", "topic=orders", "$.a", "KAFKA_INVALID_EVENT"):
        assert said in record.message
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected) == (0, 1)
    assert not transport.records
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


def test_the_same_through_every_call(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(on_reject="log")
    sent = publisher.sender("..").send(None, b"x")
    assert sent is not None
    for delivery in (publisher.produce("..", b"x"), publisher.publish_json("..", 1), sent):
        assert isinstance(delivery.error, InvalidTopic)
    assert publisher.stats().rejected == 3


def test_what_is_wrong_cannot_break_the_log(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(on_reject="log")
    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        publisher.publish(OrderPlaced("o"), topic="a\nCRITICAL forged line", event_id="\ud800")
        publisher.publish(OrderPlaced("o"), topic="x" * 100_000)
        publisher.publish(OrderPlaced("o"), event_id=object())  # type: ignore[arg-type]
    for record in caplog.records:
        record.getMessage().encode()
        assert "\n" not in record.getMessage()
        assert len(record.getMessage()) < 2000
    assert len(caplog.records) == 3


def test_closed_and_full_do_not_raise_either(make_publisher: MakePublisher) -> None:
    transport = InMemoryTransport(queue_messages=1)
    publisher = make_publisher(transport=transport, on_reject="log", max_block=0.0)
    transport.down()
    publisher.publish(OrderPlaced("o"))
    full = publisher.publish(OrderPlaced("o"))
    assert isinstance(full.error, QueueFull)
    transport.up()
    publisher.close(LONG)
    closed = publisher.publish(OrderPlaced("o"))
    assert isinstance(closed.error, PublisherClosed)
    assert publisher.stats().rejected == 2


def test_programming_errors_are_raised(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(on_reject="log")
    with pytest.raises(TypeError):
        publisher.publish()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        publisher.publish(OrderPlaced("o"), no_such_option=1)  # type: ignore[call-arg]


def test_a_storm_of_refusals_is_one_line_and_a_count(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(on_reject="log")
    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        for _ in range(1000):
            publisher.publish(object())
        publisher.close(LONG)
    first, *more = caplog.records
    assert "KAFKA_INVALID_EVENT" in first.message
    assert sum(vars(it)["count"] for it in more) == 999
    assert len(more) <= 3, "one every ten seconds"
    assert publisher.stats().rejected == 1000


def test_a_refusals_record_has_what_is_known_as_fields(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(on_reject="log")
    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        with correlation("req-1"):
            publisher.produce("..", b"x")
        publisher.publish(object(), topic="t", event_id="e-1", correlation_id="req-2")
    first, second = (vars(record) for record in caplog.records)
    assert (first["topic"], first["correlation_id"], first["error"]) == ("..", "req-1", "InvalidTopic")
    assert "event_id" not in first
    assert (second["event_id"], second["correlation_id"]) == ("e-1", "req-2")
    assert not any("None" in record.message for record in caplog.records)
