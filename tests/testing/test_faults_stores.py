"""Faults of a store's disk do what they say, and heal."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing.faults import stores


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    small = stores.small_disk(disk, 4 << 20)
    try:
        small.__enter__()
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(str(error))
    yield disk
    small.__exit__(None, None, None)
    assert not any(disk.iterdir())


def test_a_full_disk_takes_not_a_byte_until_it_heals(disk: Path) -> None:
    open_file = (disk / "open").open("wb", buffering=0)
    with open_file:
        with stores.full(disk), pytest.raises(OSError, match="No space") as caught:
            open_file.write(bytes(5000))
        assert caught.value.errno == errno.ENOSPC
        assert open_file.write(bytes(5000)) == 5000


def test_a_read_only_disk(disk: Path) -> None:
    with stores.read_only(disk), pytest.raises(OSError, match="Read-only"):
        (disk / "new").write_bytes(b"x")
    (disk / "new").write_bytes(b"x")


def test_flipped_bytes_are_other_bytes_and_the_same_ones_for_a_seed(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for file in (one, other):
        file.write_bytes(bytes(1000))
        assert len(stores.flip_bytes(file, 7, seed=3)) == 7
    assert one.read_bytes() == other.read_bytes()
    assert sum(byte != 0 for byte in one.read_bytes()) == 7


def test_a_torn_tail_and_a_missing_wal(tmp_path: Path) -> None:
    journal = tmp_path / "a.journal"
    journal.write_bytes(b"0123456789")
    stores.tear_off(journal, 4)
    assert journal.read_bytes() == b"012345"
    assert not stores.remove_wal(journal)
    (tmp_path / "a.journal-wal").write_bytes(b"x")
    assert stores.remove_wal(journal)
    assert [path.name for path in tmp_path.iterdir()] == ["a.journal"]
