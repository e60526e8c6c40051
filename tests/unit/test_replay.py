"""Replay: what is sent, settled, left, parked and said, with letters in a store and any publisher."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from support.replaying import Answer, MemorySender, letter
from tidings.errors import (
    BrokersUnavailable,
    ConfigError,
    EventTooLarge,
    PublisherClosed,
    QueueFull,
)
from tidings.letters.letter import DeadLetter
from tidings.letters.replay import Replay
from tidings.letters.replay_report import ReplayReport
from tidings.letters.replay_store import StoredLetters
from tidings.states import State


class Row(msgspec.Struct):
    row: int
    value: bytes
    key: bytes | None = None


class Store:
    """A store of letters, in memory."""

    def __init__(self, *letters: DeadLetter | bytes) -> None:
        self.rows: dict[int, Row] = {}
        self.parked: list[int] = []
        self.notes: list[dict[str, Any]] = []
        self.failing = False
        self.released = 0
        for each in letters:
            self.add(each)

    def add(self, value: DeadLetter | bytes) -> None:
        row = len(self.rows) + len(self.notes) + 1
        self.rows[row] = Row(row, value if isinstance(value, bytes) else value.encode())

    def letters(self, after: int, limit: int, *, claim: bool = False) -> list[Row]:
        return [row for number, row in sorted(self.rows.items()) if number > after][:limit]

    def release(self) -> None:
        self.released += 1

    def done(self, row: int) -> None:
        del self.rows[row]

    def park(self, row: int) -> None:
        del self.rows[row]
        self.parked.append(row)

    def note(self, note: bytes, key: bytes) -> None:
        if self.failing:
            raise BrokersUnavailable("the notes cannot be written")
        self.notes.append(json.loads(note))

    @property
    def actions(self) -> list[str]:
        return [note["action"] for note in self.notes]


def replay(store: Store, sender: MemorySender | None = None, **options: Any) -> Replay:
    source = StoredLetters(store, frozenset({"dead-letters"}))
    return Replay(source=source, publisher=sender or MemorySender(), **options)


def run(store: Store, sender: MemorySender | None = None, **options: Any) -> ReplayReport:
    report = replay(store, sender, **options).run()
    assert report.matched == report.replayed + report.failed + report.parked
    total = report.matched + report.skipped + report.duplicates + report.unreadable
    assert report.considered == total
    return report


def many(count: int, **more: Any) -> list[DeadLetter]:
    return [letter(number, **more) for number in range(count)]


def test_events_are_sent_again_as_they_were() -> None:
    first, sender = letter(0, partition=2), MemorySender()
    store = Store(first, letter(1, origin="consumer", partition=3, offset=9, group="g"))
    report = run(store, sender, all=True, who="ada")
    assert (report.replayed, report.stopped) == (2, "")
    topic, value, key, headers, event_id, partition = sender.sent[0]
    assert (topic, value, key, event_id, partition) == ("orders", b'{"n": 0}', b"k-0", "e-0", 2)
    assert headers == [
        ("event_id", b"e-0"),
        ("event_type", b"order.placed"),
        ("raw", b"\xff"),
        ("tidings-replay-count", b"1"),
        ("tidings-letter-id", first.letter_id.encode()),
    ]
    assert sender.sent[1][5] is None  # where it was read is no wish of the user
    assert store.rows == {}
    assert store.actions == ["started", "replayed", "replayed", "finished"]
    assert {note["who"] for note in store.notes} == {"ada"}
    assert {note["run_id"] for note in store.notes} == {report.run_id}
    assert store.notes[1]["letter_id"] == first.letter_id
    assert (store.notes[1]["partition"], store.notes[1]["offset"]) == (0, 1)


def test_headers_of_an_earlier_replay_are_replaced() -> None:
    headers = [
        ("tidings-replay-count", b"1"),
        ("x", None),
        ("tidings-letter-id", b"old"),
        ("tidings-resent", b"4"),
    ]
    again, sender = letter(0, headers=headers), MemorySender()
    run(Store(again), sender, all=True)
    assert sender.sent[0][3] == [
        ("x", None),
        ("tidings-replay-count", b"2"),
        ("tidings-letter-id", again.letter_id.encode()),
    ]


def test_by_default_somebody_at_this_host_did_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "@" in replay(Store()).who

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert replay(Store()).who.startswith("somebody@")


@pytest.mark.parametrize("where", [None, {}, {"reason": "*"}, {"topic": ["orders", "*"]}, lambda _: True])
def test_everything_has_to_be_meant(where: Any) -> None:
    store, sender = Store(*many(3)), MemorySender()
    with pytest.raises(ConfigError, match="limit=…, or all=True"):
        run(store, sender, where=where)
    assert sender.sent == []
    assert store.notes == []
    assert run(store, sender, where=where, limit=2).replayed == 2
    assert run(store, sender, where=where, all=True).replayed == 1


def test_a_predicate_that_tells_letters_apart_needs_no_limit() -> None:
    report = run(Store(*many(3)), where=lambda letter: letter.event_id != "e-1")
    assert (report.replayed, report.skipped) == (2, 1)


def test_nothing_matches_and_it_says_so() -> None:
    store = Store(*many(3), b"{broken")
    report = run(store, where={"error_code": "INVALID_*"})
    assert (report.considered, report.matched, report.skipped, report.unreadable) == (4, 0, 3, 1)
    assert "matches none of 4 letters" in report.message
    assert "MSG_SIZE_TOO_LARGE 3" in report.message
    assert "matches none of 4 letters" in replay(store, where={"error_code": "INVALID_*"}).dry_run().message
    assert len(store.rows) == 4
    assert run(Store(), all=True).message == "There are no letters: nothing to replay."


def test_a_dry_run_changes_nothing() -> None:
    store, sender = Store(*many(3), letter(3, headers=[("tidings-replay-count", b"3")]), b"?"), MemorySender()
    plan = replay(store, sender, limit=2).dry_run()
    assert (plan.considered, plan.matched, plan.to_park, plan.unreadable) == (5, 4, 1, 1)
    assert "at most 2 in a run" in plan.message
    assert plan.problems[0].startswith("the store, row 5: The letter cannot be read")
    assert (len(store.rows), store.notes, sender.sent) == (5, [], [])


def test_histograms_are_bounded() -> None:
    store = Store(*(letter(number, topic=f"t-{number}") for number in range(150)))
    plan = replay(store).dry_run()
    assert len(plan.by_topic) == 101
    assert plan.by_topic["(others)"] == 50
    assert sum(plan.by_topic.values()) == 150


def test_an_unreadable_letter_stays_and_blocks_nobody() -> None:
    store = Store(letter(0), b'{"event": 1}', letter(1))
    report = run(store, all=True)
    assert (report.replayed, report.unreadable) == (2, 1)
    assert "missing required field" in report.problems[0]
    assert [row.value for row in store.rows.values()] == [b'{"event": 1}']


def test_problems_named_are_bounded() -> None:
    report = run(Store(*[b"?%d" % number for number in range(150)]), all=True)
    assert report.unreadable == 150
    assert len(report.problems) == 100


def test_replayed_too_often_is_parked_with_a_note() -> None:
    store = Store(letter(0, headers=[("tidings-replay-count", b"3")]), letter(1))
    sender = MemorySender()
    report = run(store, sender, all=True)
    assert (report.parked, report.replayed) == (1, 1)
    assert (store.parked, store.rows) == ([1], {})
    assert sender.event_ids == ["e-1"]
    assert sorted(store.actions[1:-1]) == ["parked", "replayed"]


def test_a_copy_in_the_same_batch_is_a_duplicate() -> None:
    twice, sender = letter(0), MemorySender()
    store = Store(twice, twice)
    report = run(store, sender, all=True)
    assert (report.replayed, report.duplicates, len(sender.sent)) == (1, 1, 1)
    assert store.rows == {}


def test_nothing_is_sent_to_a_dead_letter_topic() -> None:
    store, sender = Store(letter(0, topic="dead-letters")), MemorySender()
    report = run(store, sender, all=True)
    assert (report.failed, sender.sent, len(store.rows)) == (1, [], 1)
    assert "dead-letters is a dead-letter topic" in report.problems[0]


def test_what_becomes_a_letter_again_is_settled_and_for_the_next_run() -> None:
    store = Store(letter(0), letter(1))

    def refuse(answer: Answer) -> None:
        store.add(letter(0, headers=[("tidings-replay-count", b"1")]))
        answer.end(State.DEAD_LETTERED, "MSG_SIZE_TOO_LARGE")

    report = run(store, MemorySender(refuse), all=True)
    assert (report.failed, report.replayed, report.stopped) == (2, 0, "")
    assert "it is a letter again, new-letter" in report.problems[0]
    assert [DeadLetter.decode(row.value).replay_count for row in store.rows.values()] == [1, 1]
    assert store.notes[1]["new_letter_id"] == "new-letter"


@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (lambda answer: None, "acknowledges nothing"),
        (lambda answer: answer.end(State.LOST, "_MSG_TIMED_OUT"), "_MSG_TIMED_OUT"),
        (lambda answer: answer.end(State.DISCARDED), "discarded"),
    ],
)
def test_what_is_not_delivered_stays_and_ends_the_run(respond: Callable[[Answer], None], words: str) -> None:
    store = Store(*many(600))
    report = run(store, MemorySender(respond), all=True, patience=0.05)
    assert words in report.stopped
    assert report.message.startswith(f"Stopped: {report.stopped}")
    assert (report.replayed, len(store.rows)) == (0, 600)
    assert store.actions == ["started", "finished"]
    assert report.considered < 600  # it did not go through all of them in vain


def test_what_was_delivered_beside_a_failure_is_settled() -> None:
    store = Store(*many(5))

    def respond(answer: Answer) -> None:
        failed = answer.event_id == "e-2"
        answer.end(State.LOST, "_TRANSPORT") if failed else answer.end(State.DELIVERED)

    report = run(store, MemorySender(respond), all=True)
    assert (report.replayed, report.failed) == (4, 1)
    assert list(store.rows) == [3]


@pytest.mark.parametrize("ended", [True, False])
def test_stored_is_waited_for(ended: bool) -> None:
    store, sender = Store(*many(2)), MemorySender(lambda answer: answer.end(State.STORED))
    sender.flushed = ended
    report = run(store, sender, all=True, patience=0.05)
    assert (report.replayed, len(store.rows)) == ((2, 0) if ended else (0, 2))
    assert ("2 events wait in the publisher's store" in report.stopped) is not ended


def test_a_full_queue_is_waited_for() -> None:
    sender = MemorySender()
    sender.refusals = [QueueFull("full"), QueueFull("full")]
    assert run(Store(letter(0)), sender, all=True).replayed == 1


def test_a_queue_that_stays_full_ends_the_run() -> None:
    store, sender = Store(*many(3)), MemorySender()
    sender.refusals = [QueueFull("full")] * 10_000
    report = run(store, sender, all=True, patience=0)
    assert "full" in report.stopped
    assert (report.failed, len(store.rows)) == (1, 3)


def test_a_closed_publisher_ends_the_run() -> None:
    store, sender = Store(*many(3)), MemorySender()
    sender.refusals = [PublisherClosed("The publisher was closed.")]
    report = run(store, sender, all=True)
    assert "closed" in report.stopped
    assert len(store.rows) == 3


def test_an_event_that_is_refused_stays_and_the_rest_goes_on() -> None:
    store, sender = Store(*many(3)), MemorySender()
    sender.refusals = [EventTooLarge("too large")]
    report = run(store, sender, all=True)
    assert (report.failed, report.replayed, report.stopped, list(store.rows)) == (1, 2, "", [1])


def test_notes_that_cannot_be_written_end_the_run_with_nothing_settled() -> None:
    store, sender = Store(*many(2)), MemorySender()

    def respond(answer: Answer) -> None:
        store.failing = True
        answer.end(State.DELIVERED)

    sender.respond = respond
    report = run(store, sender, all=True)
    assert "the notes cannot be written" in report.stopped
    assert len(store.rows) == 2


def test_a_run_that_cannot_be_noted_down_does_not_begin() -> None:
    store, sender = Store(letter(0)), MemorySender()
    store.failing = True
    with pytest.raises(BrokersUnavailable):
        run(store, sender, all=True)
    assert sender.sent == []


def test_stop_ends_after_what_is_in_flight_and_the_next_run_resumes() -> None:
    store, sender = Store(*many(5)), MemorySender()
    it = replay(store, sender, all=True)

    def respond(answer: Answer) -> None:
        if len(sender.sent) == 2:
            it.stop()
        answer.end(State.DELIVERED)

    sender.respond = respond
    first = it.run()
    assert (first.replayed, first.stopped) == (2, "it was told to.")
    second = it.run()
    assert (second.replayed, second.stopped) == (3, "")
    assert sender.event_ids == [f"e-{number}" for number in range(5)]


def test_the_rate_is_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    now, naps = [100.0], []
    it = replay(Store(*many(4)), all=True, rate=2)

    def nap(seconds: float) -> bool:
        naps.append(seconds)
        now[0] += seconds
        return False

    monkeypatch.setattr(it.stopping, "wait", nap)
    monkeypatch.setattr("tidings.letters.replay_run.time.monotonic", lambda: now[0])
    assert it.run().replayed == 4
    assert naps == [0.5, 0.5, 0.5]


def test_each_replay_is_one_log_line_and_each_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tidings.replay")
    report = run(Store(letter(0)), all=True, who="ada")
    lines = [record.message for record in caplog.records]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("event_id=e-0", "who=ada", report.run_id))
    assert "1 replayed" in lines[1]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"limit": 0}, "limit"),
        ({"max_replays": 0}, "max_replays"),
        ({"name": "no such name"}, "name"),
        ({"name": ""}, "name"),
        ({"where": {"colour": "red"}}, "colour"),
        ({"where": {"reason": 5}}, "reason"),
        ({"where": {"topic": []}}, "topic"),
        ({"where": {"topic": [1]}}, "topic"),
        ({"where": {"since": "yesterday"}}, "since"),
        ({"where": {"until": "2026-01-01T00:00:00"}}, "until"),
        ({"where": {"since": True}}, "since"),
        ({"where": {"since": 2000, "until": 1000}}, "since is later than until"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        replay(Store(), **options)
