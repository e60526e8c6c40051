"""A full queue: a thread waits for room, a running loop does not, and the engine's own threads neither."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from support.books import LONG, MakePublisher, check_books, settle
from support.events import OrderPlaced
from tidings import Delivery, Publisher, QueueFull, State
from tidings.testing.memory import InMemoryTransport


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport(queue_messages=3)


@pytest.fixture
def full(make_publisher: MakePublisher, transport: InMemoryTransport) -> Publisher:
    """A publisher whose queue is full, and that waits long for room."""
    publisher = make_publisher(max_block=LONG)
    transport.down()
    for _ in range(3):
        publisher.publish(OrderPlaced("o"))
    return publisher


def test_a_thread_waits_max_block_and_then_nothing_is_taken(
    full: Publisher, transport: InMemoryTransport
) -> None:
    started = time.monotonic()
    with pytest.raises(QueueFull) as raised:
        full.publish(OrderPlaced("late"), max_block=0.2)
    assert time.monotonic() - started >= 0.2
    assert raised.value.retriable
    assert raised.value.__cause__ is None
    stats = check_books(full)
    assert (stats.accepted, stats.rejected, stats.in_flight) == (3, 1, 3)
    transport.up()
    settle(full)
    assert len(transport.records) == 3


@pytest.mark.parametrize("max_block", [0, 0.0, -1])
def test_no_patience_no_wait(full: Publisher, transport: InMemoryTransport, max_block: float) -> None:
    with pytest.raises(QueueFull):
        full.publish(OrderPlaced("late"), max_block=max_block)
    transport.up()


def test_room_that_comes_in_time_is_used(full: Publisher, transport: InMemoryTransport) -> None:
    timer = threading.Timer(0.1, transport.up)
    timer.start()
    assert full.publish(OrderPlaced("late")).wait(LONG).state is State.DELIVERED
    timer.join()
    stats = settle(full)
    assert (stats.accepted, stats.rejected) == (4, 0)


def test_room_that_came_while_nobody_served_reports_is_used(
    full: Publisher, transport: InMemoryTransport
) -> None:
    transport.up()  # the queue is full of reports now, until somebody serves them
    for number in range(200):
        full.publish(OrderPlaced("o", number), max_block=LONG)
    assert settle(full).delivered == 203


def test_a_running_loop_is_never_blocked(full: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        for _ in range(3):
            with pytest.raises(QueueFull):  # although MAX_BLOCK is a minute, and so is the argument
                full.publish(OrderPlaced("late"), max_block=LONG)
        assert {type(error) for error in full.publish_batch([OrderPlaced("b")] * 2).rejected.values()} == {
            QueueFull
        }

        def in_thread() -> Delivery:
            return full.publish(OrderPlaced("thread"))

        waiting = asyncio.create_task(asyncio.to_thread(in_thread))
        await asyncio.sleep(0.05)
        assert not waiting.done(), "a thread beside the loop waits"
        transport.up()
        receipt = await asyncio.wait_for(await waiting, LONG)
        assert receipt.state is State.DELIVERED

    asyncio.run(asyncio.wait_for(main(), LONG))
    assert settle(full).rejected == 5


def test_many_threads_share_little_room(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher(max_block=LONG)

    def run() -> None:
        for number in range(300):
            publisher.publish(OrderPlaced("o", number))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    stats = settle(publisher)
    assert (stats.delivered, stats.rejected, stats.lost) == (2400, 0, 0)


def test_close_ends_the_waiting(full: Publisher, transport: InMemoryTransport) -> None:
    """Threads that wait for room when close() comes are refused, and nothing of theirs is taken."""
    outcomes: list[str] = []

    def run() -> None:
        try:
            full.publish(OrderPlaced("late"))
            outcomes.append("taken")
        except Exception as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    report = full.close(0)
    for thread in threads:
        thread.join(LONG)
    assert outcomes == ["PublisherClosed"] * 4
    assert (report.accepted, report.lost, report.in_flight) == (3, 3, 0)
    assert check_books(full).rejected == 4
