"""Done-callbacks: on the notify thread, once, whatever they do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from support.books import LONG, MakePublisher, check_books, doom, settle
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Delivery, PublisherClosed, State
from tidings.testing.memory import InMemoryTransport


@pytest.fixture
def called() -> list[tuple[Delivery, State, str, int]]:
    return []


def _noting(called: list[tuple[Delivery, State, str, int]]) -> Callable[[Delivery], None]:
    def note(delivery: Delivery) -> None:
        called.append((delivery, delivery.state, threading.current_thread().name, threading.get_ident()))

    return note


def test_callbacks_run_on_one_thread_of_their_own(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    called: list[tuple[Delivery, State, str, int]],
) -> None:
    publisher = make_publisher()
    transport.down()
    deliveries = [publisher.publish(OrderPlaced("o", number)) for number in range(100)]
    for delivery in deliveries:
        delivery.add_done_callback(_noting(called))
    transport.up()
    settle(publisher)
    for delivery in deliveries:  # settled by now
        delivery.add_done_callback(_noting(called))
    assert wait_until(lambda: len(called) == 200)
    assert [delivery for delivery, *_ in called] == deliveries * 2
    assert {state for _, state, *_ in called} == {State.DELIVERED}
    threads = {ident for *_, ident in called}
    assert len(threads) == 1
    assert threads.isdisjoint({thread.ident for thread in threading.enumerate() if not thread.daemon})
    assert all(delivery._waiters in (None, []) for delivery in deliveries), "nothing keeps a cycle"


def test_callbacks_of_lost_rejected_and_discarded_deliveries(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    called: list[tuple[Delivery, State, str, int]],
) -> None:
    publisher = make_publisher(on_reject="log")
    disabled = make_publisher(enabled=False)
    doom(transport)
    lost = publisher.publish(OrderPlaced("o"))
    rejected = publisher.publish(object())
    discarded = disabled.publish(OrderPlaced("o"))
    for delivery in (lost, rejected, discarded):
        delivery.add_done_callback(_noting(called))
    assert wait_until(lambda: len(called) == 3)
    assert {state for _, state, *_ in called} == {State.LOST, State.REJECTED, State.DISCARDED}


def test_a_callback_that_raises_anything_is_logged_and_harms_no_other(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    called: list[tuple[Delivery, State, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    publisher = make_publisher()
    errors = [ValueError("v"), SystemExit(3), KeyboardInterrupt(), BaseException("b"), GeneratorExit()]

    def raising(error: BaseException) -> Callable[[Delivery], None]:
        def callback(_: Delivery) -> None:
            raise error

        return callback

    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        delivery = publisher.publish(OrderPlaced("o"))
        for error in errors:
            delivery.add_done_callback(raising(error))
        delivery.add_done_callback(_noting(called))
        assert wait_until(lambda: len(called) == 1)
    logged = [record for record in caplog.records if "a callback raised" in record.message]
    assert len(logged) == len(errors)
    assert {type(record.exc_info[1]) for record in logged if record.exc_info} == set(map(type, errors))
    assert all(delivery.event_id in record.message for record in logged)
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


def test_a_callback_may_publish_and_wait(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    last = threading.Event()
    chain: list[State] = []

    def again(delivery: Delivery) -> None:
        chain.append(delivery.state)
        if len(chain) == 50:
            last.set()
            return
        publisher.publish(OrderPlaced("w")).wait(LONG)
        publisher.publish(OrderPlaced("o")).add_done_callback(again)

    publisher.publish(OrderPlaced("o")).add_done_callback(again)
    assert last.wait(LONG)
    assert chain == [State.DELIVERED] * 50
    assert settle(publisher).delivered == 99


def test_a_callback_that_publishes_into_a_full_queue_does_not_block_who_frees_it(
    make_publisher: MakePublisher,
) -> None:
    transport = InMemoryTransport(queue_messages=5)
    publisher = make_publisher(transport=transport, max_block=LONG)
    published = threading.Event()

    def more(_: Delivery) -> None:
        for number in range(20):
            publisher.publish(OrderPlaced("more", number))
        published.set()

    transport.down()
    deliveries = [publisher.publish(OrderPlaced("o", number)) for number in range(5)]
    publisher.publish_batch([])
    deliveries[0].add_done_callback(more)
    transport.up()
    assert published.wait(LONG)
    assert settle(publisher).delivered == 25


def test_a_callback_that_closes(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    reports: list[bool] = []

    def close(_: Delivery) -> None:
        reports.append(publisher.close(LONG).balanced)

    publisher.publish(OrderPlaced("o")).add_done_callback(close)
    assert wait_until(lambda: reports == [True])
    assert publisher.stats().is_closed, "the door is closed"
    with pytest.raises(PublisherClosed):
        publisher.publish(OrderPlaced("o"))
    report = publisher.close(LONG)  # and whoever closes from outside does the rest
    assert (report.delivered, report.in_flight) == (1, 0)
    check_books(publisher)


def test_callbacks_added_after_close_are_called(
    make_publisher: MakePublisher, called: list[tuple[Delivery, State, str, int]]
) -> None:
    publisher = make_publisher()
    delivery = publisher.publish(OrderPlaced("o"))
    delivery.add_done_callback(_noting(called))
    publisher.close(LONG)
    for count in range(2, 5):
        delivery.add_done_callback(_noting(called))
        assert wait_until(lambda count=count: len(called) == count)  # type: ignore[misc]


def test_close_gives_callbacks_a_moment_and_leaves_one_that_hangs(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    hanging, release, after = threading.Event(), threading.Event(), threading.Event()

    def hang(_: Delivery) -> None:
        hanging.set()
        release.wait(LONG)

    publisher.publish(OrderPlaced("o")).add_done_callback(hang)
    assert hanging.wait(LONG)
    delivery = publisher.publish(OrderPlaced("o"))
    delivery.add_done_callback(lambda _: after.set())
    assert publisher.close(LONG).in_flight == 0, "while the callback still hangs"
    assert not after.is_set()
    release.set()
    assert after.wait(LONG), "the others come once it ends"
    late = threading.Event()
    delivery.add_done_callback(lambda _: late.set())
    assert late.wait(LONG)


def test_callbacks_from_many_threads_are_each_called_once(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    counts = [0] * 2000

    def counting(number: int) -> Callable[[Delivery], None]:
        def count(_: Delivery) -> None:
            counts[number] += 1

        return count

    def run(first: int) -> None:
        for number in range(first, first + 500):
            publisher.publish(OrderPlaced("o", number)).add_done_callback(counting(number))

    threads = [threading.Thread(target=run, args=(first,)) for first in range(0, 2000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert wait_until(lambda: sum(counts) == 2000)
    publisher.close(LONG)
    assert counts == [1] * 2000
