"""close(): refuse, deliver, give up what cannot be delivered, and account for all of it. Always bounded."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from support.books import LONG, MakePublisher, check_books, check_closed
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import (
    CloseReport,
    Delivery,
    DeliveryError,
    Publisher,
    PublisherClosed,
    PublisherFailed,
    State,
)
from tidings.testing.memory import InMemoryTransport


def test_close_delivers_what_is_in_flight(publisher: Publisher, transport: InMemoryTransport) -> None:
    deliveries = [publisher.publish(OrderPlaced("o", number)) for number in range(3000)]
    report = publisher.close(LONG)
    assert (report.accepted, report.delivered, report.lost, report.in_flight) == (3000, 3000, 0, 0)
    assert {delivery.state for delivery in deliveries} == {State.DELIVERED}
    assert len(transport.records) == 3000


def test_a_second_close_returns_the_same_report_to_everybody(publisher: Publisher) -> None:
    publisher.publish(OrderPlaced("o"))
    report = publisher.close(LONG)
    assert publisher.close() is report
    assert publisher.close(0) is report
    assert asyncio.run(publisher.aclose()) is report
    seen: list[CloseReport] = []
    for _ in range(50):  # threads get the numbers of threads that are gone, the engine's among them
        thread = threading.Thread(target=lambda: seen.append(publisher.close()))
        thread.start()
        thread.join(LONG)
        assert seen.pop() is report


def test_after_close_everything_is_refused_and_nothing_is_taken(
    publisher: Publisher, transport: InMemoryTransport
) -> None:
    publisher.publish(OrderPlaced("o"))
    publisher.close(LONG)
    with pytest.raises(PublisherClosed):
        publisher.publish(OrderPlaced("o"))
    with pytest.raises(PublisherClosed):
        publisher.produce("t", b"x")
    with pytest.raises(PublisherClosed):
        publisher.publish_json("t", 1)
    with pytest.raises(PublisherClosed):
        publisher.sender("t").send(None, b"x")
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected, stats.is_closed) == (1, 4, True)
    assert len(transport.records) == 1
    assert publisher.health().cause == "closed"


def test_closing_one_that_never_published(publisher: Publisher) -> None:
    report = publisher.close()
    assert (report.accepted, report.in_flight) == (0, 0)
    with pytest.raises(PublisherClosed):
        publisher.publish(OrderPlaced("o"))
    check_books(publisher)


def test_close_with_kafka_down_loses_in_memory_and_says_so(
    publisher: Publisher, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.down()
    deliveries = [publisher.publish(OrderPlaced("o", number)) for number in range(5)]
    with caplog.at_level(logging.CRITICAL):
        report = publisher.close(0.2)
    assert (report.accepted, report.delivered, report.lost, report.in_flight) == (5, 0, 5, 0)
    assert report.duration >= 0.2
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    for delivery in deliveries:
        assert delivery.state is State.LOST
        assert any(f"event_id={delivery.event_id}" in it and "topic=orders" in it for it in messages)
        errors: list[DeliveryError] = []
        for _ in range(2):
            with pytest.raises(DeliveryError) as raised:
                delivery.wait(LONG)
            errors.append(raised.value)
        assert errors[0] is not errors[1]
        assert errors[0].code == "KAFKA_SEND_FAILED"
        assert errors[0].certainty == "unknown"
        assert errors[0].kafka_error == "_PURGE_QUEUE", "it was the client that gave it up"
    check_books(publisher)


def test_many_losses_are_one_line_and_a_count_that_names_twenty(
    publisher: Publisher, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.down()
    for number in range(500):
        publisher.publish(OrderPlaced("o", number))
    with caplog.at_level(logging.CRITICAL):
        assert publisher.close(0).lost == 500
    first, *more = [vars(it) for it in caplog.records if "event lost" in it.getMessage()]
    assert first["topic"] == "orders"
    assert sum(it["count"] for it in more) == 499
    assert len({first["event_id"], *more[0]["event_ids"]}) == 21
    assert more[0]["topic"] == "orders"
    assert len(more) <= 3, "one every ten seconds"


def test_those_who_wait_are_told_at_close(publisher: Publisher, transport: InMemoryTransport) -> None:
    transport.down()
    delivery = publisher.publish(OrderPlaced("o"))
    outcomes: list[Any] = []

    def wait() -> None:
        try:
            delivery.wait()
        except DeliveryError as error:
            outcomes.append(error.certainty)

    async def main() -> None:
        await delivery

    def loop() -> None:
        try:
            asyncio.run(main())
        except DeliveryError as error:
            outcomes.append(error.certainty)

    threads = [threading.Thread(target=wait), threading.Thread(target=loop)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    publisher.close(0)
    for thread in threads:
        thread.join(LONG)
    assert outcomes == ["unknown", "unknown"]


def test_a_transport_that_never_reports_cannot_hold_close(make_publisher: MakePublisher) -> None:
    class Mute(InMemoryTransport):
        def poll(self, timeout: float) -> int:
            time.sleep(timeout)
            return 0

        def purge(self) -> None:
            pass

    publisher = make_publisher(transport=Mute())
    delivery = publisher.publish(OrderPlaced("o"))
    report = publisher.close(0.1)
    assert (report.lost, report.in_flight) == (1, 0)
    assert delivery.state is State.LOST
    check_books(publisher)


def test_a_report_that_comes_after_the_end_changes_nothing(make_publisher: MakePublisher) -> None:
    class Late(InMemoryTransport):
        def poll(self, timeout: float) -> int:
            time.sleep(timeout)
            return 0

        def purge(self) -> None:
            pass

    transport = Late()
    publisher = make_publisher(transport=transport)
    delivery = publisher.publish(OrderPlaced("o"))
    report = publisher.close(0)
    InMemoryTransport.poll(transport, 0)
    assert delivery.state is State.LOST
    assert check_books(publisher).lost == report.lost == 1
    assert check_books(publisher).delivered == 0


def test_contexts_close(transport: InMemoryTransport) -> None:
    with Publisher(transport=transport) as first:
        first.publish(OrderPlaced("o"))
    assert check_books(first).is_closed
    assert first.stats().delivered == 1

    async def main() -> Publisher:
        async with Publisher(transport=InMemoryTransport()) as second:
            second.publish(OrderPlaced("o"))
        return second

    second = asyncio.run(main())
    assert check_books(second).delivered == 1
    third = Publisher(transport=InMemoryTransport())
    third.publish(OrderPlaced("o"))
    with pytest.raises(ZeroDivisionError), third:
        _ = 1 // 0
    assert check_books(third).delivered == 1


def test_aclose_leaves_the_loop_running(publisher: Publisher, transport: InMemoryTransport) -> None:
    async def main() -> None:
        transport.down()
        publisher.publish(OrderPlaced("o"))
        closing = asyncio.create_task(publisher.aclose(LONG))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not closing.done()
        with pytest.raises(PublisherClosed):
            publisher.publish(OrderPlaced("o"))
        transport.up()
        assert (await asyncio.wait_for(closing, LONG)).delivered == 1

    asyncio.run(main())


class Rush:
    """Eight threads publish and eight close, all at once."""

    def __init__(self, publisher: Publisher, timeout: float) -> None:
        self.publisher = publisher
        self.timeout = timeout
        self.deliveries: list[Delivery] = []
        self.refused = 0
        self.reports: list[CloseReport] = []
        self.strange: list[BaseException] = []
        self._start = threading.Barrier(16)

    def run(self) -> None:
        targets: list[Callable[[], None]] = [self._publish, self._close] * 8
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()

    def _publish(self) -> None:
        self._start.wait(LONG)
        try:
            for number in range(100_000):
                self.deliveries.append(self.publisher.publish(OrderPlaced("o", number)))
        except PublisherClosed:
            self.refused += 1
        except BaseException as error:
            self.strange.append(error)

    def _close(self) -> None:
        self._start.wait(LONG)
        time.sleep(0.01)
        self.reports.append(self.publisher.close(self.timeout))


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("_round", range(5))
def test_eight_close_while_eight_publish(
    publisher: Publisher, transport: InMemoryTransport, up: bool, _round: int
) -> None:
    if not up:
        transport.down()
    rush = Rush(publisher, LONG if up else 0.1)
    rush.run()
    assert not rush.strange
    assert rush.refused == 8, "each was refused once, and so ended"
    assert len(rush.reports) == 8
    assert len(set(map(id, rush.reports))) == 1
    stats = check_closed(publisher)
    assert stats.accepted == len(rush.deliveries)
    assert stats.rejected == 8
    ended = [delivery.state for delivery in rush.deliveries]
    assert ended.count(State.DELIVERED) == stats.delivered
    assert ended.count(State.LOST) == stats.lost
    assert len(ended) == stats.delivered + stats.lost
    assert stats.lost == 0 if up else stats.delivered == 0


def test_a_client_that_takes_long_to_make_is_closed_too(make_publisher: MakePublisher) -> None:
    """close() comes while the first event still waits for its client: refused, once, and nothing runs on."""
    transport = InMemoryTransport()
    publisher = make_publisher(transport=transport)
    making, go_on = threading.Event(), threading.Event()
    connect = publisher._engine._connect

    def slowly() -> Any:
        making.set()
        assert go_on.wait(LONG)
        return connect()

    publisher._engine._connect = slowly
    outcomes: list[Any] = []

    def first() -> None:
        try:
            outcomes.append(publisher.publish(OrderPlaced("o")))
        except PublisherClosed as error:
            outcomes.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert making.wait(LONG)
    report = publisher.close(0)
    go_on.set()
    thread.join(LONG)
    assert isinstance(outcomes[0], PublisherClosed)
    assert (report.accepted, report.in_flight) == (0, 0)
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected) == (0, 1)
    assert not transport.records
    pump = publisher._engine.pump
    assert pump is not None
    assert pump.stop(LONG), "the poll thread has ended"


def test_a_client_that_cannot_be_made_says_why_and_may_be_made_later(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    connect = publisher._engine._connect

    def refuse() -> Any:
        raise OSError("no such library")

    publisher._engine._connect = refuse
    for _ in range(3):
        with pytest.raises(PublisherFailed, match="no such library"):
            publisher.publish(OrderPlaced("o"))
        assert publisher.health().cause == "client"
        assert check_books(publisher).accepted == 0
    publisher._engine._connect = connect
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


def test_what_is_refused_after_the_close_keeps_nothing_alive(transport: InMemoryTransport) -> None:
    publisher = Publisher(transport=transport, durability="memory", service="tests")
    publisher.produce("t", b"x").wait(LONG)
    publisher.close()
    for _ in range(3):
        with pytest.raises(PublisherClosed):
            publisher.produce("t", b"x")
    engine = weakref.ref(publisher._engine)
    del publisher
    gc.collect()  # the exceptions, whose frames hold entries, which the collector does not see
    gc.collect()
    assert engine() is None


def test_a_timeout_that_is_none_closes_nothing_and_one_without_end_is_taken(publisher: Publisher) -> None:
    with pytest.raises(TypeError):
        publisher.close("soon")  # type: ignore[arg-type]
    assert publisher.publish(OrderPlaced("o")).wait(float("inf")).state is State.DELIVERED
    assert publisher.close(float("inf")).delivered == 1


def test_what_is_refused_while_it_closes_is_in_no_report(make_publisher: MakePublisher) -> None:
    """An event that comes too late arrives, and is taken back: for a moment it looks accepted."""
    publisher, taken, over = make_publisher(), list[object](), threading.Event()

    def publish() -> None:
        while not over.is_set():
            with contextlib.suppress(PublisherClosed):
                taken.append(publisher.publish(OrderPlaced("o")))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: len(taken) > 1000)
    report = publisher.close()
    over.set()
    for thread in threads:
        thread.join()
    assert (report.in_flight, report.accepted) == (0, len(taken))
