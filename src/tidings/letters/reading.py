"""Reading a journal: the live events of a topic, in order, every one verified by its checksum."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from operator import attrgetter

from tidings.letters.books import Books
from tidings.letters.errors import RowMissing
from tidings.letters.frames import Table, parse_table, read_damaged, unpack
from tidings.letters.groups import Group, Groups, group_of
from tidings.letters.owed import Damage, Owed, Tally

_BYTES = 4 << 20
_seq_of = attrgetter("seq")


class Reader:
    """One reading. ``damage`` is what it found destroyed: no longer live, no longer counted."""

    def __init__(self, con: sqlite3.Connection, groups: Groups, books: Books, checked: set[str]) -> None:
        self.damage: list[Damage] = []
        self._con = con
        self._groups = groups
        self._books = books
        self._checked = checked

    def read(self, topic: str, after: int, limit: int) -> list[Owed]:
        """Live events with a seq above ``after``. Groups may overlap: an event is told only once every group
        that begins before it was read."""
        written = self._books.written.get(topic)
        if written is None or limit < 1:
            return []
        pending: list[Owed] = []
        size = 0
        cursor = self._con.execute(
            "SELECT seq FROM groups WHERE topic = ? AND seq > ? AND last > ? ORDER BY seq",
            (topic, after - written.span, after),
        )
        try:
            for (first,) in cursor:
                ready = bisect_left(pending, first, key=_seq_of)
                if ready >= limit or (ready and size >= _BYTES):
                    return pending[: min(ready, limit)]
                events, read = self._events(first, topic, after, limit)
                overlaps = bool(pending and events and events[0].seq < pending[-1].seq)
                pending += events
                size += read
                if overlaps:
                    pending.sort(key=_seq_of)
        finally:
            cursor.close()  # an open one holds back every checkpoint
        self._check(topic, written.events)
        return pending[:limit]

    def get(self, seq: int) -> Owed | None:
        """One live event."""
        owners = self._groups.owners(self._con, [seq], self._books.span)
        if not owners:
            return None
        group = owners[0][0]
        events, _ = self._events(group.first, group.topic, seq - 1, 1)
        return events[0] if events and events[0].seq == seq else None

    def oldest_seq(self) -> int | None:
        """The lowest seq of a live event."""
        best: int | None = None
        cursor = self._con.execute("SELECT seq FROM groups ORDER BY seq")
        try:
            for (first,) in cursor:
                if best is not None and first > best:
                    break
                group = self._groups.get(first)
                lowest = first if group is None else group.lowest()
                if lowest is not None and (best is None or lowest < best):
                    best = lowest
        finally:
            cursor.close()
        return best

    def count(self) -> int:
        """Live events, counted row by row."""
        (written,) = self._con.execute("SELECT coalesce(sum(count), 0) FROM groups NOT INDEXED").fetchone()
        return int(written) - sum(len(group.gone) for group in self._groups)

    def _events(self, first: int, wanted: str, after: int, limit: int) -> tuple[list[Owed], int]:
        row = self._con.execute(
            "SELECT topic, last, count, bytes, table_one, frames, table_two FROM groups WHERE seq = ?",
            (first,),
        ).fetchone()
        if row is None:
            raise RowMissing
        topic, last, count, size, one, frames, two = row
        if topic != wanted:
            raise RowMissing
        table = parse_table(first, one)
        group = self._groups.get(first)
        if table is None:
            table = parse_table(first, two)
            if table is None:
                self._lose_all(group or Group(topic, first, last, count, size, None, set()))
                return [], 0
        if group is None:
            group = self._groups.add(group_of(topic, table, size))
        if one != two:
            group.spoiled = True
        return self._unpack(group, table, frames, after, limit)

    def _unpack(
        self, group: Group, table: Table, frames: bytes, after: int, limit: int
    ) -> tuple[list[Owed], int]:
        start = bisect_right(table.seqs, after)
        end = sum(table.lengths[:start])
        gone = group.gone
        events: list[Owed] = []
        size = 0
        for index in range(start, len(table.seqs)):
            begin, end = end, end + table.lengths[index]
            seq = table.seqs[index]
            if seq in gone:
                continue
            frame = frames[begin:end]
            owed = unpack(frame, table.checksums[index])
            if owed is None:
                self._lose(group, seq, frame)
                continue
            events.append(owed)
            size += end - begin
            if len(events) == limit:
                break
        return events, size

    def _lose(self, group: Group, seq: int, frame: bytes) -> None:
        owed = read_damaged(frame)
        why = "its checksum is wrong: the disk changed its bytes"
        self.damage.append(Damage(seq, group.topic, owed.event_id if owed else None, 1, why))
        size = group.share(1)
        group.gone.add(seq)
        group.gone_bytes += size
        group.spoiled = True
        self._books.count_live({group.topic: Tally(-1, -size)})

    def _lose_all(self, group: Group) -> None:
        count = group.left
        if count:
            why = "both tables of its group are damaged: the disk changed their bytes"
            self.damage.append(Damage(group.first, group.topic, None, count, why))
            self._books.count_live({group.topic: Tally(-count, group.gone_bytes - group.bytes)})
        group.gone = set(range(group.first, group.first + group.count))
        group.gone_bytes = group.bytes
        group.spoiled = True
        self._groups.add(group)

    def _check(self, topic: str, events: int) -> None:
        """Once for every topic, when its end is reached: the index must name as many events as counted."""
        if topic in self._checked:
            return
        (named,) = self._con.execute(
            "SELECT coalesce(sum(count), 0) FROM groups INDEXED BY groups_by_topic WHERE topic = ?", (topic,)
        ).fetchone()
        if named != events:
            raise RowMissing
        self._checked.add(topic)
