"""lifespan() and close_on_signals(), in the process of the tests; test_prefork has them in real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from tidings import CloseReport, Publisher, PublisherClosed
from tidings.stopping import close_on_signals, lifespan
from tidings.testing.memory import InMemoryTransport


class Noting(Publisher):
    """Notes the timeouts it is closed with."""

    def __init__(self, *signals: signal.Signals) -> None:
        super().__init__(transport=InMemoryTransport(), service="tests")
        self.timeouts: list[float | None] = []
        self.sent_by_close = signals

    def close(self, timeout: float | None = None) -> CloseReport:
        self.timeouts.append(timeout)
        for number in self.sent_by_close:
            os.kill(os.getpid(), number)
        return super().close(timeout)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    former = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == former


def test_the_lifespan_hands_the_publisher_over_and_closes_it() -> None:
    publisher = Noting()

    async def serve() -> None:
        async with lifespan(publisher, timeout=3)(None) as state:
            assert state == {"publisher": publisher}
            assert not publisher.stats().is_closed
            publisher.publish_json("t", 1)

    asyncio.run(serve())
    assert publisher.timeouts == [3]
    assert publisher.stats().delivered == 1
    with pytest.raises(PublisherClosed):
        publisher.publish_json("t", 1)


def test_the_lifespan_closes_whatever_ends_the_service() -> None:
    publisher = Noting()

    async def serve() -> None:
        async with lifespan(publisher)(None):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(serve())
    assert publisher.timeouts == [None]


def test_given_a_callable_each_start_has_a_publisher_of_its_own() -> None:
    starts = lifespan(Noting)
    seen: list[Publisher] = []

    async def serve() -> None:
        async with starts(None) as state:
            state["publisher"].publish_json("t", 1)
            seen.append(state["publisher"])

    asyncio.run(serve())
    asyncio.run(serve())
    assert seen[0] is not seen[1]
    assert [publisher.stats().is_closed for publisher in seen] == [True, True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_ends_the_block_and_closes(number: signal.Signals) -> None:
    publisher = Noting()

    def work() -> None:
        with close_on_signals(publisher, signals=(number,), timeout=2) as given:
            assert given is publisher
            os.kill(os.getpid(), number)
            pytest.fail("went on")

    with pytest.raises(SystemExit) as ended:
        work()
    assert ended.value.code == 128 + number
    assert publisher.timeouts == [2]


def test_a_block_that_ends_by_itself_closes() -> None:
    publisher = Noting()
    with close_on_signals(publisher):
        publisher.publish_json("t", 1)
    assert publisher.timeouts == [None]
    assert publisher.stats().delivered == 1


def test_signals_while_closing_wait_for_its_end() -> None:
    publisher = Noting(signal.SIGINT, signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, close_on_signals(publisher):
        publisher.publish_json("t", 1)
    assert ended.value.code == 128 + signal.SIGTERM
    assert publisher.stats().is_closed


def test_signals_while_closing_do_not_hide_an_error() -> None:
    publisher = Noting(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), close_on_signals(publisher):
        raise ZeroDivisionError
    assert publisher.stats().is_closed


def test_a_signal_that_got_lost_is_not_the_last() -> None:
    publisher = Noting()

    class Careless:
        def __del__(self) -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except SystemExit:
                lost.append(True)

    def work() -> None:
        with close_on_signals(publisher):
            Careless()
            assert lost == [True]
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("went on")

    lost: list[bool] = []
    with pytest.raises(SystemExit):
        work()
    assert publisher.timeouts == [None]


def test_a_signal_ahead_of_the_first_line_of_the_close() -> None:
    publisher = Noting()
    closing = close_on_signals(publisher)
    first_line = type(closing).__exit__.__code__

    def interrupt(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code is first_line:
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as ended, closing:
        sys.settrace(interrupt)
    assert ended.value.code == 128 + signal.SIGTERM
    assert publisher.timeouts == [None]


def test_an_ignored_signal_stays_ignored() -> None:
    former = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with close_on_signals(Noting(), signals=(signal.SIGUSR1,)):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_a_wrong_signal_leaves_the_others_as_they_were() -> None:
    with (
        pytest.raises(OSError, match="Invalid argument"),
        close_on_signals(Noting(), signals=(signal.SIGTERM, signal.SIGKILL)),
    ):
        pytest.fail("began")


def test_it_is_for_the_main_thread() -> None:
    raised: list[Exception] = []

    def enter() -> None:
        try:
            with close_on_signals(Noting()):
                pass
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert "is for the main thread" in str(raised[0])
