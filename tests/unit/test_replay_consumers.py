"""Letters of consumers in a replay: which of them are one, what left-out events become, who is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.letterpile import Pile, given_up
from support.replaying import MemorySender, letter
from tidings.errors import DecodeError
from tidings.kafka.replay_ledger import ReplayLedger
from tidings.kafka.taken import Identity, TakenLetter, identity_of
from tidings.letters.letter import DeadLetter
from tidings.letters.replay import Replay
from tidings.letters.where import Filter
from tidings.settings import Settings

times = st.integers(0, 4_000_000_000_000)


def identity(it: DeadLetter) -> Any:
    return identity_of(it.encode())


@given(times, times, st.integers(1, 99), st.text(), st.text(min_size=1))
def test_a_letter_written_again_after_a_crash_is_the_same(
    first: int, last: int, attempts: int, reason: str, code: str
) -> None:
    more: dict[str, Any] = {"first_attempt_ms": first, "last_attempt_ms": last, "attempts": attempts}
    again = given_up(1, **more, reason=reason, error_code=code, client_id="another")
    assert identity(again).key == identity(given_up(1)).key
    assert identity(again).since == pytest.approx(first / 1000)


@pytest.mark.parametrize(
    "change",
    [
        {"letter_id": "another"},
        {"value": b'{"edited": 1}'},
        {"key": b"edited"},
        {"headers": [("x", b"edited")]},
        {"topic": "edited"},
    ],
)
def test_one_that_a_person_has_edited_is_another(change: dict[str, Any]) -> None:
    assert identity(given_up(1, **change)).key != identity(given_up(1)).key


def test_a_publishers_letter_and_what_is_none_are_told_by_their_bytes() -> None:
    once, again = letter(1, letter_id="l"), letter(1, letter_id="l", attempts=4)
    assert identity(once) == identity(once)
    assert identity(once) != identity(again)
    assert identity(once).since == 0
    nothing: list[bytes | None] = [None, b"{", b"5", b'{"origin": "consumer"}', b"\xff", b"[" * 100_000]
    nothing += [b'{"origin": "consumer", "first_attempt": "soon"}']
    assert len({identity_of(it).key for it in nothing}) == len(nothing)


@pytest.fixture(scope="module")
def ledger() -> Iterator[ReplayLedger]:
    ledger = ReplayLedger(Settings(brokers="127.0.0.1:1"), "dead-letters.replays", "g")
    yield ledger
    ledger.close()


@given(noted=times, failed=times)
def test_a_note_settles_what_had_failed_before_it(ledger: ReplayLedger, noted: int, failed: int) -> None:
    it = given_up(1, first_attempt_ms=failed)
    note = msgspec.json.encode({"at": given_up(1, first_attempt_ms=noted).first_attempt})
    ledger.add(identity(it).key, note)
    assert (identity(it) in ledger) == (failed <= noted)
    own = msgspec.json.encode({"at": "1970-01-01T00:00:00Z", "first_attempt": it.first_attempt})
    ledger.add(identity(it).key, own)
    assert identity(it) in ledger, "its own note settles it, whatever the clocks say"


@pytest.mark.parametrize("note", [None, b"", b"{}", b"{", b'{"at": null}', b'{"at": "soon"}'])
def test_a_note_without_a_time_settles_for_ever(ledger: ReplayLedger, note: bytes | None) -> None:
    ledger.add(b"noted", note)
    assert Identity(b"noted", 1e12) in ledger
    assert Identity(b"not noted") not in ledger


def test_of_two_that_are_one_one_is_replayed() -> None:
    sender, pile = MemorySender(), Pile(given_up(1), given_up(1, attempts=9), given_up(2))
    report = Replay(source=pile, publisher=sender, all=True).run()
    assert (report.replayed, report.duplicates, sender.event_ids) == (2, 1, ["e-1", "e-2"])


def test_an_event_that_was_left_out_is_no_tombstone() -> None:
    whole, short = given_up(1), given_up(1, event_left_out=True)
    assert DeadLetter.decode(short.encode()).event_left_out
    pile, sender = Pile(short), MemorySender()
    report = Replay(source=pile, publisher=sender, all=True).run()
    assert (report.failed, sender.sent, pile.waiting) == (1, [], 1)
    assert "was too large for the letter, and is no more at orders[2]@1" in report.problems[0]
    pile.origins["orders", 2, 1] = TakenLetter("", whole.value, whole.key, whole.record_headers, 2, 1)
    assert Replay(source=pile, publisher=sender, all=True).run().replayed == 1
    topic, value, key, headers, event_id, partition = sender.sent[0]
    assert (topic, value, key, event_id, partition) == ("orders", whole.value, whole.key, "e-1", None)
    assert headers[:-2] == whole.record_headers


def test_where_it_was_left_out_must_be_said() -> None:
    fields = msgspec.json.decode(given_up(1, event_left_out=True).encode())
    with pytest.raises(DecodeError, match="must say where the event is"):
        DeadLetter.decode(msgspec.json.encode({**fields, "offset": None}))


def test_kafka_away_while_an_event_is_fetched_ends_the_run() -> None:
    pile, sender = Pile(given_up(1, event_left_out=True), given_up(2)), MemorySender()
    pile.failing = "origin"
    report = Replay(source=pile, publisher=sender, all=True).run()
    assert "nobody answers" in report.stopped
    assert (report.failed, pile.waiting) == (1, 2)


def test_replayed_too_often_a_short_letter_is_parked_as_it_is() -> None:
    headers = [("event_id", b"e-1"), ("tidings-replay-count", b"3")]
    pile = Pile(given_up(1, event_left_out=True, headers=headers))
    assert Replay(source=pile, publisher=MemorySender(), all=True).run().parked == 1
    assert pile.parked[0].event_left_out


@pytest.mark.parametrize(
    ("where", "for_group", "matches"),
    [
        (None, None, ["a", "b", None]),
        ({"group": "a"}, None, ["a"]),
        ({"group": ["a", "b"]}, None, ["a", "b"]),
        ({"group": "?"}, None, ["a", "b"]),
        (None, "a", ["a"]),
        ({"topic": "orders"}, "a", ["a"]),
        (lambda _: True, "a", ["a"]),
        ({"group": "b"}, "a", ["b"]),
        ({"group": "*"}, "a", ["a", "b"]),
    ],
)
def test_groups_in_a_filter(where: Any, for_group: str | None, matches: list[str | None]) -> None:
    letters = [given_up(1, group="a"), given_up(1, group="b"), letter(1)]
    chosen = Filter(where, for_group)
    assert [it.group for it in letters if chosen(it)] == matches
