"""Where the ids of handled events are remembered, for ``dedup``: in memory, or in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Protocol, runtime_checkable

from tidings.errors import ConfigError
from tidings.publishing.threads import native_lock

_PRUNE = 1_000
"""Additions between two looks at how many there are."""
_BUSY = 5.0
_TABLE = """
CREATE TABLE IF NOT EXISTS seen (
  event_group TEXT NOT NULL, event_id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (event_group, event_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_at ON seen (at);
"""


@runtime_checkable
class Seen(Protocol):
    """Remembers which events a group has handled. Any thread; what it raises counts as the handler's failure
    in ``has``, and is logged in ``add``."""

    def has(self, group: str, event_id: str, since: float) -> bool:
        """Whether this was added at ``since`` (seconds since 1970) or later."""

    def add(self, group: str, event_id: str, at: float) -> None:
        """It was handled at this time."""


class MemorySeen:
    """In this process, for as long as it lives: the ``most`` latest ids, 150 bytes each. Any thread."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = _checked(most)
        self._ids: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._lock = native_lock()

    def has(self, group: str, event_id: str, since: float) -> bool:
        """Whether this was added at ``since`` or later."""
        with self._lock:
            return self._ids.get((group, event_id), float("-inf")) >= since

    def add(self, group: str, event_id: str, at: float) -> None:
        """It was handled at this time; the oldest is forgotten where there are too many."""
        with self._lock:
            self._ids[group, event_id] = at
            self._ids.move_to_end((group, event_id))
            if len(self._ids) > self._most:
                self._ids.popitem(last=False)

    def __len__(self) -> int:
        return len(self._ids)


class SqliteSeen:
    """In a SQLite file that survives restarts and may serve several processes of one machine: about the
    ``most`` latest ids. 20 µs to ask and to add (WAL, without fsync: a crash of the machine forgets the last
    ones). Any thread. Raises ConfigError when the file cannot be used."""

    def __init__(self, path: str | Path, *, most: int = 1_000_000) -> None:
        self._most = _checked(most)
        self._lock = native_lock()
        self._added = 0
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLE)
        except sqlite3.Error as error:
            raise ConfigError(
                f"SqliteSeen({str(path)!r}): {error}. Give it a file that it may write."
            ) from None

    def has(self, group: str, event_id: str, since: float) -> bool:
        """Whether this was added at ``since`` or later. Raises sqlite3.Error."""
        with self._lock:
            found = self._db.execute(
                "SELECT at FROM seen WHERE event_group = ? AND event_id = ?", (group, event_id)
            ).fetchone()
        return found is not None and found[0] >= since

    def add(self, group: str, event_id: str, at: float) -> None:
        """It was handled at this time. Raises sqlite3.Error."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (group, event_id, at))
            self._added += 1
            if self._added % _PRUNE == 0:
                self._db.execute(
                    "DELETE FROM seen WHERE at < (SELECT at FROM seen ORDER BY at DESC LIMIT 1 OFFSET ?)",
                    (self._most,),
                )

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        with self._lock:
            self._db.close()


def checked_seen(seen: Seen | None) -> Seen:
    """What was given, or a MemorySeen. Raises ConfigError."""
    if seen is None:
        return MemorySeen()
    if not isinstance(seen, Seen) or isinstance(seen, type):
        raise ConfigError(
            f"seen={seen!r}: it is a MemorySeen, a SqliteSeen, or has has() and add() as they do."
        )
    return seen


def _checked(most: int) -> int:
    if most < 1:
        raise ConfigError(f"most={most}: it is 1 or more.")
    return most
