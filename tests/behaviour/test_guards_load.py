"""Guards under load, on the embedded broker: threads and a loop publish more than may come in."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.books import LONG, check_books, check_closed, settle
from support.kafka_reader import read_topic
from support.pressure import High, Load, Low, Normal
from support.processes import wait_until
from tidings import BulkheadFull, Delivery, Publisher, QueueFull, RateLimited
from tidings.signals import BreakerChanged, Signal
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


@pytest.fixture(scope="module")
def two() -> Iterator[EmbeddedBroker]:
    """Two brokers: a topic led by the second can be slow by itself."""
    with EmbeddedBroker(brokers=2) as broker:
        yield broker


@pytest.fixture
def topics(two: EmbeddedBroker) -> Iterator[tuple[str, str]]:
    """A quick topic, and one whose broker is slow."""
    names = unique_topic(), unique_topic()
    for leader, name in enumerate(names, 1):
        two.create_topic(name, 2)
        for partition in range(2):
            two.set_leader(name, partition, leader)
    yield names
    two.up()
    two.delay(0)


def make(broker: EmbeddedBroker, **options: Any) -> Publisher:
    return Publisher(
        brokers=broker.bootstrap_servers,
        service="load",
        **{"durability": "memory", "max_block": 0.0, **options},
    )


@pytest.mark.parametrize("bulkhead", [{}, {"*": 1000}], ids=["without", "with"])
def test_a_topic_whose_broker_is_slow_does_not_take_the_queue_from_others(
    two: EmbeddedBroker, topics: tuple[str, str], bulkhead: dict[str, int]
) -> None:
    quick, slow = topics
    publisher = make(two, queue_messages=3000, bulkhead=bulkhead)
    publisher.produce(quick, b"x").wait(LONG)
    two.delay(500, 2)
    most = 0
    with Load(
        slow=lambda: publisher.produce(slow, b"x" * 100), quick=lambda: publisher.produce(quick, b"x" * 100)
    ) as load:

        def is_full() -> bool:
            nonlocal most
            most = max(most, publisher.stats().under_way.get(slow, 0))
            if not bulkhead:
                return load.refused["quick"][QueueFull] > 20
            return load.refused["slow"][BulkheadFull] > 20 and load.taken["quick"] > 2000

        assert wait_until(is_full)
    assert bool(load.refused["quick"][QueueFull]) == (not bulkhead), "one topic took the whole queue"
    two.delay(0)
    stats = settle(publisher)
    assert stats.delivered == stats.accepted == load.taken.total() + 1
    assert stats.rejected == sum(counts.total() for counts in load.refused.values())
    if bulkhead:
        assert 0 < most <= 1000
        assert stats.rejected_by.keys() <= {"KAFKA_BULKHEAD_FULL"}
        assert stats.under_way == {quick: 0, slow: 0}
    check_closed(publisher)


def test_no_more_than_the_rate_from_threads_and_a_loop(two: EmbeddedBroker, topics: tuple[str, str]) -> None:
    publisher = make(two, rate_limit=2000, rate_burst=100, max_block=0.05, topic=topics[0])
    numbers = itertools.count()
    awaited: list[Delivery] = []

    async def publish_all() -> None:
        async def some() -> None:
            for _ in range(10):
                awaited.append(await publisher.apublish(Normal(), max_block=LONG))

        refused = [publisher.publish_batch([Normal()] * 200).rejected for _ in range(3)]
        assert {type(error) for errors in refused for error in errors.values()} == {RateLimited}
        await asyncio.gather(*[some() for _ in range(20)])
        for delivery in awaited:
            await delivery

    started = time.monotonic()
    with Load(
        typed=lambda: publisher.publish(Normal()),
        raw=lambda: publisher.produce(topics[0], b"%d" % next(numbers)),
        impatient=lambda: publisher.publish(Normal(), max_block=0.0),
    ) as load:
        asyncio.run(publish_all())
        assert wait_until(lambda: load.refused["impatient"][RateLimited] > 100)
    accepted, seconds = publisher.stats().accepted, time.monotonic() - started
    assert len(awaited) == 200
    assert 200 <= accepted <= 100 + 2000 * seconds + 1
    stats = settle(publisher)
    assert stats.delivered == stats.accepted == accepted
    assert stats.rejected_by == {"KAFKA_RATE_LIMITED": stats.rejected}
    assert len(read_topic(two.bootstrap_servers, topics[0], accepted)) == accepted
    check_closed(publisher)


def test_a_full_queue_has_room_for_high_events_and_keeps_what_it_took(
    two: EmbeddedBroker, topics: tuple[str, str]
) -> None:
    publisher = make(two, shedding=True, queue_messages=2000, topic=topics[1])
    publisher.publish(Normal()).wait(LONG)
    two.delay(2000, 2)
    high: list[Delivery] = []
    with Load(low=lambda: publisher.publish(Low()), normal=lambda: publisher.publish(Normal())) as load:
        assert wait_until(lambda: load.refused["normal"][QueueFull] > 20)
        high += [publisher.publish(High()) for _ in range(50)]  # of 100 places
    assert load.refused["low"].keys() == load.refused["normal"].keys() == {QueueFull}
    assert load.taken["low"] <= 1601 <= load.taken.total()
    stats = check_books(publisher)
    assert stats.shed == {name: counts.total() for name, counts in load.refused.items()}
    two.delay(0)
    assert [delivery.wait(LONG).state for delivery in high] == ["delivered"] * 50
    stats = settle(publisher)
    assert stats.delivered == stats.accepted == load.taken.total() + 51
    check_closed(publisher)


def test_the_breaker_of_a_topic_that_is_away_is_told_and_shown(
    two: EmbeddedBroker, topics: tuple[str, str], tmp_path: Any
) -> None:
    quick, slow = topics
    publisher = make(
        two,
        durability="spill",
        store_dir=tmp_path,
        outage_after=0.5,
        delivery_timeout=3,
        rate_limit=500,
        max_block=1,
    )
    heard: list[Signal] = []
    publisher.listen(heard.append, BreakerChanged)
    for topic in topics:
        publisher.produce(topic, b"x").wait(LONG)
    two.down(2)
    with Load(
        slow=lambda: publisher.produce(slow, b"x"), quick=lambda: publisher.produce(quick, b"x")
    ) as load:
        assert wait_until(lambda: publisher.stats().breakers.keys() == {slow})
        taken = load.taken["quick"]
        assert wait_until(lambda: load.taken["quick"] > taken)
    assert wait_until(lambda: BreakerChanged(slow, "silent") in heard)
    two.up()
    assert wait_until(lambda: publisher.stats().breakers == {})
    assert wait_until(lambda: heard[-1] == BreakerChanged(slow, ""))
    assert publisher.flush(LONG)
    stats = check_closed(publisher)
    assert stats.delivered == stats.accepted
