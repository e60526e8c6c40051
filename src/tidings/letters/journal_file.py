"""A journal's file: who may own it, its schema and its settings, its size, and its end."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zlib import crc32

from filelock import FileLock, Timeout

from tidings.letters.errors import StoreBusy, StoreVersion, as_journal_error

APPLICATION_ID = 0x54494447
VERSION = 1
_PAGE = 8192
_WAL_MOST = 16 << 20
"""Bytes of WAL after which it is written into the main file. With 8 MiB commits took a tenth longer."""
_VACUUM_FROM = 64 << 20
_VACUUM_PAGES = 512
_HEADER = 100

_SCHEMA = f"""
CREATE TABLE groups (seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, last INTEGER NOT NULL,
    count INTEGER NOT NULL, bytes INTEGER NOT NULL, oldest INTEGER NOT NULL,
    table_one BLOB NOT NULL, frames BLOB NOT NULL, table_two BLOB NOT NULL);
CREATE INDEX groups_by_topic ON groups (topic, seq, last, count);
CREATE TABLE topics (topic TEXT PRIMARY KEY, events INTEGER NOT NULL, bytes INTEGER NOT NULL,
    span INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE letters (row INTEGER PRIMARY KEY, parked INTEGER NOT NULL, event_id TEXT,
    body BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE INDEX letters_by_state ON letters (parked, row);
CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), state INTEGER NOT NULL, high INTEGER NOT NULL,
    waiting INTEGER NOT NULL, parked INTEGER NOT NULL, parked_bytes INTEGER NOT NULL,
    topics INTEGER NOT NULL, checksum INTEGER NOT NULL);
INSERT INTO meta VALUES (1, 0, 0, 0, 0, 0, 0, {crc32(b"(0, 0, 0, 0, 0)")});
"""  # noqa: S608
"""A group's row has its first table before the frames: it can be read without them."""

IN_USE, CLEAN, GIVEN_UP = 0, 1, 2
"""The states of a file, in meta: in use (or its process died), closed in order, closed after a failure."""


def companion(path: Path, suffix: str) -> Path:
    """``x.journal-wal``, ``x.journal.lock``, ..."""
    return path.with_name(path.name + suffix)


def own(path: Path) -> FileLock:
    """Become the file's only owner. The directory is made (0700) if need be. Raises StoreBusy, OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(companion(path, ".lock"), timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreBusy(f"the store {path} belongs to another living process", "EBUSY") from None
    return lock


def check_version(path: Path) -> None:
    """Raises StoreVersion for the file of a newer tidings, before anything touches it."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except FileNotFoundError:
        return
    version = int.from_bytes(header[60:64], "big")
    is_ours = int.from_bytes(header[68:72], "big") == APPLICATION_ID
    if is_ours and VERSION < version < 1 << 8:
        raise StoreVersion(
            f"the store {path} is of version {version}, and this tidings knows versions up to {VERSION}: "
            "nothing in it was touched; a newer tidings will send what it holds",
            f"version {version}",
        )


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, or make it (0600). Raises sqlite3.Error and OSError; a damaged file does not always
    show here."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)  # -wal and -shm get the same
    con = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
    con.text_factory = lambda text: str(text, "utf-8", "replace")  # a damaged name is no reason to stop
    try:
        for pragma in (f"page_size = {_PAGE}", "auto_vacuum = INCREMENTAL", "journal_mode = WAL"):
            con.execute(f"PRAGMA {pragma}").fetchall()
        page = con.execute("PRAGMA page_size").fetchone()[0]
        for pragma in (
            "synchronous = FULL",
            "secure_delete = OFF",
            "cache_size = -8000",
            f"wal_autocheckpoint = {_WAL_MOST // page}",
            f"journal_size_limit = {_WAL_MOST}",
        ):
            con.execute(f"PRAGMA {pragma}").fetchall()
        if not con.execute("SELECT 1 FROM sqlite_master").fetchone():
            con.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {VERSION}; COMMIT"
            )
    except BaseException:
        con.close()
        raise
    return con


def pages_in_use(con: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, free, size = (
        con.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def wal_size(path: Path) -> int:
    """Bytes of the WAL; 0 without one."""
    try:
        return companion(path, "-wal").stat().st_size
    except FileNotFoundError:
        return 0


def give_back(con: sqlite3.Connection) -> None:
    """Return some of the file's free pages to the disk, when most of it is free; inside a transaction."""
    free = con.execute("PRAGMA freelist_count").fetchone()[0]
    if free * _PAGE > _VACUUM_FROM and 2 * free > con.execute("PRAGMA page_count").fetchone()[0]:
        con.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()


@contextmanager
def transaction(con: sqlite3.Connection) -> Iterator[None]:
    """All of it, durable at the end, or nothing."""
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:  # sqlite has rolled back by itself after some errors
            with suppress(sqlite3.Error):
                con.execute("ROLLBACK")
        raise


@contextmanager
def told(path: Path, doing: str) -> Iterator[None]:
    """Errors of sqlite and of the system, as JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise as_journal_error(error, path, doing) from error


def checkpoint(con: sqlite3.Connection) -> None:
    """Write the WAL into the main file and empty it, as far as readers let it."""
    con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def remove(path: Path, *, lock: bool = False) -> None:
    """Delete the file with its -wal and -shm, and the lock, which must be held, too."""
    for suffix in ("", "-wal", "-shm", *([".lock"] if lock else [])):
        companion(path, suffix).unlink(missing_ok=True)
