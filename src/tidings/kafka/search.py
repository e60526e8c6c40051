"""Finding one event in a topic by its id: by seeking to the time inside a UUIDv7, without an index."""

from __future__ import annotations

import re
import time
from datetime import datetime

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tidings.errors import BrokersUnavailable, ConsumeError
from tidings.kafka.reading import bounds, reader, scan, told
from tidings.settings import Settings

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_MARGIN_MS = 60_000
"""Clocks differ: the id's is the producer's, a record's may be the broker's."""

_NEWEST = 100
"""If no record is as new as the id says, so many of the newest of each partition are read: clocks can be
further apart, and librdkafka's mock broker finds nothing by time."""

_GROUP = "tidings-find"
"""No group is joined and nothing committed; the client wants a name all the same."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event is in Kafka. ``timestamp`` is the record's, in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None = None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a search.

    ``answered`` is False when it could not be told: Kafka was away, time was short, or the id has no time
    inside and no ``since`` was given; ``message`` says which, and what to do. ``scanned`` counts the records
    looked at.
    """

    found: Found | None = None
    answered: bool
    message: str
    scanned: int = 0


def time_of(event_id: str) -> int | None:
    """The milliseconds since 1970 inside a UUIDv7; None for any other id."""
    return int(event_id[:8] + event_id[9:13], 16) if _UUID7.fullmatch(event_id) else None


def find_in_kafka(
    settings: Settings,
    topic: str,
    event_id: str,
    *,
    since: datetime | int | None = None,
    until: datetime | int | None = None,
    timeout: float = 5.0,
) -> Search:
    """Look for the record of ``topic`` whose ``event_id`` header is this id, for up to ``timeout`` seconds.

    Reads from ``since`` (a datetime with a time zone, or milliseconds since 1970; by default a minute before
    the time inside a UUIDv7) to ``until``, or to where the topic ended when the search began. The record
    found is one of them, should there be duplicates. Raises ConfigError, and ValueError for a time without a
    zone; what goes wrong later is in the result.
    """
    start, end = _ms(since), _ms(until)
    if start is None:
        inside = time_of(event_id)
        if inside is None:
            return Search(
                answered=False, message="The id is no UUIDv7, so it has no time inside: give since."
            )
        start = inside - _MARGIN_MS
    consumer = reader(settings, _GROUP)
    try:
        return _search(
            consumer, topic, event_id.encode(), (max(start, 0), end), timeout, guessed=since is None
        )
    except (BrokersUnavailable, ConsumeError) as error:
        return Search(answered=False, message=str(error))
    finally:
        consumer.close()


def _search(
    consumer: Consumer,
    topic: str,
    wanted: bytes,
    times: tuple[int, int | None],
    timeout: float,
    *,
    guessed: bool,
) -> Search:
    deadline = time.monotonic() + timeout
    spans = bounds(consumer, topic, timeout)
    if not spans:
        return Search(answered=True, message=f"There is no topic {topic}.")
    since, until = times
    starts = _offsets_at(consumer, topic, spans, since, deadline)
    ends = {} if until is None else _offsets_at(consumer, topic, spans, until + 1, deadline)
    narrowed = {
        partition: (starts[partition], min(high, ends.get(partition, high)))
        for partition, (_, high) in spans.items()
    }
    if guessed and all(start >= end for start, end in narrowed.values()):
        narrowed = {partition: (max(low, high - _NEWEST), high) for partition, (low, high) in spans.items()}
    scanned = 0
    for message in scan(consumer, topic, narrowed, deadline):
        scanned += 1
        if ("event_id", wanted) in (message.headers() or ()):
            place = Found(
                topic=topic,
                partition=message.partition(),
                offset=message.offset(),
                timestamp=message.timestamp()[1],
                value=message.value(),
            )
            return Search(found=place, answered=True, message="Found.", scanned=scanned)
    nowhere = f"No record of {topic} has this event_id since the time searched from."
    return Search(answered=True, message=nowhere, scanned=scanned)


def _offsets_at(
    consumer: Consumer, topic: str, spans: dict[int, tuple[int, int]], ms: int, deadline: float
) -> dict[int, int]:
    """The first offset at or after a time, or the end where there is none."""
    asked = [TopicPartition(topic, partition, ms) for partition in spans]
    try:
        answer = consumer.offsets_for_times(asked, timeout=max(deadline - time.monotonic(), 0.1))
    except KafkaException as error:
        raise told(error, f"The topic {topic} cannot be searched") from None
    if failed := next((each.error for each in answer if each.error is not None), None):
        raise told(KafkaException(failed), f"The topic {topic} cannot be searched")
    return {each.partition: each.offset if each.offset >= 0 else spans[each.partition][1] for each in answer}


def _ms(moment: datetime | int | None) -> int | None:
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            raise ValueError(f"{moment!r} has no time zone: use datetime.now(timezone.utc)")
        return int(moment.timestamp() * 1000)
    return moment
