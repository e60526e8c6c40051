"""A Sender that appends lines of JSON to a file, bounded by rotation, for threads and processes together."""

from __future__ import annotations

import fcntl
import os
import time
import weakref
from pathlib import Path
from typing import Any

import msgspec

from tidings.errors import EventTooLarge, PublisherClosed, PublishError
from tidings.events.codec import to_json
from tidings.events.keys import Key, encode_key
from tidings.publishing.threads import acquire, native_lock

_NAP = 0.001
_MODE = 0o600


class _Hold:
    """What one process has open: a lock among its threads, and two descriptors, -1 while there is none."""

    def __init__(self) -> None:
        self.thread = native_lock()
        self.file = -1
        self.lock = -1


class FileSender:
    """Appends ``{"key":…,"value":…}`` lines to ``path``; bytes that are no JSON stand as a string.

    Beyond ``max_bytes`` the file becomes ``path.1``, that one ``path.2`` and so on up to ``backups``; the
    oldest is removed, so that all take at most ``(backups + 1) * max_bytes``. With ``fsync`` a line is on the
    disk when ``send`` returns. Lines of several threads, processes and forked children never mix: each is
    written under a lock on ``path.lock``, waited for for up to ``patience`` seconds. A line that a killed
    process or a full disk left torn is closed off or taken back. Files are readable by their owner alone;
    values go as they go on the wire, Personal fields included.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = 64 * 1024 * 1024,
        backups: int = 5,
        fsync: bool = False,
        patience: float = 1.0,
    ) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._backups = backups
        self._fsync = fsync
        self._patience = patience
        self._closed = False
        self._hold = _Hold()
        _everything.add(self)

    def after_fork(self) -> None:
        """Start afresh in a forked child: a lock is the open file's, so not shared."""
        self._hold = _Hold()

    def send(self, key: Key, value: object) -> None:
        """Append one line. Raises InvalidEvent, EventTooLarge for a line above ``max_bytes``, PublisherClosed
        after ``close``, and PublishError where the file cannot be written: then nothing was."""
        line = _line(key, value)
        if len(line) > self._max_bytes:
            raise EventTooLarge(
                f"The line is {len(line)} bytes, max_bytes of {self._path} is {self._max_bytes}."
            )
        hold = self._hold
        end = time.monotonic() + self._patience
        if not acquire(hold.thread, self._patience):
            raise PublishError(f"{self._path} was in use for {self._patience} s: the line was not written.")
        try:
            if self._closed:
                raise PublisherClosed(f"The sender of {self._path} was closed.")
            self._lock_file(hold, end)
            try:
                self._append(hold, line)
            finally:
                fcntl.flock(hold.lock, fcntl.LOCK_UN)
        except OSError as error:
            raise PublishError(f"{self._path} cannot be written: {error.strerror}.") from error
        finally:
            hold.thread.release()

    def close(self) -> None:
        """Write nothing more; what was written stays."""
        self._closed = True
        hold = self._hold
        if acquire(hold.thread, self._patience):
            for descriptor in (hold.file, hold.lock):
                if descriptor >= 0:
                    os.close(descriptor)
            hold.file = hold.lock = -1
            hold.thread.release()

    def _lock_file(self, hold: _Hold, end: float) -> None:
        if hold.lock < 0:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            hold.lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        while True:
            try:
                fcntl.flock(hold.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_NAP)
            else:
                return

    def _append(self, hold: _Hold, line: bytes) -> None:
        size = self._newest(hold)
        if size and os.pread(hold.file, 1, size - 1) != b"\n":
            line = b"\n" + line  # a process was killed while it wrote the last one
        if size and size + len(line) > self._max_bytes:
            self._rotate()
            size, line = self._newest(hold), line.lstrip(b"\n")
        try:
            written = os.write(hold.file, line)
        except OSError:
            os.ftruncate(hold.file, size)
            raise
        if written < len(line):
            os.ftruncate(hold.file, size)
            raise PublishError(f"{self._path} took {written} of {len(line)} bytes: the disk is full.")
        if self._fsync:
            os.fsync(hold.file)

    def _newest(self, hold: _Hold) -> int:
        """Have the file open that is at ``path`` now: another process may have rotated it. Its size."""
        if hold.file >= 0:
            here = os.fstat(hold.file)
            try:
                there = os.stat(self._path)
            except FileNotFoundError:
                there = None
            if there is not None and (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev):
                return here.st_size
            os.close(hold.file)
            hold.file = -1
        hold.file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        if self._fsync:
            _sync_directory(self._path.parent)
        return os.fstat(hold.file).st_size

    def _rotate(self) -> None:
        names = [self._path, *(Path(f"{self._path}.{number}") for number in range(1, self._backups + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.rename(older)


def _line(key: Key, value: object) -> bytes:
    encoded = encode_key(key)
    name = None if encoded is None else encoded.decode(errors="backslashreplace")
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = _decoded(bytes(value))
        return msgspec.json.encode({"key": name, "value": value}) + b"\n"
    return b'{"key":' + msgspec.json.encode(name) + b',"value":' + to_json(value) + b"}\n"


def _decoded(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value.decode(errors="backslashreplace")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_everything: weakref.WeakSet[FileSender] = weakref.WeakSet()


def _in_child() -> None:
    for sender in list(_everything):
        sender.after_fork()


os.register_at_fork(after_in_child=_in_child)
