"""One interrupt at every point of publish(), flush(), wait() and close(): never between two states."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from support.books import LONG, check_books, ids_of
from support.events import OrderPlaced
from support.injection import at_every_point
from support.processes import wait_until
from tidings import Delivery, Publisher, PublishError, State
from tidings.publishing import closing, keeper, pump
from tidings.publishing.pump import Pump
from tidings.publishing.storms import Storm
from tidings.publishing.voice import Voice
from tidings.settings import Settings
from tidings.testing.memory import InMemoryTransport

ROOMS = ("publishing",)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short naps: there are hundreds of publishers to be made and closed."""
    monkeypatch.setattr(pump, "_QUIET_POLL", 0.001)
    monkeypatch.setattr(pump, "_BUSY_NAP", 0.001)
    monkeypatch.setattr(keeper, "TICK", 0.002)
    monkeypatch.setattr(closing, "_HAND_OVER", 0.02)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(brokers="nowhere:9092", service="interrupted", max_block="20ms")


class Trouble(InMemoryTransport):
    """produce() raises ``errors``, one after another."""

    def __init__(self, *errors: Exception, queue_messages: int = 100_000) -> None:
        super().__init__(queue_messages=queue_messages)
        self.errors = list(errors)

    def mend(self) -> None:
        """From now on all is well."""
        self.errors.clear()
        self._faults.clear()
        self.up()

    def produce(self, *args: Any) -> None:
        if self.errors:
            raise self.errors.pop()
        super().produce(*args)


class Life:
    """A publisher, the events it returned, and somebody who waits for them."""

    def __init__(self, settings: Settings, transport: Trouble | None = None) -> None:
        self.transport = Trouble() if transport is None else transport
        self.publisher = Publisher(settings, transport=self.transport)
        self.returned: list[Delivery] = []
        self.refused = 0

    def publish(self, count: int = 1) -> None:
        for _ in range(count):
            try:
                self.returned.append(self.publisher.publish(OrderPlaced("o")))
            except PublishError:
                self.refused += 1

    def check(self, place: str, *, most: int) -> None:
        """Everything has ended or ends, the books balance, and the publisher still works."""
        stats = self.publisher.stats
        if not stats().is_closed:
            self.transport.mend()
            fresh = self.publisher.publish(OrderPlaced("fresh"))
            assert fresh.wait(LONG).state is State.DELIVERED, place
            assert wait_until(lambda: self.publisher.audit().in_flight == 0), f"in flight for ever: {place}"
            most += 1
            self.returned.append(fresh)
        report = self.publisher.close(LONG)
        assert report.in_flight == 0, place
        assert self.publisher.close() is report
        counted = check_books(self.publisher)
        assert len(self.returned) <= counted.accepted <= most, place
        assert counted.accepted == counted.delivered + counted.lost, place
        ids = ids_of(self.transport)
        for delivery in self.returned:
            assert delivery.done(), place
            if delivery.state is State.DELIVERED:
                assert delivery.event_id in ids, place
            else:
                assert delivery.error is not None, place


Make = Callable[[], Life]


def interrupted(make: Make, run: Callable[[Life], object], *rooms: str) -> Iterator[tuple[Life, str]]:
    """A new life for each point of ``run``, or of what it does in these rooms."""
    lives: list[Life] = []

    def once() -> None:
        run(lives[-1])

    lives.append(make())
    for place in at_every_point(once, *(rooms or ROOMS)):
        yield lives[-1], place
        lives.append(make())
    lives[-1].publisher.close(0)


def test_the_first_event(settings: Settings) -> None:
    places = []
    for life, place in interrupted(lambda: Life(settings), lambda life: life.publish()):
        life.check(place, most=1)
        assert life.publisher.stats().lost == 0, place
        places.append(place)
    assert len(places) > 30
    assert any("Engine.start" in place for place in places)


def test_the_second_event(settings: Settings) -> None:
    def make() -> Life:
        life = Life(settings)
        life.publish()
        life.returned[0].wait(LONG)
        return life

    for life, place in interrupted(make, lambda life: life.publish(2)):
        life.check(place, most=3)
        assert life.publisher.stats().lost == 0, place


def test_with_options(settings: Settings) -> None:
    def publish(life: Life) -> None:
        life.returned.append(
            life.publisher.publish({"a": 1}, event_type="a.b", headers={"h": "1"}, event_id="e", key="k")
        )

    for life, place in interrupted(lambda: Life(settings), publish):
        life.check(place, most=1)


def test_a_full_queue(settings: Settings) -> None:
    impatient = settings.with_overrides(max_block="4ms")

    def make() -> Life:
        life = Life(impatient, Trouble(queue_messages=1))
        life.transport.down()
        life.publish()
        return life

    for life, place in interrupted(make, lambda life: life.publish()):
        life.transport.mend()
        assert life.publisher.flush(LONG), place
        life.check(place, most=2)
        assert life.publisher.stats().lost == 0, place


def test_at_the_guards(settings: Settings) -> None:
    """Let in, held or refused: it is in the ledger, or never was."""
    guarded = settings.with_overrides(max_block="1ms", bulkhead=1, rate_limit=1e6, shedding=True)

    def make() -> Life:
        life = Life(guarded)
        life.transport.down()
        life.publish()
        return life

    for life, place in interrupted(make, lambda life: life.publish(), "publishing/guards"):
        life.transport.mend()
        assert life.publisher.flush(LONG), place
        assert not any(life.publisher.stats().under_way.values()), place
        life.check(place, most=2)
        assert life.publisher.stats().lost == 0, place


