"""A consumer without Kafka: records and a client in memory, the real parts between them."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from support.processes import wait_until
from tidings.consuming.dedup import Once
from tidings.consuming.fate import Fate
from tidings.consuming.handlers import Handlers
from tidings.consuming.holdings import Holdings
from tidings.consuming.letters import Letters
from tidings.consuming.message import Record
from tidings.consuming.ownloop import OwnLoopRelay
from tidings.consuming.polling import Polling
from tidings.consuming.reading import Reading
from tidings.consuming.registering import Registering
from tidings.consuming.relay import Relay
from tidings.consuming.seen import MemorySeen, Seen
from tidings.consuming.tally import Tally
from tidings.errors import BrokersUnavailable, DeliveryError
from tidings.events.declare import Registry
from tidings.letters.letter import DeadLetter
from tidings.settings import Settings

PlaceName = tuple[str, int]
Pair = tuple[str, bytes | None]


class FakeRecord:
    """Has the shape of confluent_kafka.Message."""

    def __init__(
        self,
        value: bytes | None,
        key: bytes | None = None,
        *,
        offset: int = 0,
        partition: int = 0,
        topic: str = "orders",
        headers: Sequence[Pair] = (),
    ) -> None:
        self._parts = topic, partition, offset, key, value, list(headers)

    def topic(self) -> str:
        return self._parts[0]

    def partition(self) -> int:
        return self._parts[1]

    def offset(self) -> int:
        return self._parts[2]

    def key(self) -> bytes | None:
        return self._parts[3]

    def value(self) -> bytes | None:
        return self._parts[4]

    def headers(self) -> list[Pair] | None:
        return self._parts[5]

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def __len__(self) -> int:
        return len(self._parts[4] or b"")


def event_value(event_type: str = "order.placed", event_id: str = "id", **data: Any) -> bytes:
    """An event in tidings' own envelope."""
    envelope = {"event_id": event_id, "event_type": event_type, "correlation_id": f"c-{event_id}"}
    return msgspec.json.encode({**envelope, "timestamp": "2026-01-02T03:04:05Z", "data": data})


def orders(
    count: int, keys: int = 10, *, first: int = 0, step: int = 1, partition: int = 0
) -> list[FakeRecord]:
    """Events ``order.placed`` whose ``total`` is a number, with offsets ``step`` apart."""
    return [
        FakeRecord(
            event_value(event_id=f"{partition}-{number}", order_id=f"o-{number % keys}", total=number),
            b"o-%d" % (number % keys),
            offset=number * step,
            partition=partition,
        )
        for number in range(first, first + count)
    ]


class FakeClient:
    """A partitioned log in memory, and a group of one whose partitions a test gives and takes."""

    def __init__(self, records: Iterable[FakeRecord] = (), *, chunk: int = 500) -> None:
        self.log: dict[PlaceName, list[FakeRecord]] = {}
        for record in records:
            self.log.setdefault((record.topic(), record.partition()), []).append(record)
        self.stored: dict[PlaceName, list[int]] = {}
        self.paused: set[PlaceName] = set()
        self.pauses = 0
        self.closed = False
        self._chunk = chunk
        self._next: dict[PlaceName, int] = {}
        self._todo: deque[Callable[[], None]] = deque()
        self.metadata: dict[PlaceName, str] = {}
        self.marks: list[tuple[PlaceName, int, str]] = []
        self.takes_marks = True
        self._callbacks: dict[str, Callable[..., None]] = {}

    # -- for tests

    def add(self, records: Iterable[FakeRecord]) -> None:
        for record in records:
            self.log[record.topic(), record.partition()].append(record)

    def change(self, kind: Literal["assigned", "revoked", "lost"], *places: PlaceName) -> None:
        """Have a rebalance at the next fetch; waits until it is over."""
        over = threading.Event()

        def do() -> None:
            for place in places:
                if kind == "assigned":
                    committed = self.stored.get(place, [0])[-1]
                    log = self.log.setdefault(place, [])
                    self._next[place] = next(
                        (n for n, it in enumerate(log) if it.offset() >= committed), len(log)
                    )
            self._callbacks[kind](list(places))
            if kind != "assigned":
                for place in places:
                    self._next.pop(place, None)
            over.set()

        self._todo.append(do)
        assert over.wait(60)

    def reached(self, partition: int = 0, topic: str = "orders") -> int | None:
        stored = self.stored.get((topic, partition))
        return stored[-1] if stored else None

    # -- the client

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None:
        self._callbacks = callbacks

    def fetch(self, most: int, timeout: float) -> list[tuple[str, int, Sequence[Record]]]:
        while self._todo:
            self._todo.popleft()()
        groups: list[tuple[str, int, Sequence[Record]]] = []
        for place, at in self._next.items():
            if place not in self.paused and (records := self.log[place][at : at + min(most, self._chunk)]):
                self._next[place] = at + len(records)
                groups.append((*place, records))
        if not groups:
            threading.Event().wait(min(timeout, 0.002))
        return groups

    def store(self, positions: Iterable[tuple[str, int, int]]) -> list[PlaceName]:
        for topic, partition, offset in positions:
            self._commit((topic, partition), offset, "")
        return []

    def mark(self, place: PlaceName, offset: int, metadata: str) -> None:
        self.marks.append((place, offset, metadata))
        if self.takes_marks:
            self._commit(place, offset, metadata)

    def _commit(self, place: PlaceName, offset: int, metadata: str) -> None:
        self.metadata[place] = metadata
        self.stored.setdefault(place, []).append(offset)
        self._todo.append(lambda: self._callbacks["committed"](place, offset, metadata))

    def pause(self, places: Iterable[PlaceName]) -> None:
        self.pauses += 1
        self.paused.update(places)

    def resume(self, places: Iterable[PlaceName]) -> None:
        self.paused.difference_update(places)

    def seek(self, place: PlaceName, offset: int) -> None:
        log = self.log[place]
        self._next[place] = next((n for n, it in enumerate(log) if it.offset() >= offset), len(log))

    def offsets_at(self, places: Iterable[PlaceName], ms: int, timeout: float) -> dict[PlaceName, int]:
        return dict.fromkeys(places, 0)

    def committed(self, places: Iterable[PlaceName], timeout: float) -> dict[PlaceName, tuple[int, str]]:
        return {
            place: (self.stored[place][-1], self.metadata.get(place, ""))
            for place in places
            if self.stored.get(place)
        }

    def first_offset(self, place: PlaceName, timeout: float) -> int | None:
        return self.log[place][0].offset() if self.log.get(place) else None

    def bounds(self, place: PlaceName) -> tuple[int, int]:
        log = self.log.get(place)
        return (log[0].offset(), log[-1].offset() + 1) if log else (-1, -1)

    def close(self) -> None:
        self.closed = True


