"""The groups a journal works with: which events of them are gone already, though the row is still there.

Only groups that were written, read or partly removed lately are known here, a bounded number; the others are
looked up in the file when they are asked for.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from tidings.letters.frames import Table, parse_table

_KNOWN_MOST = 512
_GONE_MOST = 200_000
_WORN_AFTER = 64
"""Commits without a removal from a half empty group after which what is left of it is written anew."""
_REWRITES = 8
"""Groups written anew with one commit, at most."""

_COLUMNS = "seq, topic, last, count, bytes, table_one, table_two"


class Group(msgspec.Struct, eq=False):
    """A row, and what is gone of it."""

    topic: str
    first: int
    last: int
    count: int
    bytes: int
    seqs: Sequence[int] | None
    """None when no number is missing between first and last."""
    gone: set[int]
    gone_bytes: int = 0
    touched: int = 0
    spoiled: bool = False
    """The disk destroyed something in it: to be written anew, or deleted, with the next commit."""

    @property
    def left(self) -> int:
        """How many of its events are live."""
        return self.count - len(self.gone)

    def members(self) -> Sequence[int]:
        """The seqs of all its events, gone or not."""
        return range(self.first, self.last + 1) if self.seqs is None else self.seqs

    def lowest(self) -> int | None:
        """Its first live event."""
        return next((seq for seq in self.members() if seq not in self.gone), None)

    def share(self, events: int) -> int:
        """Bytes that this many of its live events take, on average."""
        return (self.bytes - self.gone_bytes) * events // self.left


def group_of(topic: str, table: Table, size: int) -> Group:
    """A group that is whole."""
    seqs = None if table.is_contiguous else array("Q", table.seqs)
    return Group(topic, table.seqs[0], table.seqs[-1], len(table.seqs), size, seqs, set())


class Groups:
    """The groups that are known, the longest untouched first."""

    def __init__(self) -> None:
        self._known: dict[int, Group] = {}
        self._turn = 0

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._known.values()))

    def get(self, first: int) -> Group | None:
        """A known group."""
        return self._known.get(first)

    def add(self, group: Group) -> Group:
        """Know this group; it was touched now."""
        self._known.pop(group.first, None)
        group.touched = self._turn
        self._known[group.first] = group
        if len(self._known) > 2 * _KNOWN_MOST:
            self._trim()
        return group

    def forget(self, group: Group) -> None:
        """Its row is gone."""
        self._known.pop(group.first, None)

    def load(self, con: sqlite3.Connection, first: int) -> Group | None:
        """The group of a row; None when there is no such row."""
        known = self._known.get(first)
        if known is not None:
            return known
        row = con.execute(f"SELECT {_COLUMNS} FROM groups WHERE seq = ?", (first,)).fetchone()  # noqa: S608
        if row is None:
            return None
        seq, topic, last, count, size, one, two = row
        table = parse_table(seq, one) or parse_table(seq, two)
        if table is None:  # both are broken: nothing of it can be read, which its reader will find
            return self.add(Group(topic, seq, last, count, size, None, set()))
        return self.add(group_of(topic, table, size))

    def owners(self, con: sqlite3.Connection, seqs: list[int], span: int) -> list[tuple[Group, list[int]]]:
        """The groups of the sorted seqs, each with those of them that are its own. Unknown seqs have none.
        ``span``: the largest distance from a group's first event to its last."""
        found: list[tuple[Group, list[int]]] = []
        for group in self:
            if seqs and group.first <= seqs[-1] and group.last >= seqs[0]:
                seqs = _take(group, seqs, found)
        while seqs:
            sought = seqs[0]
            rows = con.execute(
                "SELECT seq FROM groups WHERE seq BETWEEN ? AND ? AND last >= ? ORDER BY seq DESC",
                (sought - span, sought, sought),
            )
            for (first,) in rows.fetchall():
                other = None if first in self._known else self.load(con, first)
                if other is not None:
                    seqs = _take(other, seqs, found)
                    if not seqs or seqs[0] != sought:
                        break
            if seqs and seqs[0] == sought:
                seqs = seqs[1:]
        return found

    def worn(self, *, pressed: bool, every: bool = False) -> list[Group]:
        """Groups of which little is left and that should be written anew; ``pressed``: the file is rather
        full; ``every``: all that are not whole."""
        partial = [group for group in self if group.gone or group.spoiled]
        if every:
            return partial
        over = sum(len(group.gone) for group in partial) > _GONE_MOST or len(partial) > _KNOWN_MOST
        return [
            group
            for group in partial
            if group.spoiled
            or over
            or (2 * len(group.gone) >= group.count and (pressed or self._turn - group.touched >= _WORN_AFTER))
        ][:_REWRITES]

    def end_turn(self) -> None:
        """A commit is through: count it, and forget whole groups beyond the bound."""
        self._turn += 1
        if len(self._known) > _KNOWN_MOST:
            self._trim()

    def _trim(self) -> None:
        whole = [group for group in self if not group.gone and not group.spoiled]
        for group in whole[: len(self._known) - _KNOWN_MOST]:
            self.forget(group)


def _take(group: Group, seqs: list[int], found: list[tuple[Group, list[int]]]) -> list[int]:
    low, high = bisect_left(seqs, group.first), bisect_right(seqs, group.last)
    part = seqs[low:high]
    if group.seqs is None:
        rest: list[int] = []
    else:
        members = set(part).intersection(group.seqs)
        rest = [seq for seq in part if seq not in members]
        part = sorted(members)
    if not part:
        return seqs
    hits = [seq for seq in part if seq not in group.gone] if group.gone else part
    if hits:
        found.append((group, hits))
    return seqs[:low] + rest + seqs[high:]
