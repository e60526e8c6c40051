"""The invariant: every event is in exactly one term, at any moment and after every scenario."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.books import LONG, MakePublisher, check_books, check_closed, doom, ids_of, settle
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Delivery, Publisher, PublisherClosed, PublishError, State
from tidings.testing.memory import InMemoryTransport

FAULTS = [
    "MSG_SIZE_TOO_LARGE",
    "_MSG_TIMED_OUT",
    "TOPIC_AUTHORIZATION_FAILED",
    "NOT_ENOUGH_REPLICAS",
    "UNKNOWN",
]


class Life(RuleBasedStateMachine):
    """A publisher's life in any order of things; what a model counts, its counters must say."""

    guards: Mapping[str, Any] = {}

    def __init__(self) -> None:
        super().__init__()
        self.transport = InMemoryTransport(queue_messages=20)
        self.publisher = Publisher(
            transport=self.transport,
            service="life",
            max_block=0.0,
            retry_max=1,
            retry_backoff=0.001,
            **self.guards,
        )
        self.deliveries: list[Delivery] = []
        self.rejected = 0
        self.up = True
        self.closed = False

    def _try(self, *calls: Any) -> None:
        for call in calls:
            try:
                self.deliveries.append(call())
            except PublishError:
                self.rejected += 1

    @rule(count=st.integers(1, 15))
    def publish(self, count: int) -> None:
        self._try(*[lambda: self.publisher.publish(OrderPlaced("o"))] * count)

    @rule()
    def produce(self) -> None:
        self._try(
            lambda: self.publisher.produce("raw", None, "k"), lambda: self.publisher.publish_json("raw", 1)
        )

    @rule()
    def refuse(self) -> None:
        before = len(self.deliveries)
        self._try(lambda: self.publisher.publish(object()), lambda: self.publisher.produce("..", b""))
        assert len(self.deliveries) == before

    @rule()
    def batch(self) -> None:
        batch = self.publisher.publish_batch([OrderPlaced("b"), object(), OrderPlaced("b")])
        self.rejected += len(batch.rejected)
        self.deliveries += [delivery for n, delivery in enumerate(batch) if n not in batch.rejected]

    @rule()
    def go_down(self) -> None:
        self.transport.down()
        self.up = False

    @rule()
    def come_up(self) -> None:
        self.transport.up()
        self.up = True

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 5))
    def fail(self, fault: str, times: int) -> None:
        self.transport.fail(fault, times)

    @precondition(lambda self: self.up)
    @rule()
    def flush(self) -> None:
        assert self.publisher.flush(LONG)
        assert check_books(self.publisher).in_flight == 0

    @rule(timeout=st.sampled_from([0.0, 0.0, 0.05]))
    def close(self, timeout: float) -> None:
        report = self.publisher.close(timeout)
        assert report is self.publisher.close()
        assert report.in_flight == 0
        self.closed = True

    @invariant()
    def the_books_balance(self) -> None:
        stats = self.publisher.stats()
        assert stats.balanced
        assert min(stats.in_flight, stats.delivered, stats.lost) >= 0
        assert stats.accepted == len(self.deliveries)
        assert stats.rejected == sum(stats.rejected_by.values()) == self.rejected
        assert stats.is_closed == self.closed

    def teardown(self) -> None:
        stats = check_closed(self.publisher, 0.0 if not self.up else LONG)
        states = Counter(delivery.state for delivery in self.deliveries)
        assert states == +Counter(
            {
                State.DELIVERED: stats.delivered,
                State.DEAD_LETTERED: stats.dead_lettered,
                State.LOST: stats.lost,
            }
        )
        assert ids_of(self.transport, letters=False) == Counter(
            delivery.event_id for delivery in self.deliveries if delivery.state is State.DELIVERED
        )
        for delivery in self.deliveries:
            assert (delivery.error is not None) == (delivery.state is not State.DELIVERED)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)

CAPS = {"orders": 12, "*": 3}


