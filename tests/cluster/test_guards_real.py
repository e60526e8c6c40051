"""Guards on real Kafka while a node of it hangs, or all do, or all are slow: who waits, who is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG, check_closed, settle
from support.kafka_reader import read_topic
from support.pressure import High, Load, Low, Normal
from support.processes import wait_until
from tidings import BulkheadFull, Delivery, Publisher, QueueFull
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic
from tidings.testing.faults import Proxies
from tidings.testing.kafkaadmin import admin_client

CAP = 2000


@pytest.fixture(autouse=True)
def _healed(cluster: RealKafka, network: Proxies) -> Iterator[None]:
    yield
    network.heal()
    cluster.heal()


def led_by(cluster: RealKafka, node: int) -> str:
    """A new topic of one partition that this node alone has."""
    admin = admin_client(cluster.bootstrap_servers)
    leaders: set[int] = set()

    def is_known() -> bool:
        """To every node that may be asked: they hear of it one after another."""
        found = admin.list_topics(topic, timeout=LONG).topics[topic].partitions
        leaders.update(partition.leader for partition in found.values())
        return bool(leaders)

    while node not in leaders:
        leaders.clear()
        topic = unique_topic()
        cluster.create_topic(topic, 1, replication=1)
        assert wait_until(is_known, LONG)
    return topic


def ids(cluster: RealKafka, topic: str, count: int) -> list[str]:
    """The event ids that a topic has, read back by a plain client."""
    records = read_topic(cluster.bootstrap_servers, topic, count)
    return [(dict(record.headers)["event_id"] or b"").decode() for record in records]


def make(network: Proxies, **options: Any) -> Publisher:
    return Publisher(
        brokers=network.bootstrap_servers,
        service="guards",
        **{"durability": "memory", "max_block": 0.0, **options},
    )


def test_one_node_hangs_and_its_topic_keeps_to_its_places(
    cluster: RealKafka, network: Proxies, tmp_path: Path
) -> None:
    """First its events are refused above the cap; once the breaker is open the store has them."""
    slow, quick = led_by(cluster, 3), led_by(cluster, 1)
    publisher = make(
        network, durability="spill", store_dir=tmp_path, bulkhead=CAP, queue_messages=5000, outage_after=5
    )
    deliveries: list[Delivery] = []

    def publish(topic: str) -> Delivery:
        time.sleep(0.0002)
        delivery = publisher.produce(topic, b"x" * 200)
        deliveries.append(delivery)
        return delivery

    for topic in (slow, quick):
        publisher.produce(topic, b"first").wait(LONG)
    cluster.pause(3)
    with Load(slow=lambda: publish(slow), quick=lambda: publish(quick)) as load:
        assert wait_until(lambda: load.refused["slow"][BulkheadFull] > 50, LONG)
        assert publisher.stats().under_way[slow] == CAP
        assert wait_until(lambda: slow in publisher.stats().breakers, LONG)
        taken = load.taken["slow"]
        assert wait_until(lambda: load.taken["slow"] > taken + 500, LONG), "what is stored takes no place"
        quick_before = load.taken["quick"]
        assert wait_until(lambda: load.taken["quick"] > quick_before + 500, LONG)
        cluster.resume(3)
        assert wait_until(lambda: not publisher.stats().breakers, LONG)
    assert not load.refused["quick"]
    assert load.refused["slow"].keys() == {BulkheadFull}
    assert publisher.flush(LONG)
    assert not any(publisher.stats().under_way.values())
    stats = check_closed(publisher)
    assert stats.delivered == stats.accepted == len(deliveries) + 2
    for topic in (slow, quick):
        accepted = {delivery.event_id for delivery in deliveries if delivery.topic == topic}
        assert accepted <= set(ids(cluster, topic, len(accepted) + 1))


def test_a_slow_network_holds_threads_back_and_no_event_is_refused(
    cluster: RealKafka, network: Proxies
) -> None:
    topic = unique_topic()
    cluster.create_topic(topic, 4)
    publisher = make(network, bulkhead={topic: 300}, max_block=LONG)
    most = 0

    def enough() -> bool:
        nonlocal most
        most = max(most, publisher.stats().under_way[topic])
        return load.taken["threads"] > 2000

    async def from_a_loop() -> None:
        tasks = [publisher.apublish(Normal(), topic=topic) for _ in range(1000)]
        for delivery in await asyncio.gather(*tasks):
            await delivery

    publisher.produce(topic, b"first").wait(LONG)
    with network.slow(1, 2, 3, delay=0.2):
        with Load(threads=lambda: publisher.produce(topic, b"x")) as load:
            assert wait_until(enough, LONG)
        asyncio.run(from_a_loop())
    assert 100 < most <= 300
    stats = settle(publisher)
    assert (stats.rejected, stats.delivered) == (0, load.taken.total() + 1001)
    check_closed(publisher)
    found = ids(cluster, topic, stats.delivered)
    assert len(found) == len(set(found)) == stats.delivered


def test_all_nodes_hang_and_the_last_room_is_for_high_events(cluster: RealKafka, network: Proxies) -> None:
    topic = unique_topic()
    cluster.create_topic(topic, 4)
    publisher = make(network, shedding=True, queue_messages=5000, topic=topic)
    publisher.publish(Normal()).wait(LONG)
    for node in (1, 2, 3):
        cluster.pause(node)
    with Load(low=lambda: publisher.publish(Low()), normal=lambda: publisher.publish(Normal())) as load:
        assert wait_until(lambda: load.refused["normal"][QueueFull] > 50, LONG)
        high = [publisher.publish(High()) for _ in range(200)]  # of 250 places
    stats = publisher.stats()
    assert stats.shed == {name: counts.total() for name, counts in load.refused.items()}
    assert stats.rejected_by == {"KAFKA_QUEUE_FULL": sum(stats.shed.values())}
    cluster.heal()
    assert {delivery.wait(LONG).state for delivery in high} == {"delivered"}
    stats = settle(publisher)
    assert stats.delivered == stats.accepted == load.taken.total() + 201
    check_closed(publisher)


def test_no_more_than_the_rate(cluster: RealKafka, network: Proxies) -> None:
    topic = unique_topic()
    cluster.create_topic(topic, 4)
    publisher = make(network, rate_limit=5000, rate_burst=500, max_block=1.0, topic=topic)
    started = time.monotonic()
    with Load(one=lambda: publisher.publish(Normal()), two=lambda: publisher.produce(topic, b"x")) as load:
        assert wait_until(lambda: load.taken.total() > 20_000, LONG)
    accepted, seconds = publisher.stats().accepted, time.monotonic() - started
    assert 20_000 < accepted <= 500 + 5000 * seconds + 1
    stats = settle(publisher)
    assert stats.delivered == accepted
    check_closed(publisher)
    assert len(set(ids(cluster, topic, accepted))) == accepted
