"""Looking at the letters of a dead-letter topic without touching them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tidings.errors import ConsumeError
from tidings.kafka.reading import bounds, reader, scan, told
from tidings.kafka.replay_ledger import ReplayLedger
from tidings.kafka.taken import TakenLetter
from tidings.settings import Settings

_LONGEST = 600.0


def survey(
    settings: Settings, topic: str, replays: str, group: str, timeout: float
) -> Iterator[tuple[TakenLetter, bool]]:
    """Every letter past the group's progress, and whether the record of replays has it as settled.

    Joins no group, commits and writes nothing. Raises BrokersUnavailable and ConsumeError.
    """
    consumer = reader(settings, group)
    ledger = ReplayLedger(settings, replays, group)
    try:
        ledger.refresh(timeout)
        spans = letter_bounds(consumer, topic, timeout)
        asked = [TopicPartition(topic, partition) for partition in spans]
        try:
            committed = consumer.committed(asked, timeout=timeout)
        except KafkaException as error:
            raise told(error, f"The progress of {group} cannot be read") from None
        left = {
            each.partition: (max(each.offset, spans[each.partition][0]), spans[each.partition][1])
            for each in committed
        }
        for message in scan(consumer, topic, left, time.monotonic() + _LONGEST):
            taken = as_taken(message)
            yield taken, taken.identity in ledger
    finally:
        ledger.close()
        consumer.close()


def letter_bounds(consumer: Consumer, topic: str, timeout: float) -> dict[int, tuple[int, int]]:
    """As ``bounds``; raises ConsumeError when there is no such topic."""
    found = bounds(consumer, topic, timeout)
    if not found:
        raise ConsumeError(
            f"There is no topic {topic}: no letter was written to it yet, or it has another name."
        )
    return found


def as_taken(message: Any) -> TakenLetter:
    """A record, with its place."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    place = f"{topic}[{partition}]@{offset}"
    return TakenLetter(place, message.value(), message.key(), message.headers() or [], partition, offset)
