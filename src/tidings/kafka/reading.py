"""Reading a topic from one offset to another, outside of any consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tidings.errors import BrokersUnavailable, ConsumeError
from tidings.kafka.config import reader_config
from tidings.kafka.quiet import librdkafka_log
from tidings.settings import Settings

_POLL = 0.5
NOBODY = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_RESOLVE", "_SSL", "_AUTHENTICATION"})


def reader(settings: Settings, group: str, **more: Any) -> Consumer:
    """A consumer that commits nothing by itself. Raises ConfigError."""
    return Consumer({**reader_config(settings, group), "logger": librdkafka_log(), **more})


def told(error: KafkaException, what: str) -> BrokersUnavailable | ConsumeError:
    """An error of the Kafka client in our words; ``what`` is what could not be done."""
    fault = error.args[0]
    message = f"{what}: {fault.name()}: {fault.str()}."
    return BrokersUnavailable(message) if fault.name() in NOBODY else ConsumeError(message)


def bounds(consumer: Consumer, topic: str, timeout: float) -> dict[int, tuple[int, int]]:
    """The first offset of each partition, and the one after its last; empty when there is no such topic.

    Creates nothing. Raises BrokersUnavailable, or ConsumeError when the topic may not be read.
    """
    end = time.monotonic() + timeout
    try:
        found = consumer.list_topics(topic, timeout=timeout).topics[topic]
        if found.error is not None:
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return {}
            raise KafkaException(found.error)
        return {
            partition: _span(consumer, TopicPartition(topic, partition), end)
            for partition in found.partitions
        }
    except KafkaException as error:
        raise told(error, f"The topic {topic} cannot be read") from None


def _span(consumer: Consumer, place: TopicPartition, end: float) -> tuple[int, int]:
    """The first and the next offset. A broker that was away for a moment still knows no leader: ask again."""
    for attempt in stamina.retry_context(
        on=_is_passing, timeout=max(end - time.monotonic(), 0.1), attempts=None
    ):
        with attempt:
            offsets: tuple[int, int] = consumer.get_watermark_offsets(
                place, timeout=max(end - time.monotonic(), 0.1)
            )
    return offsets


def _is_passing(error: Exception) -> bool:
    return isinstance(error, KafkaException) and error.args[0].code() in {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError._UNKNOWN_PARTITION,  # the metadata has just named it
    }


def scan(
    consumer: Consumer, topic: str, spans: Mapping[int, tuple[int, int]], deadline: float
) -> Iterator[Any]:
    """The messages of each partition from its first offset up to, not including, its second.

    ``deadline`` is of the monotonic clock. Raises BrokersUnavailable when it has passed, ConsumeError when
    the topic may not be read.
    """
    left = {partition: end for partition, (start, end) in spans.items() if start < end}
    consumer.assign([TopicPartition(topic, partition, spans[partition][0]) for partition in left])
    try:
        while left:
            if time.monotonic() >= deadline:
                raise BrokersUnavailable(f"The topic {topic} could not be read to its end in time.")
            message: Any = consumer.poll(_POLL)
            if message is None:
                continue
            error = message.error()
            if error is None:
                yield from _wanted(message, left)
            elif error.code() == KafkaError._PARTITION_EOF:
                left.pop(message.partition(), None)
            elif error.name() not in NOBODY:
                raise told(KafkaException(error), f"The topic {topic} cannot be read")
    finally:
        consumer.unassign()  # or it would go on fetching


def _wanted(message: Any, left: dict[int, int]) -> Iterator[Any]:
    partition, offset = message.partition(), message.offset()
    end = left.get(partition)
    if end is None:
        return
    if offset + 1 >= end:
        del left[partition]
    if offset < end:
        yield message