@pytest.mark.parametrize("name", ["MSG_SIZE_TOO_LARGE", "TOPIC_AUTHORIZATION_FAILED", "_QUEUE_FULL"])
def test_a_produce_that_raises(settings: Settings, name: str) -> None:
    error = (
        BufferError("full")
        if name == "_QUEUE_FULL"
        else KafkaException(KafkaError(getattr(KafkaError, name)))
    )
    for life, place in interrupted(lambda: Life(settings, Trouble(error)), lambda life: life.publish()):
        life.check(place, most=1)


class ToMain(Trouble):
    """Leaves the reports to the main thread until ``mend``: the pump's own thread naps without its turn."""

    pump: Pump | None = None
    to_main = True

    def mend(self) -> None:
        self.to_main = False
        super().mend()

    def poll(self, timeout: float) -> int:
        if self.to_main and threading.current_thread() is not threading.main_thread():
            if self.pump is not None:
                self.pump._lent += 1  # as if publishers lent a hand
            return 0
        return super().poll(timeout)


class Waiters:
    """Threads that wait for deliveries without end, and callbacks."""

    def __init__(self, deliveries: list[Delivery]) -> None:
        self.called: list[Delivery] = []
        self.woken: list[Delivery] = []
        self.deliveries = deliveries
        self.threads = [threading.Thread(target=self._wait, args=(each,), daemon=True) for each in deliveries]
        for thread in self.threads:
            thread.start()
        for delivery in deliveries:
            delivery.add_done_callback(self.called.append)
        assert wait_until(lambda: all(len(each._waiters or ()) == 2 for each in deliveries))

    def _wait(self, delivery: Delivery) -> None:
        delivery._keeper.waking.wait(delivery, None)
        self.woken.append(delivery)

    def check(self, place: str) -> None:
        assert wait_until(lambda: len(self.woken) == len(self.deliveries)), f"never woken: {place}"
        assert wait_until(lambda: len(self.called) >= len(self.deliveries)), f"never called: {place}"
        assert len(self.called) == len(set(map(id, self.called))), f"called twice: {place}"


@pytest.mark.parametrize("fault", [None, "_MSG_TIMED_OUT"])
def test_serving_reports_that_others_wait_for(settings: Settings, fault: str | None) -> None:
    """The main thread serves the reports; those who wait in other threads are woken all the same."""
    waiters: list[Waiters] = []
    places: list[str] = []

    def make() -> Life:
        transport = ToMain()
        life = Life(settings, transport)
        transport.down()
        life.publish(2)
        transport.pump = life.publisher._engine.pump
        if fault:
            transport.fail(fault, 2)
        waiters.append(Waiters(life.returned[:]))
        return life

    def serve(life: Life) -> None:
        life.transport.up()
        engine = life.publisher._engine
        assert engine.pump is not None
        while len(life.transport):
            engine.pump.serve(life.transport.poll, 0)

    for life, place in interrupted(make, serve):
        life.check(place, most=3)
        waiters[-1].check(place)
        places.append(place)
    if not fault:
        assert any("Waking.wake" in place for place in places), "interrupted while it told them"
    assert any("Delivery.__call__" in place for place in places)


def test_waiting(settings: Settings) -> None:
    def make() -> Life:
        life = Life(settings)
        life.transport.down()
        life.publish()
        return life

    def wait(life: Life) -> None:
        with pytest.raises(TimeoutError):
            life.returned[0].wait(0.001)

    for life, place in interrupted(make, wait):
        left = life.returned[0]._waiters
        assert not left or "_discard" in place, f"a waiter is left behind: {place}"
        life.check(place, most=1)


@pytest.mark.parametrize("up", [True, False])
def test_closing(settings: Settings, up: bool) -> None:
    def make() -> Life:
        life = Life(settings)
        if not up:
            life.transport.down()
        life.publish(3)
        return life

    def close(life: Life) -> None:
        life.publisher.close(LONG if up else 0)

    for life, place in interrupted(make, close):
        if not up:
            life.publisher.close(0)
        life.check(place, most=4)
        assert not up or life.publisher.stats().lost == 0, place


@pytest.mark.parametrize("ask", ["stats", "audit", "health", "flush"])
def test_asking(settings: Settings, ask: str) -> None:
    def make() -> Life:
        life = Life(settings)
        life.publish(2)
        return life

    for life, place in interrupted(make, lambda life: getattr(life.publisher, ask)()):
        life.check(place, most=3)
        assert life.publisher.stats().lost == 0, place


def test_the_injection_itself() -> None:
    """It reaches points of both kinds in the order of the code, and then comes through."""
    storm = Storm(Voice(logging.getLogger("silent")), logging.DEBUG, "thing")
    places = list(at_every_point(storm.flush, *ROOMS))
    assert places[-5:] == ["came through"] * 5
    places = places[:-5]
    assert [place.partition(",")[0] for place in places] == ["Storm.flush"] * len(places)
    assert len(places) >= 2
    assert "after values()" in places[-1]
