"""Faults of a store's disk: full, read-only, and what a crash or a bad disk does to its files."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK = 1 << 20


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[None]:
    """A disk of ``size`` bytes of its own at ``directory``, gone at the end with what is on it.

    A tmpfs: Linux, and root, only. Raises PermissionError where it may not be mounted.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tidings-faults", str(directory))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)  # noqa: S603, S607 - root's own tool


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """Nothing more can be written to the ``small_disk`` at ``directory``: a file takes all its room."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        size = _CHUNK
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """The ``small_disk`` at ``directory`` takes no writes (EROFS). No file on it may be open for writing."""
    _mount("-o", "remount,ro", str(directory))
    try:
        yield
    finally:
        _mount("-o", "remount,rw", str(directory))


def flip_bytes(file: Path, count: int, seed: int) -> list[int]:
    """Change ``count`` bytes of a file that nobody uses, chosen by ``seed``; where they are."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    places = sorted(chance.sample(range(file.stat().st_size), count))
    with file.open("r+b") as content:
        for place in places:
            content.seek(place)
            (byte,) = content.read(1)
            content.seek(place)
            content.write(bytes([byte ^ chance.randint(1, 255)]))
    return places


def tear_off(file: Path, count: int) -> None:
    """Remove the last ``count`` bytes, as when the machine went down in the middle of a write."""
    os.truncate(file, max(0, file.stat().st_size - count))


def remove_wal(journal: Path) -> bool:
    """Remove what sqlite has not yet moved from the ``-wal`` file into the journal; whether there was any."""
    wal = journal.with_name(journal.name + "-wal")
    existed = wal.exists()
    wal.unlink(missing_ok=True)
    journal.with_name(journal.name + "-shm").unlink(missing_ok=True)
    return existed


def _mount(*options: str) -> None:
    done = subprocess.run(  # noqa: S603 - root's own tool
        ["mount", *options],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PermissionError(f"a small disk needs root: {done.stderr.strip()}")
