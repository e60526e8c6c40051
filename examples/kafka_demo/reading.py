"""A reader of its own, a plain confluent-kafka client without tidings: all that is in some topics."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

PATIENCE = 30.0


class Seen(NamedTuple):
    """One record."""

    topic: str
    partition: int
    offset: int
    key: str
    event_id: str
    event_type: str
    correlation_id: str
    data: dict[str, Any]


def read(brokers: str, topics: Iterable[str]) -> list[Seen]:
    """Every record that is there now. Raises TimeoutError when the brokers do not give them in time."""
    with _client(brokers, "nobody") as consumer:
        places = [place for topic in topics for place in _partitions(consumer, topic)]
        ends = {(it.topic, it.partition): consumer.get_watermark_offsets(it, PATIENCE)[1] for it in places}
        left = {place: end for place, end in ends.items() if end > 0}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for topic, number in left])
        found: list[Seen] = []
        deadline = time.monotonic() + PATIENCE
        while left:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not read to the end: {sorted(left)}")
            message: Any = consumer.poll(0.1)
            if message is None or message.error():
                continue
            found.append(_seen(message))
            place = (message.topic(), message.partition())
            if message.offset() + 1 >= left.get(place, 0):
                left.pop(place, None)
        return sorted(found)


def unfinished(brokers: str, group: str, topics: Iterable[str]) -> int:
    """How many records the group has not committed."""
    with _client(brokers, group) as consumer:
        places = [place for topic in topics for place in _partitions(consumer, topic)]
        count = 0
        for place in consumer.committed(places, PATIENCE):
            end = consumer.get_watermark_offsets(place, PATIENCE)[1]
            count += end - max(place.offset, 0)
        return count


@contextmanager
def _client(brokers: str, group: str) -> Iterator[Any]:
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "log_level": 2}
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _partitions(consumer: Any, topic: str) -> list[TopicPartition]:
    found = consumer.list_topics(topic, PATIENCE).topics[topic].partitions
    return [TopicPartition(topic, number) for number in found]


def _seen(message: Any) -> Seen:
    event = json.loads(message.value())
    return Seen(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key().decode(),
        event.get("event_id", ""),
        event.get("event_type", ""),
        event.get("correlation_id", ""),
        event.get("data", {}),
    )
