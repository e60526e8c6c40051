"""The in-memory Kafka behind every lane of an InMemoryTransport: its records, and the faults asked for."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
from confluent_kafka import KafkaError, KafkaException

from tidings.consuming.bell import Bell
from tidings.errors import InvalidTopic
from tidings.events.routing import check_topic
from tidings.kafka.search import Found, Search
from tidings.publishing.threads import native_rlock
from tidings.publishing.transport import Report
from tidings.testing.memorygroup import MemoryGroup
from tidings.testing.memorylog import Logs, Place

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
        self.logs = Logs(self.records)
        self.groups: defaultdict[str, MemoryGroup] = defaultdict(MemoryGroup)
        self.bells: list[Bell] = []
        """Of consumers: rung when there may be something to do for them."""
        self._offsets: dict[Place, int] = {}

    @property
    def topics(self) -> Iterable[str]:
        """Those that have, or had, records; in the order in which they came."""
        return dict.fromkeys(topic for topic, _ in self._offsets)

    def end(self, place: Place) -> int:
        """The offset of the partition's next record."""
        return self._offsets.get(place, 0)

    def ring(self) -> None:
        """Have every consumer look."""
        for bell in self.bells:
            bell.ring()

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
            if self.bells:
                self.ring()

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

    def find(self, topic: str, event_id: str) -> Search:
        """The last record of ``topic`` with this event_id."""
        wanted = ("event_id", event_id.encode())
        for number, record in reversed(list(enumerate(self.records))):
            if record.topic == topic and wanted in record.headers:
                found = Found(
                    topic=topic,
                    partition=record.partition,
                    offset=record.offset,
                    timestamp=record.timestamp,
                    value=record.value,
                )
                return Search(found=found, answered=True, message="Found.", scanned=number + 1)
        return Search(answered=True, message="No record has this event_id.", scanned=len(self.records))

    def end_batch(self) -> None:
        """The records that failed together are all there; up() puts them there under the lock."""
        with self.lock:
            self.batch_fault, self.batch_met = None, False


def fault_named(error: str) -> KafkaError:
    """The KafkaError of a Kafka or librdkafka name such as ``_MSG_TIMED_OUT``."""
    return KafkaError(getattr(KafkaError, error))


def check_shape(topic: str, value: bytes | None, key: bytes | None, headers: Headers) -> None:
    """Refuse what no Kafka takes. Raises KafkaException, TypeError."""
    try:
        check_topic(topic)
    except InvalidTopic:
        raise KafkaException(KafkaError(KafkaError.TOPIC_EXCEPTION)) from None
    for part in (value, key, *(content for _, content in headers)):
        if part is not None and not isinstance(part, bytes):
            raise TypeError(f"a record is made of bytes, not of {type(part).__qualname__}")
