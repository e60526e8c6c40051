"""Reading back by independent means: a plain confluent-kafka consumer without tidings."""

from __future__ import annotations

import time
import uuid
from typing import Any, cast

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tidings.testing.memory import InMemoryRecord

_TIMEOUT = 60.0


def read_topic(brokers: str, topic: str, count: int) -> list[InMemoryRecord]:
    """At least ``count`` records from the start of ``topic``, then whatever else is there."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # where the log was truncated
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        records: list[InMemoryRecord] = []
        ended: set[int] = set()
        end = time.monotonic() + _TIMEOUT
        while len(records) < count or len(ended) < len(partitions):
            assert time.monotonic() < end, (
                f"{len(records)} records of {topic} after {_TIMEOUT} s, not {count}"
            )
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                records.append(_record(message))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add(cast(int, message.partition()))
        return records
    finally:
        consumer.close()


def _record(message: Any) -> InMemoryRecord:
    return InMemoryRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers=message.headers() or [],
        timestamp=message.timestamp()[1],
    )


def committed(brokers: str, topic: str, group: str, partitions: int = 4) -> dict[int, int]:
    """What a group has committed, asked by a client of its own."""
    client = Consumer({"bootstrap.servers": brokers, "group.id": group})
    try:
        found = client.committed([TopicPartition(topic, it) for it in range(partitions)], timeout=_TIMEOUT)
        return {it.partition: it.offset for it in found if it.offset >= 0}
    finally:
        client.close()
