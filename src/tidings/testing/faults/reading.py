"""What Kafka really has: topics read to their end by a plain consumer, without anything of tidings."""

from __future__ import annotations

import time
import uuid
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

Identify = Callable[[bytes | None, Mapping[str, bytes | None]], str | None]
"""The ledger's mark of an event, from a record's value and headers; None for a record of somebody else."""

_BATCH = 5000


def by_event_id(value: bytes | None, headers: Mapping[str, bytes | None]) -> str | None:
    """The header ``event_id``, for programs whose marks are the ids of their events."""
    found = headers.get("event_id")
    return None if found is None else found.decode()


class Letter(msgspec.Struct, frozen=True):
    """A record of the dead-letter topic, as far as a judge needs it."""

    letter_id: str
    mark: str | None
    certainty: str
    reason: str
    code: str


class Records(msgspec.Struct):
    """What topics hold, by mark; ``add`` it up where a topic is deleted on the way."""

    copies: dict[str, int] = {}
    """How many records each event has."""
    order: dict[tuple[str, int, int], list[str]] = {}
    """For each (topic, partition, reading): marks as they stand there, the first copy of each only."""
    event_ids: dict[str, set[str]] = {}
    """The event ids that the copies of each event carry."""
    strangers: int = 0
    """Records that ``identify`` knows no mark for."""

    def add(self, other: Records) -> None:
        """Take another reading's records too, as copies of their own."""
        reading = len(self.order)
        for (topic, partition, _), marks in other.order.items():
            self.order[topic, partition, reading] = [mark for mark in marks if mark not in self.copies]
        for mark, count in other.copies.items():
            self.copies[mark] = self.copies.get(mark, 0) + count
            self.event_ids.setdefault(mark, set()).update(other.event_ids[mark])
        self.strangers += other.strangers


def read_records(
    brokers: str, topics: Iterable[str], identify: Identify = by_event_id, *, timeout: float = 120.0
) -> Records:
    """Every record of the topics that exist, from the first to the last that was there when asked.

    Raises TimeoutError after ``timeout`` seconds, and confluent_kafka.KafkaException when Kafka refuses.
    """
    records = Records()

    def take(message: Message) -> None:
        headers = _headers(message)
        mark = identify(message.value(), headers)
        if mark is None:
            records.strangers += 1
            return
        records.event_ids.setdefault(mark, set()).add((headers.get("event_id") or b"").decode())
        copies = records.copies[mark] = records.copies.get(mark, 0) + 1
        if copies == 1:
            place = (message.topic() or "", message.partition() or 0, 0)
            records.order.setdefault(place, []).append(mark)

    _read(brokers, topics, take, timeout)
    return records


def read_letters(
    brokers: str, topics: Iterable[str], identify: Identify = by_event_id, *, timeout: float = 120.0
) -> list[Letter]:
    """Every letter of the dead-letter topics that exist; one that is there twice is in the list twice.

    Raises as ``read_records`` does, and msgspec.MsgspecError at a record that is no letter.
    """
    letters: list[Letter] = []
    _read(
        brokers, topics, lambda message: letters.append(letter_of(message.value() or b"", identify)), timeout
    )
    return letters


def _headers(message: Message) -> dict[str, bytes | None]:
    pairs: Any = message.headers() or []  # the stubs allow a mapping of text too, which is for sending
    return dict(pairs)


def letter_of(text: bytes, identify: Identify) -> Letter:
    """A letter from its JSON."""
    letter = msgspec.json.decode(text)
    event, encoding = letter["event"], letter["event_encoding"]
    value = {"json": lambda: msgspec.json.encode(event), "base64": lambda: b64decode(event)}.get(encoding)
    headers = {header["name"]: _header(header) for header in letter.get("headers") or []}
    return Letter(
        letter_id=letter["letter_id"],
        mark=identify(value() if value else None, headers),
        certainty=letter["certainty"],
        reason=letter["failure_reason"],
        code=letter["error_code"],
    )


def _header(header: Mapping[str, str | None]) -> bytes | None:
    text = header["value"]
    if text is None:
        return None
    return b64decode(text) if header.get("encoding") == "base64" else text.encode()


def _read(brokers: str, topics: Iterable[str], take: Callable[[Message], object], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"judge-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
    )
    try:
        existing = consumer.list_topics(timeout=timeout).topics
        places = [
            TopicPartition(topic, partition, 0)
            for topic in dict.fromkeys(topics)
            if topic in existing
            for partition in existing[topic].partitions
        ]
        unread = {(place.topic, place.partition) for place in places}
        if unread:
            consumer.assign(places)
        while unread:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sorted(unread)} could not be read to their end in {timeout:.0f} s")
            for message in consumer.consume(_BATCH, 0.5):
                error = message.error()
                if error is None:
                    take(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((message.topic() or "", message.partition() or 0))
                elif not error.retriable() and error.code() not in _PASSING:
                    raise KafkaException(error)
    finally:
        consumer.close()


_PASSING = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
"""Errors of a consumer whose cluster is just coming back: it goes on by itself."""
