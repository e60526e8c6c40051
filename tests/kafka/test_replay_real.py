"""Replay on real Kafka: what is sent, noted and committed, and what two or a killed one leave behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kafka_reader import read_topic
from support.replay_post import Post
from support.replaying import KafkaSender, letter
from tidings.errors import BrokersUnavailable, ConfigError, ConsumeError, DeliveryError
from tidings.kafka.dead_letters import DeadLetterTopic
from tidings.kafka.taken import TakenLetter, identity_of
from tidings.letters.replay import Replay
from tidings.letters.replay_report import ReplayReport
from tidings.settings import Settings
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_PROGRAM = Path(__file__).parent / "programs" / "replays.py"
_TESTS = Path(__file__).parent.parent
_WAIT = 60.0


@pytest.fixture
def sender(tidings_own_kafka: RealKafka) -> Iterator[KafkaSender]:
    sender = KafkaSender(tidings_own_kafka.bootstrap_servers)
    yield sender
    sender.close()


@pytest.fixture
def post(tidings_own_kafka: RealKafka, sender: KafkaSender) -> Post:
    return Post(tidings_own_kafka, sender)


def test_events_go_where_they_came_from_exactly_and_once(post: Post) -> None:
    post.letters(*range(20))
    post.letters(20, value=b"\x00\xff", key=None)
    post.letters(21, value=None)
    report = post.run(all=True, who="ada")
    assert (report.considered, report.matched, report.replayed, report.stopped) == (22, 22, 22, "")
    records = {dict(it.headers)["event_id"]: it for it in post.replayed(22)}
    assert len(records) == 22
    first = records[b"e-3"]
    assert (first.key, first.value) == (b"k-3", b'{"n": 3}')
    names = [name for name, _ in first.headers]
    assert names == ["event_id", "event_type", "raw", "tidings-replay-count", "tidings-letter-id"]
    assert dict(first.headers)["raw"] == b"\xff"
    assert dict(first.headers)["tidings-replay-count"] == b"1"
    assert (records[b"e-20"].key, records[b"e-20"].value) == (None, b"\x00\xff")
    assert records[b"e-21"].value is None

    notes = post.notes(24)
    assert [note["action"] for note in (notes[0], notes[-1])] == ["started", "finished"]
    of_three = next(note for note in notes if note.get("event_id") == "e-3")
    assert (of_three["who"], of_three["action"], of_three["topic"]) == ("ada", "replayed", post.orders)
    assert (of_three["partition"], of_three["offset"]) == (first.partition, first.offset)
    assert of_three["letter_id"].encode() == dict(first.headers)["tidings-letter-id"]
    assert of_three["at"].endswith("Z")

    again = post.run(all=True)
    assert (again.considered, again.replayed) == (0, 0)
    assert "nothing to replay" in again.message
    assert len(post.replayed(22)) == 22


def test_a_dry_run_writes_and_commits_nothing(post: Post) -> None:
    post.letters(*range(5))
    post.letters(5, 6, error_code="INVALID_RECORD", last_attempt_ms=1_000_000)
    plan = post.replay().dry_run()
    assert (plan.considered, plan.matched, plan.skipped) == (7, 7, 0)
    assert plan.by_reason == {"MSG_SIZE_TOO_LARGE": 5, "INVALID_RECORD": 2}
    assert plan.by_topic == {post.orders: 7}
    assert plan.by_age == {"under 1 h": 5, "7 d and more": 2}
    assert post.committed() == {}
    assert f"{post.dlq}.replays" not in post.topics()
    assert sum(1 for it in post.replayed(0)) == 0


def test_what_a_filter_passes_over_is_found_by_another(post: Post) -> None:
    post.letters(0, 1, 2, error_code="INVALID_RECORD", key=b"one")
    post.letters(0, 1, 2, 3, 4, key=b"one")
    report = post.run(where={"error_code": "MSG_*"})
    assert (report.considered, report.replayed, report.skipped) == (8, 5, 3)
    nothing = post.run(where={"topic": "no-such-topic"})
    assert (nothing.matched, nothing.skipped, nothing.duplicates) == (0, 3, 5)
    assert "matches none" in nothing.message
    assert "INVALID_RECORD 3" in nothing.message
    plan = post.replay(where={"error_code": "INVALID_*"}).dry_run()
    assert (plan.matched, plan.duplicates) == (3, 5)
    rest = post.run(all=True)
    assert (rest.replayed, rest.duplicates, rest.skipped) == (3, 5, 0)
    assert sum(post.ids(8).values()) == 8
    assert post.run(all=True).considered == 0


def test_a_limit_is_a_part_and_the_next_run_goes_on(post: Post) -> None:
    post.letters(*range(10), key=b"one")
    assert [post.run(limit=4).replayed for _ in range(4)] == [4, 4, 2, 0]
    values = [record.value for record in post.replayed(10)]
    assert values == [b'{"n": %d}' % number for number in range(10)]


def test_what_was_replayed_too_often_is_parked(post: Post) -> None:
    post.letters(0, 1)
    post.letters(2, headers=[("event_id", b"e-2"), ("tidings-replay-count", b"2")])
    report = post.run(all=True, max_replays=2)
    assert (report.matched, report.replayed, report.parked) == (3, 2, 1)
    (parked,) = read_topic(post.brokers, f"{post.dlq}.parked", 1)
    assert json.loads(parked.value or b"")["event_id"] == "e-2"
    assert parked.key == b"k-2"
    assert {note["action"] for note in post.notes(5)} == {"started", "replayed", "parked", "finished"}
    assert post.run(all=True).considered == 0


def test_an_unreadable_letter_is_named_and_stays(post: Post) -> None:
    post.letters(0, key=b"one", partition=1)
    post.sender.send(post.dlq, b"one", b"{broken", 1)
    post.sender.send(post.dlq, b"one", None, 1)
    post.letters(1, 2, key=b"one", partition=1)
    for _ in range(2):
        report = post.run(all=True)
        assert report.unreadable == 2
        assert [problem.split(":")[0] for problem in report.problems] == [
            f"{post.dlq}[1]@1",
            f"{post.dlq}[1]@2",
        ]
    assert report.duplicates == 2
    assert post.committed() == {1: 1}
    assert post.ids(3) == {b"e-0": 1, b"e-1": 1, b"e-2": 1}


def test_a_copy_of_a_letter_is_replayed_once_and_an_edited_one_again(post: Post) -> None:
    twice = letter(7, post.orders).encode()
    for value in (twice, twice, twice.replace(b'{"n": 7}', b'{"n": 8}')):
        post.sender.send(post.dlq, b"k-7", value)
    report = post.run(all=True)
    assert (report.replayed, report.duplicates) == (2, 1)
    assert [record.value for record in post.replayed(2)] == [b'{"n": 7}', b'{"n": 8}']


def test_an_event_of_the_dead_letter_topic_itself_goes_nowhere(post: Post) -> None:
    post.sender.send(post.dlq, None, letter(0, post.dlq).encode())
    report = post.run(all=True)
    assert (report.matched, report.failed, report.replayed) == (1, 1, 0)
    assert "dead-letter topic" in report.problems[0]
    assert sum(1 for _ in read_topic(post.brokers, post.dlq, 1)) == 1


def test_everything_has_to_be_meant(post: Post) -> None:
    post.letters(0, 1)
    for where in (None, {}, {"reason": "*"}, lambda letter: True):
        with pytest.raises(ConfigError, match="limit=…, or all=True"):
            post.run(where=where)
    assert sum(1 for it in post.replayed(0)) == 0


def test_no_such_topic(post: Post) -> None:
    source = DeadLetterTopic(post.settings, unique_topic())
    replay = Replay(source=source, publisher=post.sender, all=True)
    for ask in (replay.run, replay.dry_run):
        with pytest.raises(ConsumeError, match="There is no topic"):
            ask()
    assert source.name not in post.topics()


def test_kafka_is_away(sender: KafkaSender) -> None:
    source = DeadLetterTopic(Settings(brokers="127.0.0.1:1"), "dead-letters", timeout=1)
    replay = Replay(source=source, publisher=sender, all=True)
    for ask in (replay.run, replay.dry_run):
        with pytest.raises(BrokersUnavailable, match=r"dead-letters.* cannot be read"):
            ask()


def test_where_nothing_can_be_noted_down_nothing_is_replayed(
    post: Post, tidings_own_kafka: RealKafka
) -> None:
    post.letters(0)
    tidings_own_kafka.create_topic(f"{post.dlq}.replays", 1, config={"max.message.bytes": "10"})
    with pytest.raises(DeliveryError, match="MSG_SIZE_TOO_LARGE"):
        post.run(all=True)
    assert sum(1 for it in post.replayed(0)) == 0
    assert post.committed() == {}


def test_a_run_that_is_stopped_is_resumed(post: Post) -> None:
    post.letters(*range(30))
    replay = post.replay(all=True, rate=20)
    reports: list[ReplayReport] = []
    runner = threading.Thread(target=lambda: reports.append(replay.run()))
    runner.start()
    post.replayed(1)
    replay.stop()
    runner.join(_WAIT)
    assert reports[0].stopped
    assert 0 < reports[0].replayed < 30
    rest = post.run(all=True)
    assert rest.replayed + reports[0].replayed == 30
    assert set(post.ids(30).values()) == {1}


def test_who_was_away_for_long_asks_the_ledger_before_it_goes_on(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partitions may be another's by now, and the letters it has fetched settled."""
    monkeypatch.setattr("tidings.kafka.dead_letters._SESSION", 0.2)
    post.letters(*range(20), key=b"one")
    source = DeadLetterTopic(post.settings, post.dlq)
    source.begin("default", b"{}", b"a-run")

    def taken() -> list[TakenLetter]:
        end = time.monotonic() + _WAIT
        while not (letters := source.take(10)):
            assert letters is not None
            assert time.monotonic() < end
        return letters

    try:
        first = taken()
        assert not any(source.is_settled(each) for each in first)
        for record in read_topic(post.brokers, post.dlq, 20):  # another settles all of them meanwhile
            post.sender.send(f"{post.dlq}.replays", identity_of(record.value).key, b"{}")
        time.sleep(0.2)
        assert all(source.is_settled(each) for each in taken())
    finally:
        source.close()
