"""Events and journals for tests of the store."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from tidings.letters.journal import Journal
from tidings.letters.owed import LetterRow, Owed

LOGGER = logging.getLogger("tests.journal")


def quick_directory() -> Path:
    """A new directory, in memory where the system has such a place: a thousand commits need no disk."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))


def opened(path: Path, *, max_bytes: int = 1 << 30) -> Journal:
    """The journal of this path."""
    return Journal.open(path, max_bytes=max_bytes, logger=LOGGER)


def owed(journal: Journal, topic: str = "orders", value: bytes | None = b"{}", seq: int = 0) -> Owed:
    """A new event; ``accepted`` is its seq."""
    seq = seq or journal.next_seq()
    headers = (("event_id", b"x"), ("empty", b""), ("none", None))
    return Owed(seq, topic, b"id-%d" % seq, b"key", value, headers, 3, 5, seq, 2, True, "_MSG_TIMED_OUT")


def letter(name: str, **fields: object) -> LetterRow:
    """A letter of this id."""
    row = LetterRow(name, f"event-{name}", "dead-letters", "orders", b"key", b"{}", 1, reason="why")
    for field, content in fields.items():
        setattr(row, field, content)
    return row


def everything(journal: Journal, page: int = 100) -> dict[int, Owed]:
    """All live events, read topic by topic, page by page; every page is in order."""
    found: dict[int, Owed] = {}
    for topic in journal.topics():
        after = 0
        while events := journal.read(topic, after, page):
            assert [each.seq for each in events] == sorted(each.seq for each in events)
            assert events[0].seq > after
            assert {each.topic for each in events} == {topic}
            found.update((each.seq, each) for each in events)
            after = events[-1].seq
    return found


def check_counts(journal: Journal) -> None:
    """What is counted in memory is what the rows hold."""
    live = everything(journal)
    assert journal.events == journal.count() == len(live)
    assert sum(tally.events for tally in journal.topics().values()) == len(live)
    assert journal.oldest_seq() == min(live, default=None)
    for topic, tally in journal.topics().items():
        assert tally.events == sum(each.topic == topic for each in live.values())
        assert tally.bytes > 0
        assert tally.oldest > 0
