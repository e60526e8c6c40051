"""A member of a group of the in-memory Kafka: what a consumer's polling thread has in place of a client."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from tidings.consuming.bell import Bell
from tidings.consuming.message import Record
from tidings.errors import ConsumeError
from tidings.testing.memorygroup import MemoryGroup
from tidings.testing.memorykafka import MemoryKafka
from tidings.testing.memorylog import MemoryMessage, Place

_DOWN = "_ALL_BROKERS_DOWN: the in-memory Kafka is down"
Group = tuple[str, int, Sequence[Record]]


class MemoryMember:
    """Reads and commits as a member of a group of Kafka does. One thread, but for ``close``.

    Partitions come and go inside ``fetch``, one by one: who is to lose one finishes with it first. While the
    Kafka is down nothing is read and nothing is committed.
    """

    def __init__(
        self, kafka: MemoryKafka, group: MemoryGroup, partitions: int, told: Callable[[str, bool], None]
    ) -> None:
        self.names: frozenset[str] = frozenset()
        self._kafka = kafka
        self._group = group
        self._partitions = partitions
        self._told = told
        self._bell = Bell()
        self._patterns: list[re.Pattern[str]] = []
        self._positions: dict[Place, int] = {}
        """Of every partition that is ours, as far as we know; the one that was read last stands last."""
        self._paused: set[Place] = set()
        self._stored: dict[Place, int] = {}
        """What is to be committed as soon as that can be."""
        self._acknowledged: deque[tuple[Place, int, str]] = deque()

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: Callable[[list[Place]], None],
        revoked: Callable[[list[Place]], None],
        lost: Callable[[list[Place]], None],
        owner: Callable[[Place], object],
        committed: Callable[[Place, int, str | None], None],
    ) -> None:
        """Join the group; the callbacks come from inside ``fetch``."""
        self._patterns = [re.compile(name) for name in topics if name.startswith("^")]
        self.names = frozenset(name for name in topics if not name.startswith("^"))
        self._assigned, self._revoked, self._lost, self._committed = assigned, revoked, lost, committed
        with self._kafka.lock:
            self._kafka.bells.append(self._bell)
            self._group.join(self)
            self._kafka.ring()

    def wants(self, topic: str) -> bool:
        """True where the topic is subscribed to, by its name or by a regular expression."""
        return topic in self.names or any(pattern.match(topic) for pattern in self._patterns)

    def fetch(self, most: int, timeout: float) -> list[Group]:
        """Up to ``most`` records; when there are none, wait for something to happen, and return nothing."""
        if self._kafka.up:
            self._commit()
            while self._acknowledged:
                self._committed(*self._acknowledged.popleft())
            self._rebalance()
        else:
            self._told(_DOWN, False)
        groups = self._read(most)
        if not groups:
            self._bell.wait(timeout)
        return groups

    def store(self, positions: Iterable[tuple[str, int, int]]) -> list[Place]:
        """Commit these, at once or when the Kafka is up again; those that are not ours any more."""
        strange = []
        for topic, partition, offset in positions:
            if (topic, partition) in self._positions:
                self._stored[topic, partition] = offset
            else:
                strange.append((topic, partition))
        self._commit()
        return strange

    def mark(self, place: Place, offset: int, metadata: str) -> None:
        """Commit this with what is to be remembered; where that cannot be now, it is said."""
        with self._kafka.lock:
            if not (self._kafka.up and self._note(place, offset, metadata)):
                self._told("A commit failed: the in-memory Kafka is down, or the partition not ours", False)

    def pause(self, places: Iterable[Place]) -> None:
        """Read nothing of these."""
        self._paused.update(places)

    def resume(self, places: Iterable[Place]) -> None:
        """Read these again."""
        self._paused.difference_update(places)

    def bounds(self, place: Place) -> tuple[int, int]:
        """The first and the next offset of a partition."""
        with self._kafka.lock:
            end = self._kafka.end(place)
            first = self._kafka.logs.first(place)
            return end if first is None else first.offset, end

    def committed(self, places: Iterable[Place], timeout: float) -> dict[Place, tuple[int, str]]:
        """What the group has committed, with its metadata; nothing while the Kafka is down."""
        with self._kafka.lock:
            known = self._group.committed if self._kafka.up else {}
            return {place: known[place] for place in places if place in known}

    def first_offset(self, place: Place, timeout: float) -> int | None:
        """The first offset that a partition still has; None while the Kafka is down."""
        return self.bounds(place)[0] if self._kafka.up else None

    def seek(self, place: Place, offset: int) -> None:
        """Go on from this offset. Raises ConsumeError."""
        if place not in self._positions:
            raise ConsumeError(f"{place[0]}[{place[1]}] cannot go to {offset}: it is not assigned.")
        self._positions[place] = offset

    def offsets_at(self, places: Iterable[Place], ms: int, timeout: float) -> dict[Place, int]:
        """The first offset of each partition at or after a time; its end where there is none.

        Raises ConsumeError while the Kafka is down.
        """
        if not self._kafka.up:
            raise ConsumeError("Kafka does not say which offsets these are: it is down.")
        found = {}
        with self._kafka.lock:
            for place in places:
                record = self._kafka.logs.first(place, since=ms)
                found[place] = self._kafka.end(place) if record is None else record.offset
        return found

    def close(self) -> None:
        """Commit what is stored, and leave the group. Raises ConsumeError where the Kafka is down: then
        nothing more is committed."""
        with self._kafka.lock:
            self._commit()
            self._group.leave(self)
            if self._bell in self._kafka.bells:
                self._kafka.bells.remove(self._bell)
            self._kafka.ring()
            if not self._kafka.up:
                raise ConsumeError("the in-memory Kafka is down")

    # -- within

    def _commit(self) -> None:
        with self._kafka.lock:
            if self._kafka.up:
                for place, offset in self._stored.items():
                    if self._group.committed.get(place, (None, ""))[0] != offset:  # as librdkafka does
                        self._note(place, offset, "")
                self._stored.clear()

    def _note(self, place: Place, offset: int, metadata: str) -> bool:
        is_ours = self._group.commit(self, place, offset, metadata)
        if is_ours:
            self._acknowledged.append((place, offset, metadata))
        return is_ours

    def _rebalance(self) -> None:
        """Hear what has become of our partitions: lost, to be let go, ours."""
        lock, group = self._kafka.lock, self._group
        with lock:
            is_out = self not in group.members
        if is_out:
            lost = list(self._positions)
            self._lost(lost)
            self._forget(lost)
            with lock:
                group.join(self)
        with lock:
            share = group.share_of(self, self._kafka.topics, self._partitions)
        if gone := [place for place in self._positions if place not in share]:
            self._revoked(gone)
            self._forget(gone)
            with lock:
                group.release(self, gone)
                self._kafka.ring()
        with lock:
            new = [place for place in share if place not in self._positions and group.claim(place, self)]
            self._positions |= {place: group.committed.get(place, (0, ""))[0] for place in new}
        if new:
            self._assigned(new)

    def _forget(self, places: Iterable[Place]) -> None:
        for place in places:
            del self._positions[place]
            self._stored.pop(place, None)
            self._paused.discard(place)

    def _read(self, most: int) -> list[Group]:
        groups: list[Group] = []
        with self._kafka.lock:
            for place in [it for it in self._positions if it not in self._paused] if self._kafka.up else ():
                position = self._positions[place]
                if position > self._kafka.end(
                    place
                ):  # out of range: from the start, as auto.offset.reset says
                    position = 0
                if records := self._kafka.logs.read(place, position, most):
                    most -= len(records)
                    del self._positions[place]
                    self._positions[place] = records[-1].offset + 1
                    groups.append((*place, list(map(MemoryMessage, records))))
        return groups
