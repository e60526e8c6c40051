"""A disabled publisher: takes everything, keeps nothing, says so, and still checks events."""

from __future__ import annotations

import asyncio

import pytest

from support.books import LONG, check_books
from support.events import OrderPlaced
from tidings import (
    Delivery,
    HealthStatus,
    InvalidEvent,
    InvalidTopic,
    Publisher,
    PublisherClosed,
    Receipt,
    State,
)


@pytest.fixture
def disabled() -> Publisher:
    return Publisher.disabled()


def test_it_needs_no_brokers_and_delivers_to_nobody(disabled: Publisher) -> None:
    with disabled:
        delivery = disabled.publish(OrderPlaced("o"), event_id="e-1")
        assert delivery.state is State.DISCARDED
        receipt = delivery.wait(0)
        assert (receipt.state, receipt.event_id, receipt.topic) == (State.DISCARDED, "e-1", "orders")
        assert (receipt.partition, receipt.offset, receipt.timestamp) == (-1, -1, None)
        delivery.wait_safe(0)

        async def main() -> Receipt:
            assert await disabled.drain(0)
            return await delivery

        assert asyncio.run(main()) == receipt
        assert disabled.flush(0)
        for sent in (
            disabled.produce("t", b"x"),
            disabled.publish_json("t", 1),
            disabled.sender("t").send(None, 1),
            *disabled.publish_batch([OrderPlaced("o")]),
        ):
            assert isinstance(sent, Delivery)
            assert sent.state is State.DISCARDED
        stats = check_books(disabled)
        assert (stats.discarded, stats.accepted, stats.in_flight) == (5, 0, 0)
        health = disabled.health()
        assert (health.status, health.cause) == (HealthStatus.HEALTHY, "disabled")


def test_it_still_refuses_bad_events(disabled: Publisher) -> None:
    with disabled:
        with pytest.raises(InvalidEvent):
            disabled.publish({"a": object()}, event_type="a.b")
        with pytest.raises(InvalidTopic):
            disabled.produce("..", b"x")
        stats = disabled.stats()
        assert (stats.discarded, stats.rejected) == (0, 2)


def test_it_closes(disabled: Publisher) -> None:
    disabled.publish(OrderPlaced("o"))
    report = disabled.close(LONG)
    assert report is disabled.close()
    assert report.accepted == report.in_flight == 0
    with pytest.raises(PublisherClosed):
        disabled.publish(OrderPlaced("o"))
    assert disabled.health().cause == "closed"


def test_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_ENABLED", "false")
    with Publisher.from_env() as publisher:
        assert publisher.publish(OrderPlaced("o")).state is State.DISCARDED


def test_it_knows_of_no_event(disabled: Publisher) -> None:
    event_id = disabled.publish_json("t", 1).event_id
    assert disabled.find(event_id).place == "not_found"
    assert disabled.find(event_id, topic="t").place == "not_found"
