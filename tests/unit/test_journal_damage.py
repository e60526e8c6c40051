"""A journal on a disk that destroys things: what is gone is said, and the rest goes on."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.journals import check_counts, everything, letter, opened, owed, quick_directory
from tidings.letters import journal_file
from tidings.letters.errors import JournalError, StoreVersion
from tidings.letters.frames import pack, parse_table, unpack
from tidings.letters.owed import Owed


@pytest.fixture
def in_memory() -> Iterator[Path]:
    directory = quick_directory()
    yield directory
    shutil.rmtree(directory)


def _written(path: Path, events: int = 6, topics: int = 1) -> dict[int, Owed]:
    journal = opened(path)
    kept = [owed(journal, f"t{index % topics}", bytes(200)) for index in range(events)]
    journal.commit(kept)
    journal.close()
    return {each.seq: each for each in kept}


def _alter(path: Path, sql: str, *args: object) -> None:
    con = sqlite3.connect(path)
    con.execute(sql, args)
    con.commit()
    con.close()


def test_one_flipped_byte_destroys_one_event_at_most(in_memory: Path) -> None:
    path = in_memory / "x.journal"
    kept = _written(path, events=4)
    con = sqlite3.connect(path)
    columns = dict(
        zip(
            ("table_one", "frames", "table_two"),
            con.execute("SELECT table_one, frames, table_two FROM groups").fetchone(),
            strict=True,
        )
    )
    con.close()
    journal = opened(path)
    for column, whole in columns.items():
        for at in range(len(whole)):
            hurt = bytearray(whole)
            hurt[at] ^= 0xFF
            journal._con.execute(f"UPDATE groups SET {column} = ?", (bytes(hurt),))
            journal._groups = type(journal._groups)()
            journal._books = type(journal._books)(journal._con)
            journal.damaged.clear()
            found = everything(journal)
            assert found.items() <= kept.items()
            gone = sorted(kept.keys() - found.keys())
            assert [each.seq for each in journal.damaged] == gone
            assert len(gone) == (column == "frames")
            assert journal.events == journal.count() == len(found)
        journal._con.execute(f"UPDATE groups SET {column} = ?", (whole,))
    journal.close()


def test_a_damaged_event_is_told_once_and_goes_with_the_next_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    kept = _written(path)
    journal = opened(path)
    (frames,) = journal._con.execute("SELECT frames FROM groups").fetchone()
    hurt = frames.replace(bytes(200), b"\1" + bytes(199), 1)
    journal._con.execute("UPDATE groups SET frames = ?", (hurt,))
    assert len(everything(journal)) == len(everything(journal)) == 5
    (damage,) = journal.damaged
    assert (damage.seq, damage.topic, damage.event_id, damage.count) == (1, "t0", b"id-1", 1)
    assert damage.was_counted
    check_counts(journal)
    journal.damaged.clear()
    journal.commit()
    journal.close(clean=False)
    again = opened(path)
    assert everything(again) == {seq: kept[seq] for seq in list(kept)[1:]}
    assert again.damaged == []
    again.close()


def test_a_group_without_a_table_is_lost_as_a_whole_and_the_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    kept = _written(path, events=9, topics=3)
    _alter(path, "UPDATE groups SET table_one = x'00', table_two = x'' WHERE topic = 't1'")
    journal = opened(path)
    assert everything(journal) == {seq: each for seq, each in kept.items() if each.topic != "t1"}
    assert [(each.topic, each.count) for each in journal.damaged] == [("t1", 3)]
    check_counts(journal)
    journal.close()


def test_a_damaged_letter_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    journal = opened(path)
    journal.commit(letters=[letter("a"), letter("b")])
    journal._con.execute("UPDATE letters SET body = x'00' WHERE row = 1")
    assert [each.letter_id for each in journal.letters(0, 10)] == ["b"]
    assert [each.letter_id for each in journal.letters(0, 10)] == ["b"]
    (damage,) = journal.damaged
    assert (damage.letter, damage.event_id) == (True, b"event-a")
    journal.commit()
    assert journal.letter_count == 1
    journal.close()


def test_a_missing_wal_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a" / "x.journal"
    journal = opened(path)
    journal.commit([owed(journal)])
    journal.checkpoint()
    journal.commit([owed(journal)])
    shutil.copytree(path.parent, tmp_path / "b")
    journal.close()
    (tmp_path / "b" / "x.journal-wal").unlink()
    again = opened(tmp_path / "b" / "x.journal")
    (damage,) = again.damaged
    assert (damage.count, damage.was_counted, again.was_clean) == (0, False, False)
    assert "-wal file is missing" in damage.why
    assert [each.levelno for each in caplog.records] == [logging.CRITICAL]
    assert len(everything(again)) == 1
    again.close()


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    _written(path)
    _alter(path, f"PRAGMA user_version = {journal_file.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreVersion, match="a newer tidings will send what it holds"):
        opened(path)
    assert path.read_bytes() == before


def test_a_torn_tail_costs_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    journal = opened(path)
    kept = [owed(journal, f"t{index % 3}", bytes(50_000)) for index in range(60)]
    for start in range(0, 60, 6):
        journal.commit(kept[start : start + 6])
    journal.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size * 2 // 3)
    again = opened(path)
    found = everything(again)
    assert 10 < len(found) < 60
    assert found.items() <= {each.seq: each for each in kept}.items()
    assert sum(each.count for each in again.damaged) == 60 - len(found)
    check_counts(again)
    assert (tmp_path / "x.journal.damaged-1").stat().st_size == size * 2 // 3
    again.close()


def test_a_file_that_is_no_database_is_kept_beside(tmp_path: Path) -> None:
    path = tmp_path / "x.journal"
    for _ in range(7):
        path.write_bytes(b"no database at all" * 5000)
        journal = opened(path)
        journal.commit([owed(journal)])
        assert len(everything(journal)) == 1
        assert [each.count for each in journal.damaged] == [0]
        journal.damaged.clear()
        journal.commit(remove=[1])
        journal.close()
    kept = sorted(each.name for each in tmp_path.iterdir())
    assert kept == [f"x.journal.damaged-{number}" for number in (4, 5, 6, 7)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), run=st.sampled_from([1, 100, 9000]), flip=st.integers(1, 255))
def test_wherever_the_file_is_hurt_nothing_is_told_wrong(
    in_memory: Path, where: float, run: int, flip: int
) -> None:
    original = in_memory / "original" / "x.journal"
    if not original.exists():
        _written(original, events=400, topics=3)
    kept = {each.seq: each for each in _events(400, 3)}
    path = in_memory / "copy" / "x.journal"
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.copytree(original.parent, path.parent)
    content = bytearray(path.read_bytes())
    at = int(where * len(content))
    content[at : at + run] = bytes(byte ^ flip for byte in content[at : at + run])
    path.write_bytes(content)
    try:
        journal = opened(path)
    except JournalError as error:
        pytest.fail(f"not opened: {error}")
    found = everything(journal)
    assert found.items() <= kept.items()
    if len(found) < len(kept):
        assert journal.damaged
    told = len(journal.damaged)
    journal.commit([new := owed(journal, "new")])
    later = everything(journal).keys()
    assert later <= found.keys() | {new.seq}
    if len(later) <= len(found):  # writing to a file with crossed pages can hurt more of it: never in silence
        assert len(journal.damaged) > told
    journal.close()


def _events(count: int, topics: int) -> list[Owed]:
    class Numbers:
        last = 0

        def next_seq(self) -> int:
            self.last += 1
            return self.last

    numbers = Numbers()
    return [owed(numbers, f"t{index % topics}", bytes(200)) for index in range(count)]  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 200_000), unique=True, max_size=50), st.integers(0, 300_000))
def test_groups_keep_every_event_in_order_and_within_bounds(seqs: list[int], size: int) -> None:
    events = [Owed(seq, "t", b"i", None, bytes(size), ()) for seq in seqs]
    found = []
    for packed in pack(events):
        table = parse_table(packed.table.seqs[0], packed.table.to_bytes())
        assert table is not None
        assert table.seqs == packed.table.seqs
        assert len(packed.frames) <= 1 << 20
        assert table.seqs[-1] - table.seqs[0] <= 1 << 16
        start = 0
        for length, checksum in zip(table.lengths, table.checksums, strict=True):
            found.append(unpack(packed.frames[start : start + length], checksum))
            start += length
    assert found == sorted(events, key=lambda each: each.seq)
