"""A journal's counts: what its rows hold, as written in the file, and what of it is live, in memory."""

from __future__ import annotations

import sqlite3
from zlib import crc32

import msgspec

from tidings.letters.errors import RowMissing
from tidings.letters.owed import Tally


class Written(msgspec.Struct):
    """What the rows of one topic hold, gone or not."""

    events: int = 0
    bytes: int = 0
    span: int = 0
    """The largest distance there was from a group's first event to its last."""


class Letters(msgspec.Struct):
    """How many letters wait, and how many are parked."""

    waiting: int = 0
    parked: int = 0
    parked_bytes: int = 0

    def changed_by(self, change: Letters) -> Letters:
        """These counts after a change."""
        return Letters(
            self.waiting + change.waiting,
            self.parked + change.parked,
            self.parked_bytes + change.parked_bytes,
        )


META = "SELECT high, waiting, parked, parked_bytes, topics, checksum FROM meta"


def checksum_of(*row: object) -> int:
    """Of a row of counts: a flipped bit must not make an event vanish from them."""
    return crc32(repr(row).encode())


def write_meta(con: sqlite3.Connection, numbers: tuple[int, int, int, int, int]) -> None:
    """Write high, waiting, parked, parked_bytes and the number of topics."""
    con.execute(
        "UPDATE meta SET high = ?, waiting = ?, parked = ?, parked_bytes = ?, topics = ?, checksum = ?",
        (*numbers, checksum_of(*numbers)),
    )


class Change(msgspec.Struct):
    """What one commit does to the counts."""

    written: dict[str, Written] = {}
    live: dict[str, Tally] = {}
    letters: Letters = msgspec.field(default_factory=Letters)
    high: int = 0
    oldest: dict[str, int] = {}
    """By topic: of its first group after the change."""

    def row(self, topic: str, events: int, size: int, span: int = 0) -> None:
        """A row came, or (negative) went."""
        written = self.written.setdefault(topic, Written())
        written.events += events
        written.bytes += size
        written.span = max(written.span, span)

    def events(self, topic: str, events: int, size: int) -> None:
        """Live events came or (negative) went."""
        live = self.live.setdefault(topic, Tally())
        live.events += events
        live.bytes += size


class Books:
    """The counts of one journal. ``tallies`` is replaced, never changed in its keys: callers may walk it."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self.written = {}
        for *row, checksum in con.execute("SELECT topic, events, bytes, span, checksum FROM topics"):
            if checksum != checksum_of(*row):
                raise RowMissing
            self.written[row[0]] = Written(*row[1:])
        self.tallies = {topic: Tally(each.events, each.bytes) for topic, each in self.written.items()}
        self.events = sum(tally.events for tally in self.tallies.values())
        *meta, checksum = con.execute(META).fetchone() or (0,)
        if checksum != checksum_of(*meta) or meta[-1] != len(self.written):
            raise RowMissing
        self.high = int(meta[0])
        self.letters = Letters(*meta[1:-1])
        for topic, tally in self.tallies.items():
            tally.oldest = _oldest(con, topic)

    @property
    def span(self) -> int:
        """The largest distance from a group's first event to its last, of all topics."""
        return max((written.span for written in self.written.values()), default=0)

    def write(self, con: sqlite3.Connection, change: Change) -> None:
        """Write the counts as they are after the change; inside its transaction."""
        topics = self.written.keys() - change.written.keys()
        for topic, delta in change.written.items():
            row = self._after(topic, delta)
            if row.events:
                numbers = (topic, row.events, row.bytes, row.span)
                con.execute(
                    "INSERT OR REPLACE INTO topics VALUES (?, ?, ?, ?, ?)", (*numbers, checksum_of(*numbers))
                )
                topics |= {topic}
                change.oldest[topic] = _oldest(con, topic)
            else:
                con.execute("DELETE FROM topics WHERE topic = ?", (topic,))
        letters = self.letters.changed_by(change.letters)
        high = max(self.high, change.high)
        write_meta(con, (high, letters.waiting, letters.parked, letters.parked_bytes, len(topics)))

    def apply(self, change: Change) -> None:
        """The change is in the file."""
        for topic, delta in change.written.items():
            self.written[topic] = self._after(topic, delta)
            if not self.written[topic].events:
                del self.written[topic]
        self.letters = self.letters.changed_by(change.letters)
        self.high = max(self.high, change.high)
        self.count_live(change.live)
        for topic, oldest in change.oldest.items():
            if topic in self.tallies:
                self.tallies[topic].oldest = oldest

    def count_live(self, live: dict[str, Tally]) -> None:
        """Live events came or went."""
        for topic, delta in live.items():
            tally = self.tallies.get(topic)
            if tally is None:
                tally = Tally()
                self.tallies = {**self.tallies, topic: tally}
            tally.events += delta.events
            tally.bytes += delta.bytes
            self.events += delta.events
            if not tally.events:
                self.tallies = {name: each for name, each in self.tallies.items() if name != topic}

    def _after(self, topic: str, delta: Written) -> Written:
        now = self.written.get(topic) or Written()
        return Written(now.events + delta.events, now.bytes + delta.bytes, max(now.span, delta.span))


def _oldest(con: sqlite3.Connection, topic: str) -> int:
    row = con.execute(
        "SELECT oldest FROM groups WHERE seq = (SELECT min(seq) FROM groups WHERE topic = ?)", (topic,)
    ).fetchone()
    return row[0] if row and isinstance(row[0], int) else 0
