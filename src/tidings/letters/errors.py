"""Why a journal could not do what it was asked. The engine turns these into StoreUnavailable for users."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

_MEANINGS = {
    "SQLITE_FULL": "the disk is full (or a quota or file size limit was met); free some space",
    "SQLITE_READONLY": "it is read-only; make STORE_DIR writable",
    "SQLITE_IOERR": "the disk answered with an error; look at the system's log",
    "SQLITE_CANTOPEN": "a file cannot be opened; look at permissions and the limit of open files",
    "SQLITE_BUSY": "another process holds it",
    "SQLITE_LOCKED": "another reader holds it",
    "SQLITE_CORRUPT": "its file is damaged",
    "SQLITE_NOTADB": "its file is damaged",
    "SQLITE_PERM": "it may not be written; look at the permissions",
    "SQLITE_NOMEM": "no memory was left",
    "SQLITE_TOOBIG": "an event is larger than a row can be",
}


class JournalError(Exception):
    """The journal could not be read or written; nothing was changed. ``cause`` is sqlite's name of the
    reason (``SQLITE_FULL``), or the operating system's (``ENOSPC``)."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class StoreBusy(JournalError):
    """Another process owns the file."""


class StoreDamaged(JournalError):
    """The file is damaged, and what can still be read of it cannot be saved now."""


class StoreVersion(JournalError):
    """A newer tidings wrote the file. It is left as it is."""


class RowMissing(sqlite3.DatabaseError):
    """A row that the file itself names is not there, or makes no sense: the file is damaged."""

    sqlite_errorname = "SQLITE_CORRUPT_ROW"


def is_corrupt(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """True when sqlite could not make sense of the file's bytes. Its general error counts: no statement of
    ours is wrong on a file that is whole. So does a message that quotes bytes which are no text."""
    if isinstance(error, UnicodeDecodeError):
        return True
    name = sqlite_name(error)
    return name in {"", "SQLITE_ERROR"} or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def sqlite_name(error: sqlite3.Error) -> str:
    """``SQLITE_IOERR_FSYNC``; empty for what Python's own module raises."""
    return str(getattr(error, "sqlite_errorname", "") or "")


def as_journal_error(error: sqlite3.Error | OSError, path: Path, doing: str) -> JournalError:
    """What happened to the store at ``path``, and what to do about it."""
    if isinstance(error, OSError):
        cause = errno_name(error)
        return JournalError(f"the store {path} could not be {doing}: {error.strerror or error}", cause)
    cause = sqlite_name(error)
    meaning = _MEANINGS.get("_".join(cause.split("_")[:2]), str(error))
    return JournalError(f"the store {path} could not be {doing}: {meaning} ({cause or error})", cause)


def errno_name(error: OSError) -> str:
    """``ENOSPC``."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
