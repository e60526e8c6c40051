"""The backlog: what waits in the store, journal by journal and topic by topic, and what may go now.

A shelf is one journal and what the engine knows of its rows: which are with a client, which failed. All of
it belongs to the keeper's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

import msgspec

from tidings.letters.journal import Journal
from tidings.letters.owed import Owed
from tidings.publishing.entry import Delivery
from tidings.publishing.gate import bucket_of

PAGE = 2000
"""Rows asked of the journal at a time: as many as one of its groups holds."""
_SCAN = 20_000
"""Numbers of rows that one call goes through: the keeper's other work must not wait for a long backlog."""
_PAUSE = 10
"""A scan that had to leave rows behind is repeated after ten times the time it took, and a second at most
before that: rows that cannot go yet must not be read over and over."""
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0


class Try(msgspec.Struct):
    """What became of a row's hand-overs in this process; the row itself is not written again for it."""

    attempts: int
    maybe_sent: bool
    kafka_error: str


class Doubt(msgspec.Struct):
    """A bucket whose event failed: one event of it is tried at a time, until one gets through."""

    resume_at: float = 0.0
    probe: Delivery | None = None


class Line:
    """The rows of one topic in one journal, in order."""

    def __init__(self, held: Container[int]) -> None:
        self.out = 0
        """How many rows a client has, or the keeper examines."""
        self.doubts: dict[int | None, Doubt] = {}
        self._held = held
        self._cursor = 0
        self._skipped: int | None = None
        self._behind: set[int] = set()
        """Buckets with rows that were skipped: what comes after those must not overtake them."""
        self._resume_at = 0.0

    def back(self, seq: int) -> None:
        """The row waits again: look at it once more."""
        self._cursor = min(self._cursor, seq - 1)

    def doubt(self, bucket: int | None, resume_at: float) -> None:
        """An event of the bucket failed: be careful with it from ``resume_at`` on."""
        doubt = self.doubts.setdefault(bucket, Doubt())
        doubt.resume_at = resume_at
        doubt.probe = None

    def clear_doubts(self) -> None:
        """Forget the doubts whose probe got through, and look again at what was left behind."""
        for bucket, doubt in list(self.doubts.items()):
            if doubt.probe is not None and doubt.probe.ended:  # had it failed, it would be no probe any more
                del self.doubts[bucket]

    def rows(
        self, journal: Journal, topic: str, blocked: Container[int], now: float, clock: Callable[[], float]
    ) -> Iterator[tuple[Owed, Doubt | None]]:
        """Rows that may go now, in order, each with the doubt it is the probe of; goes on where the last call
        stopped."""
        if self._skipped is not None and now >= self._resume_at:
            self._cursor, self._skipped = min(self._cursor, self._skipped - 1), None
            self._behind.clear()
        is_rescan, started = self._skipped is None, clock()
        end = self._cursor + _SCAN
        while self._cursor < end and (rows := journal.read(topic, self._cursor, PAGE)):
            for row in rows:
                if row.seq not in self._held:
                    bucket = bucket_of(row.key)
                    doubt = self.doubts.get(bucket)
                    in_doubt = doubt is not None and (doubt.probe is not None or now < doubt.resume_at)
                    if in_doubt or bucket in blocked or bucket in self._behind:
                        self._skip(row.seq, bucket)
                        if is_rescan:  # later arrivals must not put it off
                            took = _PAUSE * (clock() - started)
                            self._resume_at = now + max(_SHORTEST_PAUSE, min(took, _LONGEST_PAUSE))
                    else:
                        yield row, doubt
                self._cursor = max(self._cursor, row.seq)

    def _skip(self, seq: int, bucket: int | None) -> None:
        if bucket is not None:
            self._behind.add(bucket)
        self._skipped = seq if self._skipped is None else min(seq, self._skipped)


class Shelf:
    """One journal: this process's own, or one that was adopted from a process that is gone."""

    def __init__(self, journal: Journal, *, number: int, own: bool) -> None:
        self.number = number
        self.journal = journal
        self.own = own
        self.first_row: int | None = None
        """The lowest row, as of the keeper's last turn."""
        self.held: dict[int, Line] = {}
        """Rows that a client has, or the keeper examines, each with its line."""
        self._lines: dict[str, Line] = {}
        self.tries: dict[int, Try] = {}
        self.removals: list[int] = []
        self.letters_done: list[int] = []
        self.letters_parked: list[int] = []
        self.letters_out: set[int] = set()
        """Rows of letters that are on their way to the dead-letter topic, or claimed."""
        self.letters_claimed: set[int] = set()
        """Rows of letters that a replay has."""

    def line(self, topic: str) -> Line:
        """The line of a topic."""
        line = self._lines.get(topic)
        if line is None:
            line = self._lines[topic] = Line(self.held)
        return line

    def hold(self, topic: str, seq: int) -> None:
        """A client has the row from now on, or the keeper examines it."""
        if seq not in self.held:
            line = self.held[seq] = self.line(topic)
            line.out += 1

    def release(self, seq: int) -> None:
        """The row waits again, or is gone."""
        line = self.held.pop(seq, None)
        if line is not None:
            line.out -= 1

    def back(self, topic: str, seq: int) -> None:
        """The row waits again, and is to be looked at once more."""
        self.release(seq)
        self.line(topic).back(seq)

    def last_error(self, row: Owed) -> str:
        """Kafka's name of the row's last error, in this process or before; empty without one."""
        tried = self.tries.get(row.seq)
        return tried.kafka_error if tried else row.reason

    def waiting(self, topic: str) -> int:
        """How many rows of the topic wait."""
        tally = self.journal.topics().get(topic)
        return 0 if tally is None else tally.events - self.line(topic).out

    @property
    def all_waiting(self) -> int:
        """How many rows wait."""
        return self.journal.events - len(self.held)

    @property
    def owes(self) -> bool:
        """True when there is something to be written that is over."""
        return bool(self.removals or self.letters_done or self.letters_parked)

    def written(self, removed: list[int]) -> None:
        """What was over is written, and these rows are out of the journal."""
        for seq in removed:
            self.release(seq)
            self.tries.pop(seq, None)
        self.letters_out.difference_update(self.letters_done, self.letters_parked)
        self.removals, self.letters_done, self.letters_parked = [], [], []

    @property
    def is_empty(self) -> bool:
        """True when nothing at all is left in the journal."""
        journal = self.journal
        return not (journal.events or journal.letter_count or journal.parked_count)
