"""An in-memory Kafka for unit tests: Publisher(transport=InMemoryTransport())."""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from tidings.consuming.transport import Told
from tidings.kafka.refusals import refusal
from tidings.kafka.search import Search
from tidings.kafka.writing import LETTER_TIMEOUT, Writer
from tidings.publishing import forks
from tidings.publishing.threads import native_queue, native_rlock
from tidings.publishing.transport import Report
from tidings.states import Health, HealthStatus
from tidings.testing.memorykafka import Headers, InMemoryRecord, MemoryKafka, Taken, check_shape, fault_named
from tidings.testing.memorymember import MemoryMember

__all__ = ["InMemoryRecord", "InMemoryTransport"]


class InMemoryTransport:
    """Keeps every record in memory and reports as Kafka does; refuses what real Kafka refuses.

    For publishers and consumers alike: a Consumer with the same transport reads what was delivered, as a
    member of its group.

    ``records`` has what was delivered, in order. ``down()`` and ``up()`` play an outage: records wait and
    arrive later. ``fail``, ``fail_always`` and ``batch_fail`` make records fail with the name of a Kafka
    error such as ``TOPIC_AUTHORIZATION_FAILED``. ``careful()`` gives a second lane to the same records, with
    reports of its own. A publisher that is closed leaves the records here. Any thread.

    ``partitions`` is how many each topic has, ``max_message_bytes`` what its topics take, ``queue_messages``
    how many records can wait here: what QUEUE_MESSAGES is to Kafka's client, and this transport is not told
    of. To see QueueFull give both the same small number, and say ``down()``.
    """

    refusal = staticmethod(refusal)

    def __init__(
        self,
        *,
        partitions: int = 4,
        max_message_bytes: int = 1_048_588,
        queue_messages: int = 100_000,
        _shared: MemoryKafka | None = None,
    ) -> None:
        self.partitions = partitions
        self.max_message_bytes = max_message_bytes
        self.queue_messages = queue_messages
        self._busy = _shared is None
        self._shared = shared = _shared or MemoryKafka()
        shared.lanes.append(self)
        self.records = shared.records
        self._faults = shared.faults
        self._reports: SimpleQueue[Taken] = native_queue()
        self._held: deque[Taken] = deque()
        self._serving = 0
        self._closed = False
        forks.watch(self)

    # -- for tests

    def events(self, topic: str | None = None) -> list[Any]:
        """The delivered values, decoded from JSON, of one topic or of all."""
        return [record.json() for record in self.records if topic in {None, record.topic}]

    def clear(self) -> None:
        """Forget the records seen so far, as retention does: offsets go on."""
        with self._shared.lock:
            self.records.clear()

    def committed(self, group_id: str) -> dict[tuple[str, int], int]:
        """The offsets that a group has committed, by topic and partition."""
        with self._shared.lock:
            return {place: offset for place, (offset, _) in self._shared.groups[group_id].committed.items()}

    def evict(self, group_id: str) -> None:
        """Throw all members out of a group, as Kafka does with those that were silent for too long: they lose
        their partitions at once, are told so when they poll next, and join again."""
        with self._shared.lock:
            self._shared.groups[group_id].evict()
            self._shared.ring()

    def down(self) -> None:
        """From now on nothing is delivered, on any lane."""
        with self._shared.lock:
            self._shared.up = False

    def up(self) -> None:
        """Deliver what waits, and everything from now on."""
        with self._shared.lock:
            self._shared.up = True
            for lane in self._shared.lanes:
                lane.release()
            self._shared.ring()

    def fail(self, error: str, times: int = 1) -> None:
        """Let the next ``times`` records, whichever lane they take, fail with this Kafka or librdkafka error
        name."""
        fault = fault_named(error)
        with self._shared.lock:
            self._faults.extend(fault for _ in range(times))

    def fail_always(self, predicate: Callable[[InMemoryRecord], bool], error: str) -> None:
        """Let every record that ``predicate`` is true of fail, on every lane, until ``clear_faults()``."""
        with self._shared.lock:
            self._shared.guilty.append((predicate, fault_named(error)))

    def batch_fail(self, error: str) -> None:
        """Let the next records fail as one batch does: all of them until the next poll that serves one.

        Careful lanes are spared. Say ``down()``, publish, ``batch_fail(…)``, ``up()``: exactly what waits
        fails.
        """
        with self._shared.lock:
            self._shared.batch_fault, self._shared.batch_met = fault_named(error), False

    def clear_faults(self) -> None:
        """From now on nothing fails any more."""
        with self._shared.lock:
            self._faults.clear()
            self._shared.guilty.clear()
        self._shared.end_batch()

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
        check_shape(topic, value, key, headers)
        if partition >= self.partitions:
            raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
        if len(value or b"") + len(key or b"") > self.max_message_bytes:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        at = partition if partition >= 0 else zlib.crc32(key or b"") % self.partitions
        taken = Taken(topic, value, key, at, report, timestamp or time.time_ns() // 1_000_000, headers)
        with self._shared.lock:
            if len(self) >= self.queue_messages:
                raise BufferError("Local: Queue full")
            if self._shared.up:
                self._deliver(taken)
            else:
                self._held.append(taken)

    def careful(self) -> InMemoryTransport:
        """Another lane to the same records, faults and outages, with reports and a length of its own."""
        return InMemoryTransport(
            partitions=self.partitions,
            max_message_bytes=self.max_message_bytes,
            queue_messages=self.queue_messages,
            _shared=self._shared,
        )

    def poll(self, timeout: float) -> int:
        served = 0
        try:
            taken = self._reports.get(timeout=timeout) if timeout else self._reports.get_nowait()
            there = 1 + self._reports.qsize()  # and no more: a busy publisher must not keep the caller here
            while True:
                self._serving = 1
                taken.report(taken.fault, taken)
                served += 1
                if served >= there:
                    return served
                taken = self._reports.get_nowait()
        except Empty:
            return served
        finally:  # a report that raises is spent all the same, as librdkafka's are
            self._serving = 0
            if self._busy and self._shared.batch_met:
                self._shared.end_batch()

    def flush(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while len(self) and (left := end - time.monotonic()) > 0:
            self.poll(left)
        return len(self)

    def purge(self) -> None:
        with self._shared.lock:
            while self._held:
                taken = self._held[0]
                taken.fault = fault_named("_PURGE_QUEUE")
                self._reports.put(self._held.popleft())

    def close(self) -> None:
        self._closed = True
        with self._shared.lock:
            if self in self._shared.lanes:
                self._shared.lanes.remove(self)

    def __len__(self) -> int:
        return len(self._held) + self._reports.qsize() + self._serving

    def health(self, timeout: float) -> Health:
        if self._shared.up:
            return Health(
                status=HealthStatus.HEALTHY, cause="healthy", message="The in-memory transport is up."
            )
        return Health(
            status=HealthStatus.UNHEALTHY, cause="refused", message="The in-memory transport is down."
        )

    def find(self, topic: str, event_id: str, since: object, timeout: float) -> Search:
        """Look through the records: the last one of ``topic`` with this event_id."""
        return self._shared.find(topic, event_id)

    def member(self, group: str, told: Told) -> MemoryMember:
        """A member of this group, for a Consumer."""
        return MemoryMember(self._shared, self._shared.groups[group], self.partitions, told)

    def letter_writer(self) -> Writer:
        """A lane for a Consumer's letters."""
        return Writer(self.careful(), LETTER_TIMEOUT)

    def before_fork(self) -> Callable[[], None]:
        """Nothing has to stand still."""
        return lambda: None

    def after_fork(self) -> object:
        """In a forked child: what was on its way is the parent's; the records so far stay to be seen."""
        inherited = (self._shared.lock, self._reports, self._held)
        self._shared.lock = native_rlock()
        self._reports = native_queue()
        self._held = deque()
        self._serving = 0
        return inherited

    # -- within

    def release(self) -> None:
        """Deliver what waited on this lane; ``up()`` holds the lock."""
        while self._held:
            self._deliver(self._held.popleft())

    def _deliver(self, taken: Taken) -> None:
        self._shared.decide(taken, busy=self._busy)
        self._reports.put(taken)
