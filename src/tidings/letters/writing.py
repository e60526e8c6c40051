"""Rows of a journal come, go, and are written anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import accumulate

from tidings.letters.books import Change
from tidings.letters.errors import RowMissing
from tidings.letters.frames import Packed, Table, pack, parse_table
from tidings.letters.groups import Group, group_of
from tidings.letters.owed import LetterRow, Owed


class Batch:
    """What one commit is asked to do, with everything encoded that can be before it begins."""

    def __init__(
        self,
        add: Sequence[Owed],
        remove: Iterable[int],
        letters: Sequence[LetterRow],
        letters_done: Iterable[int],
        letters_parked: Iterable[int],
    ) -> None:
        removals = set(remove)
        topics: dict[str, list[Owed]] = {}
        for owed in add:
            if owed.seq not in removals:  # what goes at once is never written
                topics.setdefault(owed.topic, []).append(owed)
        self.add = [(topic, packed) for topic, events in topics.items() for packed in pack(events)]
        self.removals = sorted(removals)
        self.letters = letters
        self.letters_done = list(letters_done)
        self.letters_parked = list(letters_parked)

    @property
    def writes(self) -> bool:
        """True when it changes the file, even if it removes no whole group."""
        return bool(self.add or self.letters or self.letters_done or self.letters_parked)


def insert(con: sqlite3.Connection, groups: Sequence[tuple[str, Packed]], change: Change) -> list[Group]:
    """Write groups; they are live."""
    added = []
    for topic, packed in groups:
        table = packed.table.to_bytes()
        group = group_of(topic, packed.table, len(packed.frames))
        con.execute(
            "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                group.first,
                topic,
                group.last,
                group.count,
                group.bytes,
                packed.oldest,
                table,
                packed.frames,
                table,
            ),
        )
        change.row(topic, group.count, group.bytes, group.last - group.first)
        change.events(topic, group.count, group.bytes)
        change.high = max(change.high, group.last)
        added.append(group)
    return added


def delete(con: sqlite3.Connection, group: Group, change: Change) -> None:
    """Delete a group's row, and with it what was live of it."""
    con.execute("DELETE FROM groups WHERE seq = ?", (group.first,))
    change.row(group.topic, -group.count, -group.bytes)
    change.events(group.topic, -group.left, group.gone_bytes - group.bytes)


def rewrite(con: sqlite3.Connection, group: Group, change: Change) -> list[Group]:
    """Replace a group's row by one of what is live of it; just delete it when nothing is."""
    row = con.execute(
        "SELECT oldest, table_one, frames, table_two FROM groups WHERE seq = ?", (group.first,)
    ).fetchone()
    if row is None:
        raise RowMissing
    delete(con, group, change)
    if not group.left:
        return []
    oldest, one, frames, two = row
    table = parse_table(group.first, one) or parse_table(group.first, two)
    if table is None:
        raise RowMissing
    return insert(con, [(group.topic, _remainder(table, frames, oldest, group.gone))], change)


def leave(group: Group, seqs: Sequence[int], change: Change) -> None:
    """Some events of a group are gone; their row stays."""
    size = group.share(len(seqs))
    group.gone.update(seqs)
    group.gone_bytes += size
    change.events(group.topic, -len(seqs), -size)


def _remainder(table: Table, frames: bytes, oldest: int, gone: set[int]) -> Packed:
    kept = [index for index, seq in enumerate(table.seqs) if seq not in gone]
    starts = [0, *accumulate(table.lengths)]
    return Packed(
        Table(
            [table.seqs[index] for index in kept],
            [table.lengths[index] for index in kept],
            [table.checksums[index] for index in kept],
        ),
        oldest,
        b"".join([frames[starts[index] : starts[index + 1]] for index in kept]),
    )
