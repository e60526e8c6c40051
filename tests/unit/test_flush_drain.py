"""flush() and drain(): every event accepted before the call has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from support.books import LONG, check_books, doom
from support.events import OrderPlaced
from tidings import Delivery, Publisher, State
from tidings.testing.memory import InMemoryTransport


def test_flush_waits_for_all(publisher: Publisher, transport: InMemoryTransport) -> None:
    deliveries = [publisher.publish(OrderPlaced("o", number)) for number in range(2000)]
    assert publisher.flush(LONG) is True
    assert {delivery.state for delivery in deliveries} == {State.DELIVERED}
    assert publisher.stats().delivered == 2000


def test_flush_of_nothing(publisher: Publisher) -> None:
    assert publisher.flush() is True
    assert publisher.flush(0) is True
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert publisher.flush(0) is True


@pytest.mark.parametrize("timeout", [0, 0.05, -1])
def test_flush_says_when_it_gives_up(
    publisher: Publisher, transport: InMemoryTransport, timeout: float
) -> None:
    transport.down()
    delivery = publisher.publish(OrderPlaced("o"))
    assert publisher.flush(timeout) is False
    assert delivery.state is State.ACCEPTED
    assert check_books(publisher).in_flight == 1
    transport.up()
    assert publisher.flush(LONG) is True


def test_an_event_that_is_lost_has_ended(publisher: Publisher, transport: InMemoryTransport) -> None:
    doom(transport, times=3)
    for _ in range(5):
        publisher.publish(OrderPlaced("o"))
    assert publisher.flush(LONG) is True
    stats = check_books(publisher)
    assert (stats.delivered, stats.lost) == (2, 3)


def test_flush_does_not_wait_for_later_events(publisher: Publisher, transport: InMemoryTransport) -> None:
    """It ends although another thread publishes for as long as it runs."""
    stop = threading.Event()

    def keep_publishing() -> None:
        while not stop.is_set():
            publisher.publish(OrderPlaced("later"))

    thread = threading.Thread(target=keep_publishing)
    thread.start()
    try:
        for number in range(8):
            mine = publisher.publish(OrderPlaced("o", number))
            assert publisher.flush(LONG) is True
            assert mine.done()
    finally:
        stop.set()
        thread.join(LONG)


def test_flush_from_many_threads(publisher: Publisher) -> None:
    results: list[bool] = []

    def work() -> None:
        for number in range(50):
            publisher.publish(OrderPlaced("o", number))
            results.append(publisher.flush(LONG))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert results == [True] * 300
    assert publisher.stats().delivered == 300


def test_flush_in_a_callback(publisher: Publisher) -> None:
    flushed: list[bool] = []
    done = threading.Event()

    def flush(_: Delivery) -> None:
        publisher.publish(OrderPlaced("inner"))
        flushed.append(publisher.flush(LONG))
        done.set()

    publisher.publish(OrderPlaced("o")).add_done_callback(flush)
    assert done.wait(LONG)
    assert flushed == [True]


def test_flush_after_close(publisher: Publisher, transport: InMemoryTransport) -> None:
    transport.down()
    publisher.publish(OrderPlaced("o"))
    publisher.close(0)
    assert publisher.flush(0) is True, "it has ended: it is lost"
    assert publisher.stats().lost == 1


def test_drain_is_flush_for_a_coroutine(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        assert await publisher.drain(0) is True
        transport.down()
        publisher.publish(OrderPlaced("o"))
        assert await publisher.drain(0) is False
        assert await publisher.drain(0.02) is False
        beats = 0
        draining = asyncio.create_task(publisher.drain())
        for _ in range(20):
            await asyncio.sleep(0.001)
            beats += 1
        assert beats == 20
        assert not draining.done()
        transport.up()
        assert await asyncio.wait_for(draining, LONG) is True
        assert publisher.stats().delivered == 1

    asyncio.run(main())


def test_a_cancelled_drain_is_harmless(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        transport.down()
        publisher.publish(OrderPlaced("o"))
        draining = asyncio.create_task(publisher.drain())
        await asyncio.sleep(0.01)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        transport.up()
        assert await publisher.drain(LONG)

    asyncio.run(main())


def test_counters_change_before_those_who_wait_are_woken(publisher: Publisher) -> None:
    for number in range(1, 300):
        publisher.publish(OrderPlaced("o", number)).wait(LONG)
        assert publisher.stats().delivered == number
