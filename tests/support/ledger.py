"""A ledger of what handlers did, kept outside their processes, and the three rules that are checked by it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from support.kafka_reader import read_topic
from tidings import DeadLetter, Message
from tidings.testing.memory import InMemoryRecord

Place = tuple[int, int]
"""Partition and offset."""
_EVERY = 0.03
_TIMEOUT = 2.0


class Line(NamedTuple):
    """An attempt began, or is done; ``end`` is how long the ledger was with it."""

    is_done: bool
    pid: int
    place: Place
    key: str
    end: int


class Ledger:
    """A file that only grows, one short write a line: what processes wrote stays when they are killed, in
    the order in which it happened. Writing: any thread of any process; reading: one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._lines: list[Line] = []
        self._read = 0

    def begin(self, message: Message[Any]) -> None:
        """The handler begins with this one."""
        self._write("b", message)

    def done(self, message: Message[Any]) -> None:
        """The handler has done all that it does."""
        self._write("d", message)

    def _write(self, word: str, message: Message[Any]) -> None:
        key = "-" if message.key is None else message.key.hex()
        os.write(self._file, f"{word} {os.getpid()} {message.partition} {message.offset} {key}\n".encode())

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._file).st_size

    def lines(self) -> list[Line]:
        """Everything up to now."""
        found = os.pread(self._file, self.size - self._read, self._read)
        for raw in found[: found.rfind(b"\n") + 1].splitlines(keepends=True):
            self._read += len(raw)
            word, pid, partition, offset, key = raw.decode().split()
            place = int(partition), int(offset)
            self._lines.append(Line(word == "d", int(pid), place, key, self._read))
        return self._lines

    def done_places(self) -> set[Place]:
        """Where handlers have come to their end."""
        return {line.place for line in self.lines() if line.is_done}

    def done_by(self, pid: int) -> int:
        """How often handlers of this process have come to their end."""
        return sum(line.pid == pid and line.is_done for line in self.lines())


class Commit(NamedTuple):
    """What a group had committed, with the ledger's size and the time (ms since 1970) right after."""

    offsets: dict[int, int]
    size: int
    ms: int


