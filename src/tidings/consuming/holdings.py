"""Holdings: everything that was fetched and is not finished, and what of it may be stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tidings.consuming.bell import Bell
from tidings.consuming.message import Record
from tidings.consuming.places import Chunk, Place, Tenure
from tidings.consuming.window import Held, may_fetch
from tidings.publishing.threads import native_lock

PlaceName = tuple[str, int]


class Holdings:
    """The tenures of a consumer. ``lock`` guards them, their chunks and lanes; it is held for no more than a
    few steps. Tenures come and go on the polling thread alone."""

    def __init__(self) -> None:
        self.lock = native_lock()
        self.bell = Bell()
        """Rung when something was finished that may make room, or that the polling thread waits for."""
        self.tenures: dict[PlaceName, Tenure] = {}
        self._places: dict[PlaceName, Place] = {}
        """Of all partitions that were ever ours: a leader may still have a key of one in hand."""

    # -- on the polling thread

    def begin(self, topic: str, partition: int) -> Tenure:
        """The partition is ours from now on, or its position has changed: what was held of it is over."""
        name = (topic, partition)
        with self.lock:
            self._end(name)
            place = self._places.get(name)
            if place is None:
                place = self._places[name] = Place(topic, partition)
            tenure = self.tenures[name] = Tenure(place)
        return tenure

    def end(self, names: Iterable[PlaceName]) -> None:
        """These partitions are ours no more."""
        with self.lock:
            for name in names:
                self._end(name)

    def _end(self, name: PlaceName) -> None:
        tenure = self.tenures.pop(name, None)
        if tenure is not None:
            tenure.is_leaving = True

    def take(
        self, groups: Iterable[tuple[str, int, Sequence[Record]]], jumped: Callable[[Tenure, int], None]
    ) -> list[Chunk]:
        """Chunks of what was fetched, one or more of each partition; what is not ours is left out.

        ``jumped`` is told of a partition whose next record is not the one expected, and of its offset.
        """
        chunks = []
        for topic, partition, records in groups:
            tenure = self.tenures.get((topic, partition))
            if tenure is None or tenure.is_leaving:
                continue
            first = records[0].offset()
            if tenure.expected is not None and first > tenure.expected:
                jumped(tenure, first)
            parts = [[record] for record in records] if tenure.life.is_careful else [records]
            found = [Chunk(tenure, part) for part in parts]
            with self.lock:
                for chunk in found:
                    tenure.watermark.add(chunk)
            tenure.expected = found[-1].end
            chunks += found
        return chunks

    def due(self) -> list[tuple[Tenure, int]]:
        """Positions that are new since they were last stored; none where each event has a mark of its own."""
        found = []
        with self.lock:
            for tenure in self.tenures.values():
                position = tenure.watermark.position
                if position in (None, tenure.stored, tenure.life.at) or tenure.life.is_careful:
                    continue
                found.append((tenure, position))
        return found

    def full(self) -> list[Tenure]:
        """Of which partitions nothing more may be fetched now."""
        with self.lock:
            held = {name: Held(it.watermark.count, it.watermark.size) for name, it in self.tenures.items()}
            altogether = Held.sum(held.values())
            return [
                tenure
                for name, tenure in self.tenures.items()
                if not may_fetch(
                    held[name], altogether, paused=tenure.is_paused, suspect=tenure.life.is_suspect
                )
            ]

    # -- on any thread

    def finish(self, chunk: Chunk, offset: int) -> None:
        """A record that was kept open is handled, or a letter."""
        with self.lock:
            chunk.open.discard(offset)
            self.settle(chunk)

    def settle(self, chunk: Chunk) -> None:
        """Something of this chunk was finished; the caller holds the lock."""
        if chunk.is_finished:
            chunk.tenure.watermark.advance()
            chunk.records = ()
            self.bell.ring()
        elif chunk.tenure.is_leaving:
            self.bell.ring()

    def suspend(self, chunk: Chunk, offset: int) -> None:
        """The handler is done with this record, or given up; it is finished when ``finish`` says so."""
        with self.lock:
            chunk.open.add(offset)
            chunk.tenure.pending += 1

    def resolve(self, chunk: Chunk, offset: int) -> None:
        """What came of a suspended record is in Kafka."""
        with self.lock:
            chunk.tenure.pending -= 1
            chunk.open.discard(offset)
            self.settle(chunk)
