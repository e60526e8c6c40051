"""The in-memory Kafka behind every lane of an InMemoryTransport: its records, and the faults asked for."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError

from tidings.publishing.threads import native_rlock
from tidings.publishing.transport import Report

Headers = list[tuple[str, bytes | None]]


class InMemoryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record, as a consumer would see it. ``timestamp`` is milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int

    def json(self) -> Any:
        """The value, decoded from JSON."""
        return json.loads(self.value or b"null")


class Taken(msgspec.Struct):
    """A record on its way: what was produced, and whom to tell. Has the shape of a delivery report."""

    topic: str
    value: bytes | None
    key: bytes | None
    at: int
    report: Report
    created: int
    headers: Headers
    fault: KafkaError | None = None
    position: int = -1001

    def partition(self) -> int:
        return self.at

    def offset(self) -> int:
        return self.position

    def timestamp(self) -> tuple[int, int]:
        return 1, self.created


class Lane(Protocol):
    """One transport of several to the same records."""

    def release(self) -> None: ...


class MemoryKafka:
    """What all lanes of one in-memory Kafka share. ``lock`` is held for everything but ``records``."""

    def __init__(self) -> None:
        self.records: list[InMemoryRecord] = []
        self.faults: deque[KafkaError] = deque()
        self.guilty: list[tuple[Callable[[InMemoryRecord], bool], KafkaError]] = []
        self.batch_fault: KafkaError | None = None
        self.batch_met = False
        self.up = True
        self.lock = native_rlock()
        self.lanes: list[Lane] = []
        self._offsets: dict[tuple[str, int], int] = {}

    def decide(self, taken: Taken, *, busy: bool) -> None:
        """Append the record, or say why it fails. ``busy``: its batch has other records too."""
        place = (taken.topic, taken.at)
        record = InMemoryRecord(
            topic=taken.topic,
            partition=taken.at,
            offset=self._offsets.get(place, 0),
            key=taken.key,
            value=taken.value,
            headers=taken.headers,
            timestamp=taken.created,
        )
        taken.fault = self._fault_of(record, busy)
        if taken.fault is None:
            taken.position = record.offset
            self._offsets[place] = record.offset + 1
            self.records.append(record)

    def _fault_of(self, record: InMemoryRecord, busy: bool) -> KafkaError | None:
        for predicate, fault in self.guilty:
            if predicate(record):
                return fault
        if self.faults:
            return self.faults.popleft()
        if busy and self.batch_fault is not None:
            self.batch_met = True
            return self.batch_fault
        return None

    def end_batch(self) -> None:
        """The records that failed together are all there; up() puts them there under the lock."""
        with self.lock:
            self.batch_fault, self.batch_met = None, False


def fault_named(error: str) -> KafkaError:
    """The KafkaError of a Kafka or librdkafka name such as ``_MSG_TIMED_OUT``."""
    return KafkaError(getattr(KafkaError, error))
