"""Consumers that are killed, or kill themselves, again and again under load: a ledger outside tells."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.processes import wait_until
from support.watched import Load, Watched
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

pytestmark = pytest.mark.timeout(400)

KILLS = 50
FORMS = ("sync", "async", "batch")
SOON = {"client_config": {"auto.commit.interval.ms": 100}}
STATIC = {"group_instance_id": "worker-1", "session_timeout": "6s"}
KIP_848 = {"group_protocol": "consumer"}
SHORT = {"session_timeout": "1s"}


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


def killed_again_and_again(watched: Watched, seed: int) -> None:
    """Each life comes past its first events, and is killed soon after, in the middle of something. Some
    commit so rarely, as it is by default, that their progress counts for none."""
    chance = random.Random(seed)
    for kill in range(KILLS):
        process = watched.start(FORMS[kill % 3], settings=SOON if kill % 4 < 2 else {})
        assert wait_until(partial(watched.has_done_some, process, 3), 2 * LONG), watched.log_tail()
        time.sleep(chance.random() * 0.3)
        process.kill()
        process.wait(LONG)


def test_fifty_kills_lose_neither_events_nor_results(kafka: RealKafka, tmp_path: Path) -> None:
    """Three groups side by side; the handlers of two publish, and those of one leave out what they know."""
    topic = unique_topic()
    kafka.create_topic(topic, 4)
    load = Load(kafka.bootstrap_servers, topic)
    with ExitStack() as stack:
        forms: list[dict[str, Any]] = [{}, {"results": True}, {"results": True, "dedup": True}]
        pool = stack.enter_context(ThreadPoolExecutor(len(forms)))
        groups = [
            stack.enter_context(Watched(kafka, tmp_path, topic=topic, settings=STATIC, **form))
            for form in forms
        ]
        with load.flowing(60):
            kills = [pool.submit(killed_again_and_again, it, seed) for seed, it in enumerate(groups)]
            for each in kills:
                each.result()
        everything = set(load.places.values())
        for watched in groups:
            last = watched.start()
            assert wait_until(partial(watched.has_done, everything), 2 * LONG), watched.log_tail()
            watched.end(last)
            kept = watched.check_finished()
            assert kept.places == everything
            assert not kept.letters, "nobody died of an event"


def has_done_or_committed(watched: Watched, process: subprocess.Popen[bytes]) -> bool:
    return watched.has_done_some(process) or watched.is_committed({0: 1})


def test_who_is_killed_with_nothing_in_hand_dies_of_no_event(kafka: RealKafka, tmp_path: Path) -> None:
    """Its last event is handled, and its offset not committed yet."""
    with Watched(kafka, tmp_path, partitions=1, settings=STATIC) as watched:
        load = Load(watched.brokers, watched.topic)
        load.write(1)
        for _ in range(6):
            process = watched.start()
            assert wait_until(partial(has_done_or_committed, watched, process), LONG)
            time.sleep(0.5)
            process.kill()
            process.wait(LONG)
        places = load.write(10)
        last = watched.start()
        assert wait_until(partial(watched.has_done, places), LONG)
        watched.end(last)
        assert not watched.check_finished().letters


def test_the_kills_of_a_deploy_make_no_letter(kafka: RealKafka, tmp_path: Path) -> None:
    """Wherever they hit it: while it starts, joins, handles one event at a time, or is quick again."""
    chance = random.Random(7)
    with Watched(kafka, tmp_path, settings=KIP_848) as watched:
        load = Load(watched.brokers, watched.topic)
        with load.flowing(200):
            for kill in range(10):
                process = watched.start(FORMS[kill % 3], pace=0.002)
                time.sleep(chance.uniform(0, 4))
                process.kill()
                process.wait(LONG)
        last = watched.start()
        assert wait_until(partial(watched.has_done, set(load.places.values())), 2 * LONG)
        watched.end(last)
        assert not watched.check_finished().letters


@pytest.mark.parametrize(
    ("death", "form", "member"),
    [
        ("abort", "sync", STATIC),
        ("exit", "async", KIP_848),
        ("segfault", "sync", SHORT),
        ("kill", "batch", SHORT),
    ],
    ids=["static", "kip848", "classic", "batch"],
)
def test_two_deadly_events_in_a_backlog_become_letters_and_no_other_does(
    kafka: RealKafka, tmp_path: Path, death: str, form: str, member: dict[str, Any]
) -> None:
    """In a group that has never committed anything; each partition has one of them."""
    with Watched(kafka, tmp_path, partitions=2, settings=member) as watched:
        load = Load(watched.brokers, watched.topic)
        load.write(600)
        deadly = [
            next(number for number in range(250, 600) if load.places[number][0] == partition)
            for partition in (0, 1)
        ]
        fatal = {load.places[number] for number in deadly}
        innocent = set(load.places.values()) - fatal

        def is_over() -> bool:
            return watched.has_done(innocent) and not watched.lag()

        codes = watched.restarted(
            lambda: watched.start(form, deadly=deadly, death=death, pace=0.0005), is_over
        )
        assert set(codes) == {
            {"abort": -signal.SIGABRT, "exit": 3, "segfault": -signal.SIGSEGV, "kill": -signal.SIGKILL}[death]
        }
        kept = watched.check_finished()
        assert set(kept.letters) == fatal
        assert {letter.error_code for letter in kept.letters.values()} == {"KAFKA_HANDLER_CRASHED"}
        # Two die among others; of each of these two more alone, and sometimes one before it is alone.
        assert len(codes) <= 2 + 2 * 2 + 1, codes
