"""An in-memory Kafka for unit tests: Publisher(transport=InMemoryTransport())."""

from __future__ import annotations

import json
import time
import zlib
from collections import deque
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from tidings.errors import InvalidTopic
from tidings.events.routing import check_topic
from tidings.publishing import forks
from tidings.publishing.threads import native_queue, native_rlock
from tidings.publishing.transport import Report
from tidings.states import Health, HealthStatus

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


class _Taken(msgspec.Struct):
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


class InMemoryTransport:
    """Keeps every record in memory and reports as Kafka does; refuses what real Kafka refuses.

    ``records`` has what was delivered, in order. ``down()`` and ``up()`` play an outage: records wait and
    arrive later. ``fail(error, times)`` makes the next records fail with a Kafka error such as
    ``TOPIC_AUTHORIZATION_FAILED``. A publisher that is closed leaves the records here. Any thread.
    """

    def __init__(
        self, *, partitions: int = 4, max_message_bytes: int = 1_048_588, queue_messages: int = 100_000
    ) -> None:
        self.partitions = partitions
        self.max_message_bytes = max_message_bytes
        self.queue_messages = queue_messages
        self.records: list[InMemoryRecord] = []
        self._reports: SimpleQueue[_Taken] = native_queue()
        self._held: deque[_Taken] = deque()
        self._faults: deque[KafkaError] = deque()
        self._offsets: dict[tuple[str, int], int] = {}
        self._serving = 0
        self._up = True
        self._closed = False
        self._lock = native_rlock()
        forks.watch(self)

    # -- for tests

    def events(self, topic: str | None = None) -> list[Any]:
        """The delivered values, decoded from JSON, of one topic or of all."""
        return [record.json() for record in self.records if topic in {None, record.topic}]

    def clear(self) -> None:
        """Forget the records seen so far."""
        self.records.clear()

    def down(self) -> None:
        """From now on nothing is delivered."""
        with self._lock:
            self._up = False

    def up(self) -> None:
        """Deliver what waits, and everything from now on."""
        with self._lock:
            self._up = True
            while self._held:
                self._deliver(self._held.popleft())

    def fail(self, error: str, times: int = 1) -> None:
        """Let the next ``times`` records fail with this Kafka or librdkafka error name."""
        code = getattr(KafkaError, error)
        with self._lock:
            self._faults.extend(KafkaError(code) for _ in range(times))

    # -- the transport

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        report: Report,
        _unused: None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        if self._closed:
            raise RuntimeError("the in-memory transport was closed")
        self._refuse_what_kafka_refuses(topic, value, key, partition, headers)
        at = partition if partition >= 0 else zlib.crc32(key or b"") % self.partitions
        taken = _Taken(topic, value, key, at, report, timestamp or time.time_ns() // 1_000_000, headers)
        with self._lock:
            if len(self) >= self.queue_messages:
                raise BufferError("Local: Queue full")
            if self._up:
                self._deliver(taken)
            else:
                self._held.append(taken)

    def refusal(self, error: Exception) -> KafkaError | None:
        if isinstance(error, BufferError):
            return KafkaError(KafkaError._QUEUE_FULL)
        if isinstance(error, KafkaException):
            fault: KafkaError = error.args[0]
            return fault
        return None

    def poll(self, timeout: float) -> int:
        served = 0
        try:
            taken = self._reports.get(timeout=timeout) if timeout else self._reports.get_nowait()
            while True:
                self._serving = 1
                taken.report(taken.fault, taken)
                served += 1
                taken = self._reports.get_nowait()
        except Empty:
            return served
        finally:  # a report that raises is spent all the same, as librdkafka's are
            self._serving = 0

    def flush(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while len(self) and (left := end - time.monotonic()) > 0:
            self.poll(left)
        return len(self)

    def purge(self) -> None:
        with self._lock:
            while self._held:
                taken = self._held[0]
                taken.fault = KafkaError(KafkaError._PURGE_QUEUE)
                self._reports.put(self._held.popleft())

    def close(self) -> None:
        self._closed = True

    def __len__(self) -> int:
        return len(self._held) + self._reports.qsize() + self._serving

    def health(self, timeout: float) -> Health:
        if self._up:
            return Health(
                status=HealthStatus.HEALTHY, cause="healthy", message="The in-memory transport is up."
            )
        return Health(
            status=HealthStatus.UNHEALTHY, cause="refused", message="The in-memory transport is down."
        )

    def after_fork(self) -> object:
        """In a forked child: what was on its way is the parent's; the records so far stay to be seen."""
        inherited = (self._lock, self._reports, self._held)
        self._lock = native_rlock()
        self._reports = native_queue()
        self._held = deque()
        self._serving = 0
        return inherited

    # -- within

    def _deliver(self, taken: _Taken) -> None:
        if self._faults:
            taken.fault = self._faults.popleft()
        else:
            place = (taken.topic, taken.at)
            taken.position = self._offsets.get(place, 0)
            self._offsets[place] = taken.position + 1
            self.records.append(
                InMemoryRecord(
                    topic=taken.topic,
                    partition=taken.at,
                    offset=taken.position,
                    key=taken.key,
                    value=taken.value,
                    headers=taken.headers,
                    timestamp=taken.created,
                )
            )
        self._reports.put(taken)

    def _refuse_what_kafka_refuses(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int, headers: Headers
    ) -> None:
        try:
            check_topic(topic)
        except InvalidTopic:
            raise KafkaException(KafkaError(KafkaError.TOPIC_EXCEPTION)) from None
        for part in (value, key, *(content for _, content in headers)):
            if part is not None and not isinstance(part, bytes):
                raise TypeError(f"a record is made of bytes, not of {type(part).__qualname__}")
        if partition >= self.partitions:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        if len(value or b"") + len(key or b"") > self.max_message_bytes:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
