"""A damaged journal: every row that can still be read goes to a fresh file, and the damaged one is kept.

It is kept beside the fresh one as ``<name>.damaged-<n>`` with its -wal, for a person to look at; of more than
a few, the oldest is deleted.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from tidings.letters import journal_file as files
from tidings.letters.books import META, checksum_of, write_meta
from tidings.letters.errors import StoreDamaged
from tidings.letters.frames import Table, parse_table, unpack
from tidings.letters.owed import Damage

_KEPT_MOST = 4
_BATCH = 50
_NAMED_MOST = 1000
_GROUP = "seq, topic, last, count, bytes, oldest, table_one, frames, table_two"
_LETTER = "row, parked, event_id, body, checksum"


def salvage(path: Path, logger: logging.Logger, *, was_counted: bool) -> list[Damage]:
    """Make a fresh file of what can be read; nobody has the damaged one open, and its lock is held.

    Returns what is gone. Raises StoreDamaged when the fresh file cannot be written: then all is as it was.
    """
    fresh = files.companion(path, ".salvage")
    try:
        kept = _keep(path)
        files.remove(fresh)
        with closing(files.connect(fresh)) as con:
            damage = _copy_all(kept, con, was_counted)
            files.checkpoint(con)
        for suffix in ("-wal", "-shm"):  # before the swap: sqlite would put them into the fresh file
            files.companion(path, suffix).unlink(missing_ok=True)
        os.replace(fresh, path)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreDamaged(
            f"the store {path} is damaged, and what can still be read of it cannot be written to a fresh "
            f"file ({error}): free some space on its disk and start again",
            "SQLITE_CORRUPT",
        ) from error
    lost = sum(each.count for each in damage if not each.letter)
    logger.critical(
        f"the store {path} was damaged on disk: {lost or 'an unknown number of'} events in it are lost; what "
        f"could be read goes on, and the damaged file is kept as {kept.name}"
    )
    return damage


def _keep(path: Path) -> Path:
    numbers = sorted(
        int(match[1])
        for each in path.parent.glob(f"{path.name}.damaged-*")
        if (match := re.fullmatch(r".*\.damaged-(\d+)", each.name))
    )
    for number in numbers[: max(0, len(numbers) - _KEPT_MOST + 1)]:
        files.remove(files.companion(path, f".damaged-{number}"))
    kept = files.companion(path, f".damaged-{(numbers or [0])[-1] + 1}")
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.link(files.companion(path, suffix), files.companion(kept, suffix))
    return kept


def _copy_all(kept: Path, con: sqlite3.Connection, was_counted: bool) -> list[Damage]:
    owed, letters, high, missing = _copy_from(kept, con)
    if owed is None:  # its first page is gone: every journal has the same one, but for a few numbers
        repaired = files.companion(kept, ".repaired")
        try:
            _repair(kept, repaired, con)
            owed, letters, high, missing = _copy_from(repaired, con)
        finally:
            files.remove(repaired)
    saved, saved_letters = _recount(con, high)
    damage = [
        Damage(
            seq,
            topic,
            None,
            count,
            "its group could not be read: the file was damaged",
            was_counted=was_counted,
        )
        for seq, topic, count in missing
    ]
    rest = (owed or 0) - saved - sum(each.count for each in damage)
    if rest > 0 or owed is None:
        damage.append(Damage(None, None, None, max(rest, 0), "the file was damaged", was_counted=was_counted))
    if letters > saved_letters:
        count = letters - saved_letters
        damage.append(Damage(None, None, None, count, "the file was damaged", True, was_counted))
    return damage


def _copy_from(
    source: Path, con: sqlite3.Connection
) -> tuple[int | None, int, int, list[tuple[int, str, int]]]:
    """Copy what can be reached: upwards to a damaged page, downwards to one, and what the index names.

    Returns how many events and letters the file said it had (None: it does not say), and groups that are
    named but cannot be read.
    """
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as old:
        old.text_factory = lambda text: text.decode(errors="replace")
        for table, columns, key in (("groups", _GROUP, "seq"), ("letters", _LETTER, "row")):
            for order in ("ASC", "DESC"):
                walk = f"SELECT {columns} FROM {table} NOT INDEXED ORDER BY {key} {order}"  # noqa: S608
                if _copy(_Rows(old, walk), con, table):
                    break
        missing = []
        for seq, topic, count in _Rows(
            old, "SELECT seq, topic, count FROM groups INDEXED BY groups_by_topic"
        ):
            if con.execute("SELECT 1 FROM groups WHERE seq = ?", (seq,)).fetchone() is None:
                _copy(_Rows(old, f"SELECT {_GROUP} FROM groups WHERE seq = ?", seq), con, "groups")  # noqa: S608
                if con.execute("SELECT 1 FROM groups WHERE seq = ?", (seq,)).fetchone() is None:
                    missing.append((seq, topic, count))
        owed, letters, high = _said(old)
    return owed, letters, high, missing[:_NAMED_MOST]


def _said(old: sqlite3.Connection) -> tuple[int | None, int, int]:
    """How many events and letters the file says it has, and its highest seq, if their checksums agree."""
    owed, letters, high = None, 0, 0
    rows = _Rows(old, "SELECT topic, events, bytes, span, checksum FROM topics")
    topics = [row[:-1] for row in rows if row[-1] == checksum_of(*row[:-1])]
    for *meta, checksum in _Rows(old, META):
        if checksum == checksum_of(*meta):
            high, letters = meta[0], meta[1] + meta[2]
            if meta[-1] == len(topics):
                owed = sum(row[1] for row in topics)
    return owed, letters, high


def _recount(con: sqlite3.Connection, high: int) -> tuple[int, int]:
    """Count what was saved, and write it down: events and letters."""
    topics = con.execute(
        "SELECT topic, sum(count), sum(bytes), max(last - seq) FROM groups GROUP BY topic"
    ).fetchall()
    (last,) = con.execute("SELECT coalesce(max(last), 0) FROM groups").fetchone()
    waiting, parked, size = con.execute(
        "SELECT coalesce(sum(NOT parked), 0), coalesce(sum(parked), 0), "
        "coalesce(sum(parked * length(body)), 0) FROM letters"
    ).fetchone()
    with files.transaction(con):
        for row in topics:
            con.execute("INSERT INTO topics VALUES (?, ?, ?, ?, ?)", (*row, checksum_of(*row)))
        write_meta(con, (max(high, last), waiting, parked, size, len(topics)))
    return sum(row[1] for row in topics), waiting + parked


class _Rows:
    """The rows of a query, as far as they can be read; then ``is_whole`` says whether that was all."""

    def __init__(self, con: sqlite3.Connection, sql: str, *args: object) -> None:
        self.is_whole = False
        self._con, self._sql, self._args = con, sql, args

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._con.execute(self._sql, self._args)
        except (sqlite3.Error, UnicodeDecodeError):
            return  # a damaged page: the walk ends here, which ``is_whole`` tells
        self.is_whole = True


def _copy(rows: _Rows, con: sqlite3.Connection, table: str) -> bool:
    """Copy rows that make sense; True when the walk came to its end."""
    for batch in _batches(rows):
        whole = [row for row in map(_checked if table == "groups" else tuple, batch) if row is not None]
        with files.transaction(con):
            if whole:
                marks = ", ".join("?" * len(whole[0]))
                con.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", whole)  # noqa: S608
    return rows.is_whole


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    walk = iter(rows)
    while batch := list(islice(walk, _BATCH)):
        yield batch


def _checked(row: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """A group's row with its numbers taken from its table; None when no table of it can be read."""
    seq, topic, _, _, _, oldest, one, frames, two = row
    if not (isinstance(one, bytes) and isinstance(frames, bytes) and isinstance(two, bytes)):
        return None
    table = parse_table(seq, one) or parse_table(seq, two)
    if table is None or not isinstance(topic, str):
        return None
    topic = _topic_of(table, frames) or topic  # the events have their own checksums, the column has none
    whole = table.to_bytes()
    oldest = oldest if isinstance(oldest, int) else 0
    return seq, topic, table.seqs[-1], len(table.seqs), len(frames), oldest, whole, frames, whole


def _topic_of(table: Table, frames: bytes) -> str | None:
    start = 0
    for length, checksum in zip(table.lengths, table.checksums, strict=True):
        owed = unpack(frames[start : start + length], checksum)
        if owed is not None:
            return owed.topic
        start += length
    return None


def _repair(kept: Path, repaired: Path, fresh: sqlite3.Connection) -> None:
    """A copy of the damaged file with the first page of a fresh one."""
    files.remove(repaired)
    files.checkpoint(fresh)
    page_size = fresh.execute("PRAGMA page_size").fetchone()[0]
    fresh_path = Path(fresh.execute("PRAGMA database_list").fetchone()[2])
    first = bytearray(_first_page(fresh_path, page_size))
    shutil.copyfile(kept, repaired)
    pages = repaired.stat().st_size // page_size
    first[28:32] = pages.to_bytes(4, "big")
    first[32:40] = bytes(8)  # no free pages: those that are free are just not used
    with repaired.open("r+b") as file:
        file.write(first)
        file.truncate(pages * page_size)


def _first_page(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