class CommitWatch:
    """Asks Kafka all the time what a group has committed, by a client that is no member of it."""

    def __init__(self, brokers: str, topic: str, group: str, partitions: int, ledger: Ledger) -> None:
        self.commits: list[Commit] = []
        self._asked = [TopicPartition(topic, it) for it in range(partitions)]
        self._client = Consumer({"bootstrap.servers": brokers, "group.id": group, "log_level": 0})
        self._ledger = ledger
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def now(self) -> dict[int, int]:
        """What is committed at this moment, by partition. Raises KafkaException."""
        found = self._client.committed(self._asked, _TIMEOUT)
        return {it.partition: it.offset for it in found if it.offset >= 0}

    def lag(self) -> int:
        """How much there is behind it. Raises KafkaException."""
        done = self.now()
        bounds = [(it.partition, self._client.get_watermark_offsets(it, _TIMEOUT)) for it in self._asked]
        return sum(high - done.get(partition, low) for partition, (low, high) in bounds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        last: dict[int, int] = {}
        while not self._over.wait(_EVERY):
            try:
                found = self.now()
            except KafkaException:  # it is away, which is what some tests are about
                continue
            if found != last:
                last = found
                self.commits.append(Commit(found, self._ledger.size, time.time_ns() // 1_000_000))


class Kept(msgspec.Struct):
    """What was found when the rules were checked."""

    places: set[Place]
    """Of the topic's records."""
    letters: dict[Place, DeadLetter]
    """Those of the group, by the place of their event."""
    attempts: Counter[Place]
    """How often handlers began with each."""


def check_kept(
    brokers: str,
    topic: str,
    group: str,
    ledger: Ledger,
    commits: Sequence[Commit],
    *,
    dlq: str,
    results: str | None = None,
    places: Collection[Place] | None = None,
    skipped: Collection[Place] = (),
    goes_back: bool = False,
) -> Kept:
    """The promise of consuming, for everything that is in a topic now:

    each record was handled at least once, or is a letter; those of a key began in their order; and no commit
    was ever ahead of a record that was neither by then. ``dlq`` and ``results`` have Kafka's own timestamps
    (LogAppendTime). ``results``: a handler publishes one record an event there, which has its place.
    ``places``: where the records are; default: read again. ``skipped``: no handler is for these.
    ``goes_back``: somebody else has changed what is committed.
    """
    if places is None:
        places = [(it.partition, it.offset) for it in read_topic(brokers, topic, 0)]
    written = [(DeadLetter.decode(it.value), it.timestamp) for it in read_topic(brokers, dlq, 0)]
    letters = {_place(it): (it, ms) for it, ms in reversed(written) if it.group == group}
    outputs = None if results is None else _outputs(read_topic(brokers, results, 0))
    lines = ledger.lines()

    done: dict[Place, int] = {}
    for line in lines:
        if line.is_done:
            done.setdefault(line.place, line.end)
    finished = Finished(done, {place: ms for place, (_, ms) in letters.items()}, outputs, set(skipped))
    neither = sorted(place for place in places if not finished.by(place, ledger.size, 1 << 62))
    assert not neither, f"{len(neither)} of {len(places)} neither handled nor letters: {neither[:5]}"
    check_order(lines)
    check_commits(commits, sorted(places), finished, goes_back=goes_back)
    attempts = Counter(line.place for line in lines if not line.is_done)
    return Kept(set(places), {place: letter for place, (letter, _) in letters.items()}, attempts)


class Finished(NamedTuple):
    """Until when each record was handled (as the ledger's size), or a letter or a result of it was in Kafka
    (ms since 1970); ``outputs`` None: handlers publish nothing."""

    done: dict[Place, int]
    letters: dict[Place, int]
    outputs: dict[Place, int] | None
    skipped: set[Place]

    def by(self, place: Place, size: int, ms: int) -> bool:
        """Whether this one was finished when the ledger was so long, at this time."""
        if place in self.skipped or self.letters.get(place, ms + 1) <= ms:
            return True
        is_out = self.outputs is None or self.outputs.get(place, ms + 1) <= ms
        return is_out and self.done.get(place, size + 1) <= size


def check_order(lines: Iterable[Line]) -> None:
    """The first attempts of a key came in the order of its records."""
    firsts: dict[tuple[int, str], list[int]] = defaultdict(list)
    seen: set[Place] = set()
    for line in lines:
        if not line.is_done and line.key != "-" and line.place not in seen:
            seen.add(line.place)
            firsts[line.place[0], line.key].append(line.place[1])
    for (partition, key), offsets in firsts.items():
        early = next((at for at, after in pairwise(offsets) if after < at), None)
        assert early is None, f"partition {partition}, key {key}: {early} began before one that is older"


def check_commits(
    commits: Sequence[Commit], places: Sequence[Place], finished: Finished, *, goes_back: bool = False
) -> None:
    """No commit was ahead of a record of ``places``, which are sorted, that was not finished by then."""
    by_partition: dict[int, list[int]] = defaultdict(list)
    for partition, offset in places:
        by_partition[partition].append(offset)
    checked: dict[int, int] = defaultdict(int)
    last: dict[int, int] = {}
    for offsets, size, ms in commits:
        for partition, committed in offsets.items():
            assert goes_back or committed >= last.get(partition, 0), f"{partition}: back to {committed}"
            last[partition] = committed
            known, number = by_partition[partition], checked[partition]
            while number < len(known) and known[number] < committed:
                assert finished.by((partition, known[number]), size, ms), (
                    f"partition {partition}: {committed} was committed before {known[number]} was finished"
                )
                number += 1
            checked[partition] = number


def _place(letter: DeadLetter) -> Place:
    assert letter.partition is not None
    assert letter.offset is not None
    return letter.partition, letter.offset


def _outputs(records: Iterable[InMemoryRecord]) -> dict[Place, int]:
    found: dict[Place, int] = {}
    for record in records:
        data = record.json()["data"]
        found.setdefault((data["partition"], data["offset"]), record.timestamp)
    return found
