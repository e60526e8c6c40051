"""The outbox on real Kafka: kills at every step, relays killed under load, Kafka and Postgres away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from support.books import LONG
from support.outbox import Desk, desk, first_publications, seen_in, sqlite_dsn
from support.outbox_crashes import KEYS, crash_everywhere, load_under_kills
from support.outbox_django import relay_a_service
from support.postgres import Postgres, postgres
from support.processes import wait_until
from support.scripts import PATIENCE
from tidings.outbox import Relay
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic

_EVENTS = 3000
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_kafka_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    with RealKafka() as kafka:
        yield kafka


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_dsn(tmp_path)
    found: Postgres = request.getfixturevalue("server")
    return found.dsn


@pytest.fixture
def topic(kafka: RealKafka) -> str:
    name = unique_topic()
    kafka.create_topic(name, 4)
    return name


def test_every_step_may_be_the_last(dsn: str, kafka: RealKafka, topic: str) -> None:
    copies = crash_everywhere(dsn, kafka.bootstrap_servers, topic)
    assert {step: max(each.values(), default=0) for step, each in copies.items()} == {
        "before_commit": 0,
        "after_commit": 1,
        "taken": 1,
        "middle": 2,
        "published": 2,
        "finishing": 2,
        "finished": 1,
    }


def test_relays_that_are_killed_under_load(dsn: str, kafka: RealKafka, topic: str) -> None:
    with desk(dsn) as app:
        load_under_kills(app, dsn, kafka.bootstrap_servers, topic, writers=4, each=500, relays=3, kills=5)


@contextmanager
def writing(app: Desk, topic: str, ids: list[str]) -> Iterator[threading.Thread]:
    """A thread that commits events of a few keys until there are enough, and tries again where it cannot."""
    over = threading.Event()

    def write() -> None:
        while len(ids) < _EVENTS and not over.is_set():
            try:
                ids.append(app.add_next(f"key-{len(ids) % KEYS}", topic=topic))
            except SQLAlchemyError:  # the database is away
                over.wait(0.05)

    app.start_counting(f"key-{number}" for number in range(KEYS))
    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join(LONG)


def test_kafka_is_killed_and_comes_back(
    dsn: str, kafka: RealKafka, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    with desk(dsn) as app:
        ids: list[str] = []
        brokers = kafka.bootstrap_servers
        with (
            Relay(dsn, table=app.table, brokers=brokers, batch=100, lease=2.0, poll=0.05) as relay,
            writing(app, topic, ids) as writer,
        ):
            assert wait_until(lambda: relay.stats().delivered > _EVENTS // 10, LONG)
            kafka.kill(1)
            try:
                assert wait_until(lambda: relay.stats().in_flight > 0 and len(ids) > _EVENTS // 2, LONG)
                assert wait_until(lambda: not relay.health(1).ok, LONG)
                assert relay.health(1).ready
            finally:
                kafka.start_node(1)
            writer.join(LONG)
            assert wait_until(app.is_empty, LONG)
            assert wait_until(lambda: relay.stats().delivered == _EVENTS, LONG)
            assert relay.stats().failed == 0
        firsts = first_publications(seen_in(brokers, topic, _EVENTS))
        assert firsts == {key: list(range(1, len(totals) + 1)) for key, totals in firsts.items()}
        assert sum(map(len, firsts.values())) == _EVENTS
        assert [record for record in caplog.records if record.levelno >= logging.CRITICAL] == []


def test_postgres_crashes_and_comes_back(server: Postgres, kafka: RealKafka, topic: str) -> None:
    """Committed means published, whatever is under way; the relay works on by itself."""
    with desk(server.dsn) as app:
        ids: list[str] = []
        brokers = kafka.bootstrap_servers
        with (
            Relay(server.dsn, table=app.table, brokers=brokers, batch=100, lease=2.0, poll=0.05) as relay,
            writing(app, topic, ids) as writer,
        ):
            for part in (1, 2, 3):
                assert wait_until(lambda part=part: len(ids) > _EVENTS * part // 4, LONG)  # type: ignore[misc]
                server.crash()
                server.start()
            writer.join(LONG)
            assert wait_until(lambda: app.rows.waiting()[0] == 0, LONG)
            assert relay.stats().troubles > 0
            assert wait_until(lambda: relay.health(LONG).ok, LONG)
        seen = seen_in(brokers, topic, _EVENTS)
        assert {it.event_id for it in seen} >= set(ids)  # a commit may succeed though its answer is lost
        firsts = first_publications(seen)
        assert firsts == {key: list(range(1, len(totals) + 1)) for key, totals in firsts.items()}


def test_a_django_service_on_postgres(server: Postgres, kafka: RealKafka, topic: str) -> None:
    relay_a_service(server.dsn, kafka.bootstrap_servers, topic, "--listen")


def test_the_story_of_the_example_ends_well() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.outbox_demo", "--orders=100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "yes  every committed event is in Kafka (90 of them)" in done.stdout