class GuardedLife(Life):
    """The same with every guard on: their refusals are refusals, and every end gives its place back."""

    guards = MappingProxyType(
        {
            "bulkhead": CAPS,
            "rate_limit": 300,
            "rate_burst": 60,
            "shedding": True,
            "queue_messages": 20,
        }
    )

    @invariant()
    def no_place_leaks(self) -> None:
        live = Counter(delivery.topic for delivery in self.deliveries if not delivery.ended)
        for topic, count in self.publisher.stats().under_way.items():  # read later: some may have ended
            assert count <= min(live[topic], CAPS.get(topic, CAPS["*"]))

    def teardown(self) -> None:
        super().teardown()
        assert not any(self.publisher.stats().under_way.values())


TestGuardedLife = GuardedLife.TestCase
TestGuardedLife.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.fixture
def busy(make_publisher: MakePublisher) -> Iterator[tuple[Publisher, list[Delivery]]]:
    """A publisher that six threads publish with, until they are asked to stop."""
    publisher = make_publisher()
    deliveries: list[Delivery] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                deliveries.append(publisher.publish(OrderPlaced("o")))
            except PublisherClosed:
                return
            if random.random() < 0.01:
                time.sleep(0.001)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    yield publisher, deliveries
    stop.set()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    publisher.close(LONG)
    stats = check_books(publisher)
    assert stats.accepted == len(deliveries)
    assert {delivery.state for delivery in deliveries} <= {State.DELIVERED, State.LOST}
    assert sum(delivery.state is State.DELIVERED for delivery in deliveries) == stats.delivered


def test_stats_balance_at_every_moment(
    busy: tuple[Publisher, list[Delivery]], transport: InMemoryTransport
) -> None:
    publisher, _ = busy
    last = publisher.stats()
    for look in range(300):
        stats = publisher.stats()
        assert stats.balanced
        assert stats.in_flight >= 0
        assert stats.accepted >= last.accepted
        assert stats.delivered >= last.delivered
        assert stats.lost >= last.lost
        last = stats
        if look % 50 == 10:
            transport.fail("_MSG_TIMED_OUT", 20)
        if look % 50 == 20:
            transport.down()
        if look % 50 == 22:
            transport.up()


def test_an_outage_under_load_ends_in_delivery(
    busy: tuple[Publisher, list[Delivery]], transport: InMemoryTransport
) -> None:
    publisher, deliveries = busy
    for _ in range(5):
        transport.down()
        seen = len(deliveries)
        deadline = time.monotonic() + LONG
        while len(deliveries) < seen + 100 and time.monotonic() < deadline:
            time.sleep(0.001)
        transport.up()
    publisher.close(LONG)
    assert publisher.stats().lost == 0
    assert ids_of(transport).total() == publisher.stats().delivered


def test_lost_is_never_zeroed_and_every_loss_is_told(
    make_publisher: MakePublisher, transport: InMemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher()
    doom(transport, 5)
    deliveries = [publisher.publish(OrderPlaced("o")) for _ in range(10)]
    stats = settle(publisher)
    assert (stats.lost, stats.delivered) == (5, 5)
    publisher.publish(OrderPlaced("o")).wait(LONG)
    assert publisher.close(LONG).lost == 5
    assert publisher.stats().lost == 5
    told = [record.message for record in caplog.records if record.levelname == "CRITICAL"]
    for delivery in deliveries[:5]:
        assert any(f"event_id={delivery.event_id}" in it and "topic=orders" in it for it in told)


def test_a_breaker_closes_with_what_is_acknowledged_right_after_it_opened(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(durability="memory", retry_max=1000)
    transport.fail_always(lambda record: record.topic == "orders", "TOPIC_AUTHORIZATION_FAILED")
    delivery = publisher.produce("orders", b"x")
    assert wait_until(lambda: bool(publisher.stats().breakers))
    transport.clear_faults()
    assert delivery.wait(LONG)
    assert wait_until(lambda: not publisher.stats().breakers)
