"""Writing a few records that must be in Kafka before anything else: notes of replays, parked letters."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tidings.errors import BrokersUnavailable, DeliveryError
from tidings.kafka.config import client_config
from tidings.kafka.outcomes import certainty_of
from tidings.kafka.quiet import librdkafka_log
from tidings.kafka.refusals import refusal
from tidings.settings import Settings

_POLL = 0.1
LETTER_TIMEOUT = 10.0
"""Seconds for a consumer's letters, before they are tried again."""


class NewRecord(msgspec.Struct, frozen=True):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []


class Producing(Protocol):
    """What writing needs of a client (KafkaClient has this shape)."""

    @property
    def produce(self) -> Callable[..., None]: ...
    def poll(self, timeout: float) -> int: ...
    def flush(self, timeout: float) -> int: ...
    def purge(self) -> None: ...
    def close(self) -> None: ...


class Writer:
    """Writes records by a client, which is its own from now on, and returns when Kafka has acknowledged all
    of them. One thread at a time."""

    def __init__(self, client: Producing, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    def write(self, records: Sequence[NewRecord]) -> None:
        """Raises BrokersUnavailable when Kafka is silent, DeliveryError when it refuses one of them: any of
        the others may then be there or not."""
        end = time.monotonic() + self._timeout
        answers: list[str | None] = []
        for record in records:
            self._produce(record, lambda fault, _: answers.append(fault and fault.name()), end)
        while len(answers) < len(records):
            self._poll(records[0].topic, end)
        if fault := next(filter(None, answers), None):
            raise _refused(records[0].topic, fault)

    def _produce(self, record: NewRecord, report: Callable[[Any, Any], None], end: float) -> None:
        while True:
            try:
                self._client.produce(
                    record.topic, record.value, record.key, -1, report, None, 0, record.headers
                )
            except BufferError:
                self._poll(record.topic, end)
            except KafkaException as error:
                raise _refused(record.topic, error.args[0].name()) from None
            else:
                return

    def _poll(self, topic: str, end: float) -> None:
        if time.monotonic() >= end:
            raise BrokersUnavailable(f"The topic {topic} could not be written in time.")
        try:
            self._client.poll(_POLL)
        except KafkaException as error:
            raise _refused(topic, error.args[0].name()) from None

    def close(self) -> None:
        """Give up what is not written. Without purge and flush, closing takes a whole delivery timeout."""
        self._client.purge()
        with contextlib.suppress(KafkaException):  # a fatal error of a client that is let go
            self._client.flush(0)
        self._client.close()


def make_topic(settings: Settings, topic: str, config: dict[str, str], timeout: float) -> str | None:
    """Create a topic of one partition; the name of Kafka's error if it would not.

    That it exists already is fine, and other errors need not matter: writing to it tells.
    """
    admin = AdminClient(client_config(settings) | {"logger": librdkafka_log()})
    try:
        made = admin.create_topics([NewTopic(topic, 1, -1, config=config)], request_timeout=timeout)
        made[topic].result(timeout)
    except KafkaException as error:
        fault = refusal(error)
        name = fault.name() if fault else repr(error)
        return None if name == "TOPIC_ALREADY_EXISTS" else name
    return None


def _refused(topic: str, fault: str) -> DeliveryError:
    return DeliveryError(
        f"The topic {topic} cannot be written: {fault}. Create it, or allow this client to write there.",
        kafka_error=fault,
        certainty=certainty_of(fault),
        attempts=1,
        topic=topic,
    )
