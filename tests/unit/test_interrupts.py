"""Raising signal handlers on the main thread: whatever they cut off, the books balance and nothing hangs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.books import LONG, MakePublisher, check_books, check_closed, settle
from support.events import OrderPlaced
from support.scripts import TESTS, run_script
from tidings import Delivery, Publisher, PublisherClosed, QueueFull, State
from tidings.testing.memory import InMemoryTransport

Install = Callable[[Callable[[], object]], None]
PROGRAMS = TESTS / "unit" / "programs"


@pytest.mark.parametrize(
    ("error", "hot"),
    [
        ("KeyboardInterrupt", "publish"),
        ("TimeoutError", "publish"),
        ("KeyboardInterrupt", "fail"),
        ("TimeoutError", "flush"),
        ("SystemExit", "wait"),
        ("TimeoutError", "batch"),
    ],
)
def test_thousands_of_interrupts(error: str, hot: str) -> None:
    said = run_script(str(PROGRAMS / "interrupted.py"), error, "1000", hot)
    assert "interrupts" in said


def test_interrupted_starts_and_closes() -> None:
    assert "interrupts" in run_script(str(PROGRAMS / "interrupted_life.py"), "60")


@pytest.fixture
def on_usr1() -> Iterator[Install]:
    """Sets what SIGUSR1 does; ``signal.raise_signal`` then does it at once, on the main thread."""
    before = signal.getsignal(signal.SIGUSR1)

    def install(action: Callable[[], object]) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: action())

    yield install
    signal.signal(signal.SIGUSR1, before)


class InReport(InMemoryTransport):
    """Raises SIGUSR1 inside a report, once, when the main thread serves it."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = False

    def _deliver(self, taken: Any) -> None:
        report = taken.report

        def signalled(*args: Any) -> None:
            if self.armed and threading.current_thread() is threading.main_thread():
                self.armed = False
                signal.raise_signal(signal.SIGUSR1)
            report(*args)

        taken.report = signalled
        super()._deliver(taken)

    def serve_on_main(self, publisher: Publisher) -> None:
        """Have the main thread serve a report during which the signal comes."""
        for _ in range(10_000):
            self.armed = True
            publisher.publish(OrderPlaced("busy"))
            publisher.flush(LONG)
            if not self.armed:
                return
        raise AssertionError("the main thread never served a report")


def test_a_handler_may_publish_inside_a_report(make_publisher: MakePublisher, on_usr1: Install) -> None:
    transport = InReport()
    publisher = make_publisher(transport=transport)
    inner: list[Delivery] = []
    on_usr1(lambda: inner.extend(publisher.publish(OrderPlaced("inner")) for _ in range(10)))
    transport.serve_on_main(publisher)
    settle(publisher)
    assert [delivery.state for delivery in inner] == [State.DELIVERED] * 10


def test_a_handler_that_flushes_inside_a_report_is_told_no(
    make_publisher: MakePublisher, on_usr1: Install
) -> None:
    """It keeps all other reports from coming: waiting for them would be for ever."""
    transport = InReport()
    publisher = make_publisher(transport=transport)
    flushed: list[bool] = []
    on_usr1(lambda: flushed.append(publisher.flush()))
    transport.serve_on_main(publisher)
    assert flushed == [False]
    settle(publisher)


def test_a_handler_that_closes_inside_a_report_closes_the_door(
    make_publisher: MakePublisher, on_usr1: Install
) -> None:
    transport = InReport()
    publisher = make_publisher(transport=transport)
    on_usr1(lambda: publisher.close(LONG))
    transport.serve_on_main(publisher)
    with pytest.raises(PublisherClosed):
        publisher.publish(OrderPlaced("o"))
    report = publisher.close(LONG)
    assert (report.lost, report.in_flight) == (0, 0)
    check_books(publisher)


def test_a_handler_may_close_wherever_it_comes(make_publisher: MakePublisher, on_usr1: Install) -> None:
    """Inside close(), inside flush(), between two events, and inside publish() itself."""
    publisher = make_publisher()
    publisher.publish(OrderPlaced("o"))
    on_usr1(lambda: publisher.close(LONG))
    signal.raise_signal(signal.SIGUSR1)
    assert check_closed(publisher).delivered == 1

    class InProduce(InMemoryTransport):
        def produce(self, *args: Any) -> None:
            signal.raise_signal(signal.SIGUSR1)
            super().produce(*args)

    publisher = make_publisher(transport=InProduce())
    with pytest.raises(PublisherClosed):
        publisher.publish(OrderPlaced("o"))
    stats = check_closed(publisher)
    assert (stats.accepted, stats.rejected) == (0, 1)

    class InPurge(InMemoryTransport):
        def purge(self) -> None:
            signal.raise_signal(signal.SIGUSR1)
            super().purge()

    transport = InPurge()
    publisher = make_publisher(transport=transport)
    transport.down()
    publisher.publish(OrderPlaced("o"))
    assert publisher.close(0).lost == 1, "nested in close(): the outer one does it all"
    check_closed(publisher)


def test_a_handler_that_publishes_while_the_client_is_being_made_is_told_to_come_again(
    make_publisher: MakePublisher, on_usr1: Install
) -> None:
    publisher = make_publisher()
    connect = publisher._engine._connect

    def signalled() -> Any:
        signal.raise_signal(signal.SIGUSR1)
        return connect()

    refused: list[bool] = []

    def publish() -> None:
        try:
            publisher.publish(OrderPlaced("inner"))
        except QueueFull as error:
            refused.append(error.retriable)

    publisher._engine._connect = signalled
    on_usr1(publish)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert refused == [True]
    stats = settle(publisher)
    assert (stats.accepted, stats.rejected) == (1, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_an_interrupted_start_takes_nothing_and_the_next_one_goes_on(
    make_publisher: MakePublisher, on_usr1: Install, error: type[BaseException]
) -> None:
    publisher = make_publisher()
    connect = publisher._engine._connect

    def signalled() -> Any:
        transport = connect()
        signal.raise_signal(signal.SIGUSR1)
        return transport

    def boom() -> None:
        raise error

    publisher._engine._connect = signalled
    on_usr1(boom)
    for _ in range(3):
        with pytest.raises(error):
            publisher.publish(OrderPlaced("o"))
        assert check_books(publisher).accepted == 0
    publisher._engine._connect = connect
    assert publisher.publish(OrderPlaced("o")).wait(LONG).state is State.DELIVERED


@pytest.mark.parametrize("error", [KeyboardInterrupt, TimeoutError])
def test_a_batch_does_not_take_an_interrupt_for_a_refusal(
    make_publisher: MakePublisher, on_usr1: Install, error: type[BaseException]
) -> None:
    class InProduce(InMemoryTransport):
        def produce(self, *args: Any) -> None:
            super().produce(*args)
            if args[2] == b"3":
                signal.raise_signal(signal.SIGUSR1)

    def boom() -> None:
        raise error

    on_usr1(boom)
    publisher = make_publisher(transport=InProduce())
    with pytest.raises(error):
        publisher.publish_batch([OrderPlaced(str(number)) for number in range(10)])
    stats = settle(publisher)
    assert (stats.accepted, stats.delivered, stats.rejected) == (4, 4, 0)
