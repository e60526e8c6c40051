"""A publisher, 16 threads and an event loop, a million events: each arrives once, in the order of its key."""

from __future__ import annotations

import asyncio
import threading
import time

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tidings import Delivery, Publisher, QueueFull
from tidings.events.declare import Registry
from tidings.testing import RealKafka

_THREADS = 16
_EACH = 60_000
_IN_LOOP = 40_000
_KEYS_EACH = 50
_PARTITIONS = 6
_TOPIC = "million"


class Counted(msgspec.Struct):
    """The ``number``-th event of its key; ``key`` names who published it."""

    key: str
    number: int


Registry().event("million.counted", topic=_TOPIC, key="key")(Counted)


@pytest.mark.timeout(600)
def test_a_million_events_arrive_once_and_in_order_per_key(tidings_own_kafka: RealKafka) -> None:
    brokers = tidings_own_kafka.bootstrap_servers
    tidings_own_kafka.create_topic(_TOPIC, partitions=_PARTITIONS)
    with Publisher(brokers=brokers, max_block=60) as publisher:
        _publish_all(publisher)
        assert publisher.flush(300)
        stats = publisher.stats()
        assert stats == publisher.audit()
        assert (stats.accepted, stats.delivered, stats.lost) == (1_000_000, 1_000_000, 0)
    seen, ids = _read_all(brokers)
    assert ids == 1_000_000
    assert len(seen) == (_THREADS + 1) * _KEYS_EACH
    for key, numbers in seen.items():
        assert numbers == list(range(len(numbers))), f"{key} out of order"
    assert sum(map(len, seen.values())) == 1_000_000


def _publish_all(publisher: Publisher) -> None:
    failures: list[BaseException] = []

    def in_thread(name: int) -> None:
        try:
            for index in range(_EACH):
                publisher.publish(_event(f"thread-{name}", index))
        except BaseException as error:
            failures.append(error)

    async def in_loop() -> None:
        for start in range(0, _IN_LOOP, 1000):
            await asyncio.gather(*[await _taken(publisher, _event("loop", start + n)) for n in range(1000)])

    threads = [threading.Thread(target=in_thread, args=(name,)) for name in range(_THREADS)]
    for thread in threads:
        thread.start()
    asyncio.run(in_loop())
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def _event(who: str, index: int) -> Counted:
    return Counted(f"{who}-{index % _KEYS_EACH}", index // _KEYS_EACH)


async def _taken(publisher: Publisher, event: Counted) -> Delivery:
    while True:
        try:
            return publisher.publish(event)
        except QueueFull:  # 16 threads fill the queue; in a loop that is an answer, not a wait
            await asyncio.sleep(0.01)


def _read_all(brokers: str) -> tuple[dict[str, list[int]], int]:
    """The numbers of each key in the order they stand in its partition, and how many ids there are."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "judge", "enable.partition.eof": True})
    consumer.assign([TopicPartition(_TOPIC, partition, 0) for partition in range(_PARTITIONS)])
    seen: dict[str, list[int]] = {}
    ids: set[str] = set()
    ended = 0
    end = time.monotonic() + 300
    while ended < _PARTITIONS:
        assert time.monotonic() < end
        for message in consumer.consume(10_000, 1.0):
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended += 1
                continue
            envelope = msgspec.json.decode(message.value() or b"")
            seen.setdefault(envelope["data"]["key"], []).append(envelope["data"]["number"])
            ids.add(envelope["event_id"])
    consumer.close()
    return seen, len(ids)
