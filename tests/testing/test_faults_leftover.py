"""What is left in a store is found by the judge, who leaves it as it is."""

from __future__ import annotations

import logging
from pathlib import Path

from tidings.letters.journal import Journal
from tidings.letters.letter import DeadLetter
from tidings.letters.owed import LetterRow, Owed
from tidings.testing.faults import read_store

_LOG = logging.getLogger(__name__)


def owed(seq: int, topic: str = "t") -> Owed:
    mark = f"e-{seq}".encode()
    return Owed(seq, topic, mark, None, b"{}", (("event_id", mark),))


def letter(mark: str, *, parked: bool = False) -> LetterRow:
    written = DeadLetter.of_record(
        "t",
        b"{}",
        None,
        [("event_id", mark.encode())],
        event_id=mark,
        attempts=1,
        error_code="INVALID_RECORD",
        reason="no",
        certainty="not_delivered",
        client_id="c",
        first_attempt_ms=0,
        last_attempt_ms=0,
    )
    return LetterRow(written.letter_id, mark, "dead", "t", None, written.encode(), 0, parked)


def test_events_and_letters_of_every_journal(tmp_path: Path) -> None:
    for name, first in (("a", 1), ("b", 10)):
        journal = Journal.open(tmp_path / f"{name}.journal", max_bytes=1 << 30, logger=_LOG)
        journal.commit(add=[owed(first), owed(first + 1), owed(first + 2, "other")])
        journal.commit(remove=[first + 1], letters=[letter(f"l-{name}"), letter(f"p-{name}", parked=True)])
        journal.close(clean=name == "a")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    left = read_store(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {"e-1", "e-3", "e-10", "e-12"} <= left.events
    assert "e-2" not in left.events
    assert {(found.mark, found.certainty) for found in left.letters} == {
        (f"{kind}-{name}", "not_delivered") for kind in "lp" for name in "ab"
    }


def test_nothing_is_left_where_nothing_is(tmp_path: Path) -> None:
    assert read_store(tmp_path).events == set()
    assert read_store(tmp_path / "missing").letters == []
