"""Reports that never come, because a raising signal handler ate them: noticed, and sent again."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from support.books import LONG, MakePublisher, check_books, ids_of, settle
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Delivery, Publisher, State
from tidings.testing.memory import InMemoryTransport


def _eaten(*_: object) -> None:
    """The report a signal handler interrupted at its first line."""


class Eater(InMemoryTransport):
    """Eats reports of the keys in ``meals``, so many each: they are delivered, and nobody hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.meals: dict[bytes | None, int] = {}

    def _deliver(self, taken: Any) -> None:
        if self.meals.get(taken.key):
            self.meals[taken.key] -= 1
            taken.report = _eaten
        super()._deliver(taken)


@pytest.fixture
def eater() -> Eater:
    return Eater()


@pytest.fixture
def publisher(make_publisher: MakePublisher, eater: Eater) -> Publisher:
    return make_publisher(transport=eater)


def test_it_is_sent_again_under_its_id_and_says_so(publisher: Publisher, eater: Eater) -> None:
    eater.meals[b"o"] = 1
    delivery = publisher.publish(OrderPlaced("o", 7), headers={"mine": "1"}, topic="t")
    receipt = delivery.wait(LONG)
    assert (receipt.state, receipt.attempts) == (State.DELIVERED, 2)
    first, second = eater.records
    assert (second.topic, second.key, second.value) == (first.topic, first.key, first.value)
    assert second.headers == [*first.headers, ("tidings-resent", b"2")]
    assert "tidings-resent" not in dict(first.headers)
    assert receipt.offset == second.offset
    assert ids_of(eater) == {delivery.event_id: 2}
    stats = settle(publisher)
    assert (stats.accepted, stats.delivered) == (1, 1)


def test_eaten_again_and_again(publisher: Publisher, eater: Eater) -> None:
    eater.meals[b"o"] = 3
    receipt = publisher.publish(OrderPlaced("o")).wait(LONG)
    assert receipt.attempts == 4
    assert [dict(record.headers).get("tidings-resent") for record in eater.records] == [
        None,
        b"2",
        b"3",
        b"4",
    ]


def test_a_user_set_partition_and_time_are_kept(publisher: Publisher, eater: Eater) -> None:
    eater.meals[None] = 1
    publisher.produce("t", b"x", partition=3, timestamp=1_700_000_000_000).wait(LONG)
    assert [(record.partition, record.timestamp) for record in eater.records] == [(3, 1_700_000_000_000)] * 2


def test_many_among_many(publisher: Publisher, eater: Eater) -> None:
    deliveries: list[Delivery] = []
    for number in range(1000):
        if number % 10 == 0:
            eater.meals[b"%d" % number] = 1
        deliveries.append(publisher.publish(OrderPlaced(str(number))))
    stats = settle(publisher)
    assert (stats.accepted, stats.delivered, stats.lost) == (1000, 1000, 0)
    again = sum(delivery.attempts == 2 for delivery in deliveries)
    assert again == 100
    assert len(eater.records) == 1100
    assert len(ids_of(eater)) == 1000


def test_those_who_wait_are_woken_by_the_second_report(publisher: Publisher, eater: Eater) -> None:
    eater.meals[b"o"] = 1
    delivery = publisher.publish(OrderPlaced("o"))
    called = threading.Event()
    delivery.add_done_callback(lambda _: called.set())

    async def main() -> int:
        return (await asyncio.wait_for(delivery, LONG)).attempts

    assert asyncio.run(main()) == 2
    assert called.wait(LONG)


def test_flush_and_close_wait_for_it(make_publisher: MakePublisher, eater: Eater) -> None:
    publisher = make_publisher(transport=eater)
    eater.meals = {b"flushed": 1, b"closed": 2}
    publisher.publish(OrderPlaced("flushed"))
    assert publisher.flush(LONG)
    publisher.publish(OrderPlaced("closed"))
    report = publisher.close(LONG)
    assert (report.delivered, report.lost) == (2, 0), "close() sends it again too"
    check_books(publisher)


def test_nothing_is_sent_again_while_the_client_is_at_work(publisher: Publisher, eater: Eater) -> None:
    """Only an empty client proves that a report is lost: one in an outage is just slow."""
    eater.down()
    delivery = publisher.publish(OrderPlaced("o"))
    with pytest.raises(TimeoutError):
        delivery.wait(0.8)  # three sweeps
    eater.up()
    assert delivery.wait(LONG).attempts == 1
    assert len(eater.records) == 1


def test_no_room_to_send_it_again_is_no_loss(make_publisher: MakePublisher) -> None:
    class Crowded(Eater):
        """Publishers fill the queue just before a record is sent again."""

        full = 3

        def produce(self, *args: Any) -> None:
            if self.full and "tidings-resent" in dict(args[-1]):
                self.full -= 1
                raise BufferError("Local: Queue full")
            super().produce(*args)

    transport = Crowded()
    transport.meals[b"o"] = 1
    publisher = make_publisher(transport=transport)
    receipt = publisher.publish(OrderPlaced("o")).wait(LONG)
    assert transport.full == 0
    assert (receipt.state, receipt.attempts) == (State.DELIVERED, 2), "only hand-overs are attempts"
    assert settle(publisher).lost == 0


def test_a_late_report_ends_nothing_twice(make_publisher: MakePublisher) -> None:
    """The first report was not eaten, only slow: both come, one counts."""

    class Slow(InMemoryTransport):
        """Forgets a record's report, and gives it after all when asked."""

        def __init__(self) -> None:
            super().__init__()
            self.hidden: list[Any] = []

        def poll(self, timeout: float) -> int:
            if not self.hidden and not self._reports.empty():
                self.hidden.append(self._reports.get())
            return super().poll(min(timeout, 0.01))

    transport = Slow()
    publisher = make_publisher(transport=transport)
    delivery = publisher.publish(OrderPlaced("o"))
    assert delivery.wait(LONG).attempts == 2
    transport._reports.put(transport.hidden[0])
    ledger = publisher._engine.ledger
    assert wait_until(lambda: ledger.late == 1)
    stats = check_books(publisher)
    assert (stats.accepted, stats.delivered) == (1, 1)
