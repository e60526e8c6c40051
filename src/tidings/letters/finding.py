"""Looking for one event_id in a journal, from any thread and any process, while its owner works on."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec

from tidings.letters.errors import as_journal_error
from tidings.letters.frames import parse_table, read_damaged
from tidings.letters.owed import FoundInStore, LetterRow, Owed

_letter = msgspec.msgpack.Decoder(LetterRow).decode


def find(path: Path, event_id: bytes, timeout: float) -> FoundInStore | None:
    """Is there an event or a letter with this id in the store? None when there is not, or no store.

    Every group is read, in a transaction of its own: an open one would hold back the owner's checkpoints.
    An event that ended a moment ago may still be found. Raises TimeoutError after ``timeout`` seconds, and
    JournalError when the file cannot be read.
    """
    deadline = time.monotonic() + timeout
    if not path.exists():
        return None
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=timeout)
        ) as con:
            con.isolation_level = None
            return _letter_of(con, event_id) or _event_of(con, event_id, deadline)
    except sqlite3.Error as error:
        if not path.exists():
            return None
        raise as_journal_error(error, path, "searched") from error


def _letter_of(con: sqlite3.Connection, event_id: bytes) -> FoundInStore | None:
    row = con.execute(
        "SELECT body FROM letters WHERE event_id = ? LIMIT 1", (event_id.decode(errors="replace"),)
    ).fetchall()
    if not row:
        return None
    letter = _letter(row[0][0])
    return FoundInStore(letter.origin_topic, letter.reason, letter_id=letter.letter_id)


def _event_of(con: sqlite3.Connection, event_id: bytes, deadline: float) -> FoundInStore | None:
    after = -1
    while rows := con.execute(
        "SELECT seq, table_one, frames, table_two FROM groups WHERE seq > ? ORDER BY seq LIMIT 1", (after,)
    ).fetchall():
        after, one, frames, two = rows[0]
        if event_id in frames:  # the id stands in its frame as it is: most groups are passed over at once
            owed = _owed(after, one, frames, two, event_id)
            if owed is not None:
                return FoundInStore(owed.topic, owed.reason, owed.attempts, seq=owed.seq)
        if time.monotonic() > deadline:
            raise TimeoutError(f"the store was searched up to row {after} only")
    return None


def _owed(first: int, one: bytes, frames: bytes, two: bytes, event_id: bytes) -> Owed | None:
    table = parse_table(first, one) or parse_table(first, two)
    start = 0
    for length in table.lengths if table else ():
        frame = frames[start : start + length]
        start += length
        if event_id in frame:
            owed = read_damaged(frame)
            if owed is not None and owed.event_id == event_id:
                return owed
    return None
