"""Members that come and go every second, and one that stands still until others have its partitions."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced
from support.processes import wait_until
from support.watched import Load, Watched
from tidings import Consumer, Message
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

pytestmark = pytest.mark.timeout(300)

STORM = 40.0
"""Seconds."""
MOST = 4
"""Members at a time."""
PROTOCOLS: list[dict[str, Any]] = [{"session_timeout": "1s"}, {"group_protocol": "consumer"}]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A Kafka whose groups notice soon that a member is dead."""
    own = {
        "auto.create.topics.enable": "false",
        "group.consumer.session.timeout.ms": "1500",
        "group.consumer.heartbeat.interval.ms": "300",
    }
    with RealKafka(config=own) as kafka:
        yield kafka


def storm(watched: Watched, seed: int) -> None:
    """Every second somebody joins, or leaves in order; one in four is killed."""
    chance = random.Random(seed)

    def work(message: Message[OrderPlaced]) -> None:
        time.sleep(0.001)

    inside: list[Consumer] = []
    leaving: list[threading.Thread] = []
    end = time.monotonic() + STORM
    killed = watched.start("async", pace=0.001)
    while time.monotonic() < end:
        if len(inside) < MOST and (not inside or chance.random() < 0.6):
            inside.append(watched.consumer(work, chance.choice(["sync", "async"])))
            inside[-1].start()
        else:
            leaving.append(threading.Thread(target=inside.pop(0).close))
            leaving[-1].start()
        if chance.random() < 0.25:
            killed.kill()
            killed.wait(LONG)
            killed = watched.start("async", pace=0.001)
        time.sleep(1)
    killed.kill()
    for consumer in inside:
        consumer.close()
    for thread in leaving:
        thread.join()


def test_a_storm_of_rebalances(kafka: RealKafka, tmp_path: Path) -> None:
    """One group of each protocol on the same topic, side by side."""
    topic = unique_topic()
    kafka.create_topic(topic, 6)
    load = Load(kafka.bootstrap_servers, topic)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        groups = [
            stack.enter_context(Watched(kafka, tmp_path, topic=topic, partitions=6, settings=protocol))
            for protocol in PROTOCOLS
        ]
        with load.flowing(150):
            for each in [pool.submit(storm, watched, seed) for seed, watched in enumerate(groups)]:
                each.result()
        for watched in groups:
            assert watched.ledger.done_places(), "something was handled in the storm"
            check_through(watched, load)


def pids_of(watched: Watched, since: int) -> set[int]:
    """Whose handlers came to their end since the ledger had so many lines."""
    return {line.pid for line in watched.ledger.lines()[since:] if line.is_done}


def stand_still(watched: Watched, form: str) -> None:
    """One of two members, for longer than SESSION_TIMEOUT and MAX_POLL_INTERVAL; then it goes on."""
    members = {process.pid: process for process in (watched.start(form, pace=0.002) for _ in range(2))}
    assert wait_until(lambda: pids_of(watched, 0) >= set(members), LONG), watched.log_tail()
    still, other = members
    os.kill(still, signal.SIGSTOP)
    began = time.monotonic()
    assert wait_until(partial(has_all, watched, other), LONG), watched.log_tail()
    assert wait_until(lambda: time.monotonic() > began + 4)
    os.kill(still, signal.SIGCONT)
    woken = len(watched.ledger.lines())
    assert wait_until(lambda: pids_of(watched, woken) >= set(members), LONG), watched.log_tail()
    for process in members.values():
        watched.end(process)


def test_a_member_that_stands_still_for_too_long(kafka: RealKafka, tmp_path: Path) -> None:
    """Another takes over; what it had in hand it may finish, but it commits nothing of it."""
    topic = unique_topic()
    kafka.create_topic(topic, 4)
    load = Load(kafka.bootstrap_servers, topic)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        groups = [
            stack.enter_context(
                Watched(kafka, tmp_path, topic=topic, settings=protocol | {"max_poll_interval": "2s"})
            )
            for protocol in PROTOCOLS
        ]
        for forms in (("sync", "async"), ("async", "sync")):
            with load.flowing(150):
                for each in [pool.submit(stand_still, *it) for it in zip(groups, forms, strict=True)]:
                    each.result()
        for watched in groups:
            check_through(watched, load)


def check_through(watched: Watched, load: Load) -> None:
    """The last member handles the rest; then the rules hold for everything, and nothing is a letter."""
    everything = set(load.places.values())
    last = watched.start()
    assert wait_until(partial(watched.has_done, everything), 2 * LONG), watched.log_tail()
    watched.end(last)
    kept = watched.check_finished()
    assert kept.places == everything
    assert not kept.letters


def has_all(watched: Watched, pid: int) -> bool:
    """Whether this member has lately handled events of every partition."""
    lately = {line.place[0] for line in watched.ledger.lines()[-200:] if line.pid == pid and line.is_done}
    return len(lately) == 4