class FakeWriter:
    """A dead-letter topic in memory; ``down`` refuses."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.down = False
        self.largest = 10_000_000
        """Bytes: a larger letter is refused, and with it all that are written with it."""

    def write(self, records: Sequence[Any]) -> None:
        if self.down:
            raise BrokersUnavailable("down")
        if max(len(value) for _, _, value, _ in records) > self.largest:
            raise DeliveryError("no", kafka_error="MSG_SIZE_TOO_LARGE", certainty="not_delivered", attempts=1)
        self.letters += [DeadLetter.decode(value) for _, _, value, _ in records]

    def close(self) -> None:
        """Nothing to let go of."""


class Life:
    """One life of a consumer's parts, on a FakeClient. ``on`` and ``subscribe`` as a Consumer has them."""

    def __init__(
        self, client: FakeClient, *, workers: int = 8, hang_exit: float = 0, **settings: Any
    ) -> None:
        given = {"brokers": "in-memory.invalid:9092", "retry_backoff": 0.001, **settings}
        self.settings = Settings(**given)
        self.registering = Registering(self.settings, Registry())
        self.on, self.on_batch = self.registering.on, self.registering.on_batch
        self.subscribe = self.registering.subscribe
        self.client = client
        self.writer = FakeWriter()
        self.tally = Tally()
        self.holdings = Holdings()
        self.halted: list[str] = []
        self.stumbles: list[BaseException] = []
        self.ended: list[BaseException | None] = []
        self.seen: Seen = MemorySeen()
        self._workers, self._hang_exit = workers, hang_exit

    @property
    def handlers(self) -> Handlers:
        return self.registering._handlers

    def start(self) -> None:
        logger = logging.getLogger("tidings.consumer")
        self.letters = Letters(
            self.holdings,
            self.tally,
            lambda: self.writer,
            lambda *parts: parts,
            group="group",
            dlq="dead-letters",
            client_id="tests",
            logger=logger,
        )
        self.fate = fate = Fate(
            self.holdings,
            self.tally,
            self.letters,
            self.halted.append,
            self.stumbles.append,
            logger,
            pauses=self.settings.on_outage == "pause",
        )
        reading = Reading(self.handlers, self.settings.unknown_types)
        for route in reading.routes:
            if (window := route.handler.dedup) is not None:
                route.remember(Once(self.seen, "group", window, self.tally, self.holdings.lock, logger))
        is_async = any(handler.is_async for handler in self.handlers.all)
        make = OwnLoopRelay if is_async else Relay
        self.relay = make(self.holdings, reading, fate, self._workers, self._hang_exit)
        self.polling = Polling(
            self.client,
            ["orders"],
            self.holdings,
            self.relay,
            fate,
            by=uuid.uuid4().hex[:12],
            max_poll_interval=300,
            logger=logger,
            assigned=lambda: None,
            came=lambda _: None,
            ended=self.ended.append,
        )
        self.relay.start()
        self.polling.start()

    def stop(self, timeout: float = 60) -> None:
        self.polling.stop(timeout)
        assert self.polling.join(timeout + 5)
        self.relay.stop(5)
        self.letters.stop(5)

    def run_until(self, true: Callable[[], bool]) -> None:
        """Start with every partition of the log, and stop when it is true."""
        self.start()
        self.client.change("assigned", *self.client.log)
        try:
            assert wait_until(true), self.client.stored
        finally:
            self.stop()

    def run_to_the_end(self) -> None:
        """Until every record is finished and stored."""
        ends = {place: log[-1].offset() + 1 for place, log in self.client.log.items()}
        self.run_until(lambda: all(self.client.stored.get(it, [0])[-1] == end for it, end in ends.items()))
