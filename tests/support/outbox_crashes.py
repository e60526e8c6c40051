"""Killing what works on an outbox, and judging what is in Kafka afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack

import msgspec

from support.books import LONG
from support.events import registry
from support.outbox import Desk, Seen, first_publications, in_order, seen_in
from support.processes import wait_until
from support.scripts import TESTS, run_script
from tidings import Publisher
from tidings.outbox import Relay

PROGRAMS = TESTS / "outbox" / "programs"


KEYS = 5


class Promised(msgspec.Struct):
    """What one process had promised when it died."""

    step: str
    committed: list[str]
    never: list[str]


def crash_everywhere(dsn: str, brokers: str, topic: str) -> dict[str, Counter[str]]:
    """Die at every step, have relays clear up, and hold Kafka to what was promised.

    How often the committed events of each step were published.
    """
    lines = run_script(str(PROGRAMS / "crashes.py"), dsn, brokers, topic).splitlines()
    promised = [msgspec.json.decode(line, type=Promised) for line in lines]
    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(brokers=brokers, registry=registry, durability="memory"))
        desks = [Desk(dsn, each.step) for each in promised]
        for desk in desks:
            stack.callback(desk.close)
            stack.enter_context(Relay(desk.engine, publisher, table=desk.table, poll=0.05))
        assert wait_until(lambda: all(desk.is_empty() for desk in desks), LONG)
    seen = seen_in(brokers, topic, 1)
    copies = Counter(it.event_id for it in seen)
    for each in promised:
        assert copies.keys() >= set(each.committed), each.step
        assert not copies.keys() & set(each.never), each.step
    for key, totals in first_publications(seen).items():
        assert in_order(totals), (key, totals)
    return {each.step: Counter({it: copies[it] for it in each.committed}) for each in promised}


class RelayProcess:
    """A relay in a process of its own."""

    def __init__(self, dsn: str, table: str, brokers: str) -> None:
        arguments = json.dumps({"dsn": dsn, "table": table, "brokers": brokers})
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "relay.py"), arguments],
            env={"PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def load_under_kills(
    app: Desk, dsn: str, brokers: str, topic: str, *, writers: int, each: int, relays: int, kills: int
) -> list[Seen]:
    """Writers commit events of the same few keys, while relays are killed and started.

    What is in Kafka at the end: every event at least once, and the first copies in the order of the commits.
    """
    ids: list[list[str]] = [[] for _ in range(writers)]

    def write(number: int) -> None:
        for turn in range(each):
            ids[number].append(app.add_next(f"key-{turn % KEYS}", topic=topic))

    app.start_counting(f"key-{number}" for number in range(KEYS))
    running = [RelayProcess(dsn, app.table, brokers) for _ in range(relays)]
    whole = writers * each
    try:
        for relay in running:
            relay.wait_ready()
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for number in range(1, kills + 1):
            part = whole * number // (kills + 2)
            assert wait_until(lambda part=part: sum(map(len, ids)) >= part, LONG)  # type: ignore[misc]
            running.pop(0).kill()
            running.append(RelayProcess(dsn, app.table, brokers))
        for thread in threads:
            thread.join(2 * LONG)
        assert sum(map(len, ids)) == whole
        assert wait_until(app.is_empty, 2 * LONG)
    finally:
        for relay in running:
            relay.kill()
    seen = seen_in(brokers, topic, whole)
    assert {it.event_id for it in seen} == {it for some in ids for it in some}
    firsts = first_publications(seen)
    assert firsts == {key: list(range(1, len(totals) + 1)) for key, totals in firsts.items()}
    return seen
