"""What waits in the store goes in order, key by key, also around rows that may not go yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.letters.journal import Journal
from tidings.letters.owed import Owed
from tidings.publishing.backlog import Shelf
from tidings.publishing.gate import bucket_of

KEYS = [b"a", b"b", b"c"]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    journal = Journal.open(tmp_path / "s.journal", max_bytes=1 << 30, logger=logging.getLogger("tests"))
    yield Shelf(journal, number=0, own=True)
    journal.close()


def add(shelf: Shelf, *keys: bytes | None) -> list[int]:
    rows = [Owed(shelf.journal.next_seq(), "t", b"id", key, b"v", ()) for key in keys]
    shelf.journal.commit(rows)
    return [row.seq for row in rows]


def go(shelf: Shelf, now: float, *blocked: bytes) -> list[int]:
    """The rows that go at this moment; a client has them from then on."""
    taken: list[int] = []
    buckets = {bucket for key in blocked if (bucket := bucket_of(key)) is not None}
    for row, _ in shelf.line("t").rows(shelf.journal, "t", buckets, now, lambda: 0.0):
        shelf.hold("t", row.seq)
        taken.append(row.seq)
    return taken


def test_a_block_that_is_lifted_lets_nobody_overtake(shelf: Shelf) -> None:
    """In chaos one dead partition cost 94,310 events their order: new rows went before the skipped ones."""
    old = add(shelf, b"a", b"b", b"a")
    assert go(shelf, 0.0, b"a") == [old[1]]
    new = add(shelf, b"a", b"b")
    assert go(shelf, 0.01) == [new[1]], "what was skipped is not looked at again yet, so a waits"
    assert go(shelf, 60.0) == [old[0], old[2], new[0]]


def test_arrivals_do_not_put_off_what_was_skipped(shelf: Shelf) -> None:
    (old,) = add(shelf, b"a")
    assert go(shelf, 0.0, b"a") == []
    sent: list[int] = []
    for tick in range(1, 30):
        add(shelf, b"a")
        sent += go(shelf, tick / 100)
    assert sent[0] == old
    assert len(sent) > 15


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_every_key_keeps_its_order_whatever_is_blocked_when(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("order") / "s.journal"
    journal = Journal.open(path, max_bytes=1 << 30, logger=logging.getLogger("tests"))
    shelf = Shelf(journal, number=0, own=True)
    key_of: dict[int, bytes] = {}
    sent: list[int] = []
    now = 0.0
    for _ in range(data.draw(st.integers(1, 8))):
        keys = data.draw(st.lists(st.sampled_from(KEYS), max_size=6))
        key_of.update(zip(add(shelf, *keys), keys, strict=True))
        sent += go(shelf, now, *data.draw(st.sets(st.sampled_from(KEYS))))
        now += data.draw(st.sampled_from([0.01, 0.2, 20.0]))
    sent += go(shelf, now + 60.0)
    assert sorted(sent) == sorted(key_of)
    for key in KEYS:
        mine = [seq for seq in sent if key_of[seq] == key]
        assert mine == sorted(mine)
    journal.close()
