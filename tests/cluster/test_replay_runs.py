"""Replays that are killed, suspended, doubled, or left alone by Kafka: what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.replay_post import Post
from support.replaying import KafkaSender
from tidings.kafka.dead_letters import DeadLetterTopic
from tidings.letters.replay import Replay
from tidings.letters.replay_report import ReplayReport
from tidings.testing import RealKafka

_TESTS = Path(__file__).parent.parent
_PROGRAM = _TESTS / "kafka" / "programs" / "replays.py"
_WAIT = 60.0


@pytest.fixture
def sender(tidings_own_kafka: RealKafka) -> Iterator[KafkaSender]:
    sender = KafkaSender(tidings_own_kafka.bootstrap_servers)
    yield sender
    sender.close()


@pytest.fixture
def post(tidings_own_kafka: RealKafka, sender: KafkaSender) -> Post:
    return Post(tidings_own_kafka, sender)


def start(post: Post, name: str) -> subprocess.Popen[bytes]:
    """A replay of 50 letters a second in a process of its own."""
    command = [sys.executable, str(_PROGRAM), post.brokers, post.dlq, name]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(_TESTS)})


def wait_for(true: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _WAIT
    while not true():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_two_at_once_share_the_letters(post: Post) -> None:
    """What the filter passes over holds the commits back: only the ledger knows what the other has done."""
    for partition in range(4):
        post.letters(partition, error_code="INVALID_RECORD", partition=partition)
    post.letters(*range(200))
    reports: list[ReplayReport] = []
    where = {"error_code": "MSG_*"}

    def run() -> None:
        reports.append(post.run(where=where, rate=20))

    runners = [threading.Thread(target=run) for _ in range(2)]
    runners[0].start()
    post.replayed(20)  # it has them all, until the other comes
    runners[1].start()
    for runner in runners:
        runner.join(_WAIT * 2)
    assert [report.stopped for report in reports] == ["", ""]
    assert sum(report.replayed for report in reports) == 200
    assert all(report.replayed for report in reports)
    ids = post.ids(200)
    assert len(ids) == 200
    assert set(ids.values()) == {1}


def test_a_kafka_that_goes_silent_ends_the_run_and_loses_nothing(
    post: Post, tidings_own_kafka: RealKafka
) -> None:
    post.letters(*range(40))
    source = DeadLetterTopic(post.settings, post.dlq, timeout=3)
    replay = Replay(source=source, publisher=post.sender, all=True, rate=10, patience=3)
    reports: list[ReplayReport] = []
    runner = threading.Thread(target=lambda: reports.append(replay.run()))
    runner.start()
    post.replayed(1)
    tidings_own_kafka.pause(1)
    runner.join(_WAIT)
    tidings_own_kafka.resume(1)
    assert reports, "the run has not ended"
    assert reports[0].stopped
    assert reports[0].message.startswith("Stopped: ")
    end = time.monotonic() + _WAIT
    while reports[-1].stopped and time.monotonic() < end:  # for a while the node leads nothing
        reports.append(post.run(all=True))
    assert reports[-1].stopped == ""
    assert sum(report.replayed for report in reports) == 40
    assert set(post.ids(40)) == {b"e-%d" % number for number in range(40)}


def test_a_run_that_was_suspended_does_not_repeat_what_another_has_done(post: Post) -> None:
    post.letters(*range(150))
    process = start(post, "suspended")
    try:
        wait_for(lambda: len(post.replayed(0)) >= 30, process)
        process.send_signal(signal.SIGSTOP)
        done = len(post.replayed(30))
        report = post.run(all=True, name="suspended")
        process.send_signal(signal.SIGCONT)
        assert process.wait(_WAIT) == 0
    finally:
        process.kill()
        process.wait(_WAIT)
    assert report.stopped == ""
    assert 0 < report.replayed <= 150 - done + 50
    ids = post.ids(150)
    assert set(ids) == {b"e-%d" % number for number in range(150)}
    assert sum(ids.values()) - 150 <= 50  # one second of sending, at 50 a second


def test_a_killed_run_repeats_only_what_was_in_flight(post: Post) -> None:
    post.letters(*range(150))
    process = start(post, "killed")
    try:
        wait_for(lambda: len(post.replayed(0)) >= 70, process)
    finally:
        process.kill()
        process.wait(_WAIT)
    done = len(post.replayed(70))
    assert done < 150
    report = post.run(all=True, name="killed")
    assert report.stopped == ""
    ids = post.ids(150)
    assert set(ids) == {b"e-%d" % number for number in range(150)}
    assert sum(ids.values()) - 150 <= 50  # one second of sending, at 50 a second
    assert report.replayed == 150 - done + sum(ids.values()) - 150
