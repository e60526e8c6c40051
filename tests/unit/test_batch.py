"""publish_batch(): as long as the input, and no event of it raises."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest

from support.books import LONG, MakePublisher, check_books, doom, settle
from support.events import BrokenKey, OrderNoted, OrderPlaced, UserCreated
from tidings import Batch, DeliveryError, InvalidEvent, InvalidTopic, PublisherClosed, Receipt, State
from tidings.testing.memory import InMemoryTransport

MIXED: list[Any] = [
    OrderPlaced("a"),
    {"no": "type"},
    OrderPlaced("b"),
    BrokenKey(),
    UserCreated(None),
    OrderNoted(text=math.nan),
    OrderNoted(key=1.5),
    OrderPlaced("c", "x"),  # type: ignore[arg-type]
    OrderPlaced("d"),
]
GOOD = [0, 2, 8]


@pytest.mark.parametrize("on_reject", ["raise", "log"])
def test_good_and_bad_events_together(
    make_publisher: MakePublisher, transport: InMemoryTransport, on_reject: str
) -> None:
    publisher = make_publisher(on_reject=on_reject)
    batch = publisher.publish_batch(MIXED)
    assert isinstance(batch, Batch)
    assert len(batch) == len(MIXED)
    outcomes = batch.wait(LONG)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Receipt)] == GOOD
    assert set(batch.rejected) == set(range(9)) - set(GOOD)
    assert {type(error) for error in batch.rejected.values()} == {InvalidEvent}
    assert "LookupError" in str(batch.rejected[3])
    assert [delivery.state for delivery in batch[:3]] == [State.DELIVERED, State.REJECTED, State.DELIVERED]
    assert batch[-1].state is State.DELIVERED
    assert list(batch) == [batch[n] for n in range(9)]
    assert repr(batch) == "<Batch of 9, 6 rejected>"
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected, stats.delivered) == (3, 6, 3)
    assert [event["data"]["order_id"] for event in transport.events()] == ["a", "b", "d"]


def test_awaiting_a_batch(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher()
    doom(transport)

    async def main() -> list[Any]:
        return await asyncio.wait_for(publisher.publish_batch(MIXED), LONG)

    outcomes = asyncio.run(main())
    assert isinstance(outcomes[0], DeliveryError)
    assert isinstance(outcomes[1], InvalidEvent)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Receipt)] == [2, 8]


def test_any_iterable_is_a_batch(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()

    def generate() -> Iterator[OrderPlaced]:
        for number in range(10):
            yield OrderPlaced("g", number)

    assert len(publisher.publish_batch(generate()).wait(LONG)) == 10
    assert publisher.publish_batch([]).wait(0) == []
    assert publisher.publish_batch(()).rejected == {}
    assert len(publisher.publish_batch(iter(range(3)), event_type="a.number").wait(LONG)) == 3
    assert settle(publisher).delivered == 13


def test_options_hold_for_all(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher()
    publisher.publish_batch(
        [{"n": 1}, {"n": 2}], event_type="a.b", topic="t", key="k", headers={"h": "1"}, correlation_id="c"
    ).wait(LONG)
    assert {(record.topic, record.key) for record in transport.records} == {("t", b"k")}
    assert {record.json()["correlation_id"] for record in transport.records} == {"c"}
    assert all(("h", b"1") in record.headers for record in transport.records)
    rejected = publisher.publish_batch([OrderPlaced("a"), OrderPlaced("b")], topic="..").rejected
    assert [type(error) for error in rejected.values()] == [InvalidTopic, InvalidTopic]


def test_a_mistake_in_the_call_itself_is_raised(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    with pytest.raises(TypeError, match="no_such_option"):
        publisher.publish_batch([OrderPlaced("a")], no_such_option=1)
    assert check_books(publisher).accepted == 0


def test_a_full_queue_rejects_the_rest_and_waits_once_for_the_whole_call(
    make_publisher: MakePublisher,
) -> None:
    transport = InMemoryTransport(queue_messages=3)
    publisher = make_publisher(transport=transport)
    transport.down()
    batch = publisher.publish_batch([OrderPlaced("o", number) for number in range(2000)], max_block=0.05)
    assert len(batch) == 2000
    assert set(batch.rejected) == set(range(3, 2000))
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected, stats.in_flight) == (3, 1997, 3)
    with pytest.raises(TimeoutError):
        batch.wait(0)
    transport.up()
    settle(publisher)
    assert sum(isinstance(outcome, Receipt) for outcome in batch.wait(LONG)) == 3


def test_a_closed_publisher_rejects_all(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    publisher.close()
    batch = publisher.publish_batch([OrderPlaced("a"), OrderPlaced("b")])
    assert {type(error) for error in batch.rejected.values()} == {PublisherClosed}
    assert len(batch.rejected) == 2


def test_an_iterable_that_fails_fails_before_anything_is_taken(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    def failing() -> Iterator[object]:
        yield OrderPlaced("o-1")
        raise KeyError("second")

    publisher = make_publisher(transport=transport)
    with pytest.raises(KeyError):
        publisher.publish_batch(failing())
    assert publisher.stats().accepted == 0
