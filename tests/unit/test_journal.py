"""The journal: two operations, durable and atomic; who may own its file; what a full or broken disk does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.journals import LOGGER, check_counts, everything, letter, opened, owed
from tidings.letters.errors import JournalError, StoreBusy
from tidings.letters.journal import Journal, find
from tidings.letters.owed import FoundInStore, Owed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "service.journal"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = opened(path)
    yield journal
    journal.close()


def test_an_event_comes_back_with_every_field(journal: Journal) -> None:
    events = [owed(journal, value=value) for value in (b"{}", b"", None, os.urandom(3 << 20))]
    journal.commit(events)
    assert journal.read("orders", 0, 10) == events[:4]
    assert [journal.get(each.seq) for each in events] == events
    assert journal.get(99) is None


def test_what_was_committed_is_there_after_a_reopening(path: Path) -> None:
    journal = opened(path)
    events = [owed(journal, f"t{index % 3}") for index in range(5000)]
    journal.commit(events)
    journal.commit(remove=[each.seq for each in events[::2]])
    kept = {each.seq: each for each in events[1::2]}
    check_counts(journal)
    journal.close()
    again = opened(path)
    assert again.was_clean
    assert everything(again) == kept
    assert again.next_seq() > max(kept)
    check_counts(again)
    again.close()


def test_an_event_added_and_removed_at_once_is_never_written(journal: Journal) -> None:
    events = [owed(journal), owed(journal)]
    journal.commit(events, remove=[events[0].seq, 12345])
    assert list(everything(journal)) == [events[1].seq]
    check_counts(journal)


def test_removing_twice_counts_once(journal: Journal) -> None:
    events = [owed(journal) for _ in range(10)]
    journal.commit(events)
    for _ in range(2):
        journal.commit(remove=[events[0].seq, events[0].seq])
        assert journal.events == 9
    journal.commit(remove=[each.seq for each in events])
    assert (journal.events, journal.topics()) == (0, {})
    journal.commit(remove=[each.seq for each in events])
    assert journal.events == 0


def test_overlapping_groups_are_read_in_order(journal: Journal) -> None:
    events = [owed(journal) for _ in range(1000)]
    journal.commit(events[1::2])
    journal.commit(events[0::4])
    journal.commit(events[2::4])
    assert [each.seq for each in journal.read("orders", 0, 1000)] == [each.seq for each in events]
    assert len(everything(journal, page=7)) == 1000
    journal.commit(remove=[each.seq for each in events[100:900]])
    check_counts(journal)


def test_a_reading_is_bounded_in_events_and_bytes(journal: Journal) -> None:
    journal.commit([owed(journal, value=bytes(500_000)) for _ in range(30)])
    assert 8 <= len(journal.read("orders", 0, 1000)) <= 11
    assert len(journal.read("orders", 0, 3)) == 3
    assert len(everything(journal, page=1000)) == 30


def test_a_group_of_which_little_is_left_is_written_anew(path: Path) -> None:
    journal = opened(path)
    events = [owed(journal, value=bytes(1000)) for _ in range(1000)]
    journal.commit(events)
    full = journal.used
    journal.commit(remove=[each.seq for each in events[1:999]])
    for _ in range(70):
        journal.commit([passing := owed(journal)])
        journal.commit(remove=[passing.seq])
    journal.checkpoint()
    assert journal.used < full / 4
    check_counts(journal)
    journal.close(clean=False)
    again = opened(path)
    assert list(everything(again)) == [events[0].seq, events[999].seq]
    again.close()


def test_after_a_crash_what_was_partly_removed_comes_back(path: Path) -> None:
    journal = opened(path)
    events = [owed(journal) for _ in range(10)]
    journal.commit(events)
    journal.commit(remove=[events[0].seq])
    journal.close(clean=False)
    again = opened(path)
    assert not again.was_clean
    assert again.damaged == []
    assert len(everything(again)) == 10
    again.close()


def test_an_event_becomes_a_letter_in_one_transaction(path: Path) -> None:
    journal = opened(path)
    event = owed(journal)
    journal.commit([event])
    first, second = letter("a"), letter("b")
    journal.commit(remove=[event.seq], letters=[first, second])
    assert (journal.events, journal.letter_count) == (0, 2)
    journal.close()
    journal = opened(path)
    assert journal.letters(0, 10) == [first, second]
    assert journal.letters(first.row, 10) == [second]
    journal.commit(letters_parked=[second.row, 77], letters_done=[first.row, 78])
    journal.commit(letters_parked=[second.row])
    assert (journal.letter_count, journal.parked_count) == (0, 1)
    assert journal.parked_bytes > 0
    (parked,) = journal.letters(0, 10, parked=True)
    assert (parked.letter_id, parked.parked, parked.row) == ("b", True, second.row)
    journal.commit(letters_done=[second.row])
    assert (journal.parked_count, journal.parked_bytes) == (0, 0)
    journal.close()
    assert os.listdir(path.parent) == []


def test_an_empty_journal_leaves_nothing_behind(path: Path) -> None:
    opened(path).close()
    assert os.listdir(path.parent) == []


def test_nobody_else_may_read_the_files(path: Path, journal: Journal) -> None:
    journal.commit([owed(journal)])
    assert path.parent.stat().st_mode & 0o777 == 0o700
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    assert set(modes) == {path.name + suffix for suffix in ("", "-wal", "-shm", ".lock")}
    assert set(modes.values()) == {0o600}


def test_a_file_has_one_owner(path: Path, journal: Journal) -> None:
    journal.commit([owed(journal)])
    with pytest.raises(StoreBusy, match="another living process"):
        opened(path)
    program = (
        "import sys, logging, pathlib; from tidings.letters.journal import Journal\n"
        "Journal.open(pathlib.Path(sys.argv[1]), max_bytes=1, logger=logging.getLogger())"
    )
    child = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert "StoreBusy" in child.stderr
    assert len(everything(journal)) == 1


def test_the_file_of_a_killed_process_can_be_taken_over(path: Path) -> None:
    program = (
        "import os, sys, logging, pathlib\n"
        "from support.journals import opened, owed\n"
        "journal = opened(pathlib.Path(sys.argv[1]))\n"
        "journal.commit([owed(journal) for _ in range(2500)])\n"
        "os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program, path], env=env, check=False).returncode == -9
    journal = opened(path)
    assert not journal.was_clean
    assert journal.damaged == []
    assert len(everything(journal)) == 2500
    journal.close()


def test_a_file_that_is_gone_is_not_made_again(path: Path) -> None:
    with pytest.raises(JournalError, match="any more"):
        Journal.open(path, max_bytes=1, logger=LOGGER, create=False)
    assert os.listdir(path.parent) == []


def test_find_looks_from_outside(path: Path, journal: Journal) -> None:
    assert find(path.with_name("other"), b"id-1", 1) is None
    events = [owed(journal) for _ in range(3000)]
    journal.commit(events, letters=[letter("a")])
    assert find(path, b"id-2999", 5) == FoundInStore("orders", "_MSG_TIMED_OUT", 2, seq=2999)
    assert find(path, b"event-a", 5) == FoundInStore("orders", "why", letter_id="a")
    assert find(path, b"id-29990", 5) is None
    with pytest.raises(TimeoutError):
        find(path, b"nowhere", 0)


def test_a_read_only_disk_is_told(path: Path) -> None:
    if not _mount("tmpfs", path.parent, "size=4m"):
        pytest.skip("mounting needs root")
    try:
        opened(path).close()
        subprocess.run(["mount", "-o", "remount,ro", path.parent], check=True)
        with pytest.raises(JournalError, match="could not be opened"):
            opened(path)
    finally:
        subprocess.run(["umount", path.parent], check=True)


def test_a_full_disk_changes_nothing_and_heals(path: Path) -> None:
    if not _mount("tmpfs", path.parent, "size=4m"):
        pytest.skip("mounting needs root")
    try:
        journal = opened(path)
        kept: list[int] = []
        events: list[Owed] = []

        def fill() -> None:
            for _ in range(100):
                events[:] = [owed(journal, value=os.urandom(10_000)) for _ in range(20)]
                journal.commit(events)
                kept.extend(each.seq for each in events)

        with pytest.raises(JournalError, match="the disk is full") as caught:
            fill()
        assert caught.value.cause == "SQLITE_FULL"
        assert kept
        assert list(everything(journal)) == kept
        check_counts(journal)
        subprocess.run(["mount", "-o", "remount,size=16m", path.parent], check=True)
        journal.commit(events)
        assert len(everything(journal)) == len(kept) + 20
        journal.commit(remove=everything(journal))
        journal.close()
        assert os.listdir(path.parent) == []
    finally:
        subprocess.run(["umount", path.parent], check=True)


class _FailingDisk:
    """A connection whose disk fails when a transaction is synced."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return self._con.execute(sql, *args)


def test_a_disk_error_changes_nothing(journal: Journal) -> None:
    first, second = owed(journal), owed(journal, "other")
    journal.commit([first])
    whole = journal._con
    journal._con = _FailingDisk(whole)  # type: ignore[assignment]
    row = letter("a")
    with pytest.raises(JournalError, match="the disk answered with an error") as caught:
        journal.commit([second], [first.seq], [row])
    assert caught.value.cause == "SQLITE_IOERR_FSYNC"
    journal._con = whole
    assert (row.row, journal.letter_count) == (0, 0)
    assert everything(journal) == {first.seq: first}
    check_counts(journal)
    journal.commit([second], [first.seq], [row])
    assert everything(journal) == {second.seq: second}
    assert row.row == 1
    journal.commit(remove=[second.seq], letters_done=[1])


def _mount(kind: str, where: Path, options: str) -> bool:
    where.mkdir(parents=True)
    return (
        sys.platform == "linux"
        and os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", kind, "-o", options, kind, where], capture_output=True, check=False
        ).returncode
        == 0
    )
