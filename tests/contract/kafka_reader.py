"""Reading back by independent means: a plain confluent-kafka consumer without tidings."""

from __future__ import annotations

import time
import uuid

from confluent_kafka import Consumer, TopicPartition

from tidings.testing.memory import InMemoryRecord

_TIMEOUT = 60.0


def read_topic(brokers: str, topic: str, count: int) -> list[InMemoryRecord]:
    """At least ``count`` records from the start of ``topic``, then whatever else is there."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        ends = sum(
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)[1]
            for partition in partitions
        )
        records: list[InMemoryRecord] = []
        end = time.monotonic() + _TIMEOUT
        while len(records) < max(count, ends):
            assert time.monotonic() < end, f"{len(records)} records of {topic} after {_TIMEOUT} s, not {count}"
            for message in consumer.consume(1000, 0.2):
                assert message.error() is None, message.error()
                records.append(
                    InMemoryRecord(
                        topic=topic,
                        partition=message.partition(),
                        offset=message.offset(),
                        key=message.key(),
                        value=message.value(),
                        headers=message.headers() or [],
                        timestamp=message.timestamp()[1],
                    )
                )
        return records
    finally:
        consumer.close()
