"""Consumers of both protocols while nodes of three are killed, restarted, or all away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.processes import wait_until
from support.watched import Load, Watched
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic
from tidings.testing.faults import nodes
from tidings.testing.kafkaadmin import admin_client

pytestmark = pytest.mark.timeout(400)

Fault = Callable[[RealKafka, list[Watched]], AbstractContextManager[None]]
PROTOCOLS: list[tuple[str, dict[str, Any]]] = [
    ("sync", {"session_timeout": "10s"}),
    ("async", {"group_protocol": "consumer"}),
]


@contextmanager
def the_leader_is_killed(cluster: RealKafka, groups: list[Watched]) -> Iterator[None]:
    with nodes.killed(cluster, nodes.leader_of(cluster, groups[0].topic)):
        yield


@contextmanager
def the_coordinators_are_killed(cluster: RealKafka, groups: list[Watched]) -> Iterator[None]:
    """One after another: two of three away at a time would be another fault."""
    admin = admin_client(cluster.bootstrap_servers)
    for watched in groups:
        described = admin.describe_consumer_groups([watched.group])[watched.group].result(LONG)
        with nodes.killed(cluster, described.coordinator.id):
            time.sleep(5)
    yield


@contextmanager
def all_are_away(cluster: RealKafka, groups: list[Watched]) -> Iterator[None]:
    with nodes.killed(cluster, 1, 2, 3):
        time.sleep(20)
        yield


@pytest.mark.parametrize("fault", [the_leader_is_killed, the_coordinators_are_killed, all_are_away])
def test_nothing_is_lost_and_it_goes_on(cluster: RealKafka, tmp_path: Path, fault: Fault) -> None:
    topic = unique_topic()
    cluster.create_topic(topic, 4)
    load = Load(cluster.bootstrap_servers, topic)
    with ExitStack() as stack:
        groups = [
            stack.enter_context(
                Watched(cluster, tmp_path, topic=topic, results=form == "sync", settings=protocol)
            )
            for form, protocol in PROTOCOLS
        ]
        with load.flowing(150):
            members = [
                (watched, watched.start(form))
                for watched, (form, _) in zip(groups, PROTOCOLS, strict=True)
                for _ in (1, 2)
            ]
            for watched in groups:
                assert wait_until(partial(has_done_many, watched, 500), 2 * LONG), watched.log_tail()
            with fault(cluster, groups):
                time.sleep(5)
            before = [len(watched.ledger.done_places()) for watched in groups]
            for watched, done in zip(groups, before, strict=True):
                assert wait_until(partial(has_done_many, watched, done + 300), 2 * LONG), watched.log_tail()
        assert all(process.poll() is None for _, process in members), "nobody gave up"
        everything = set(load.places.values())
        for watched in groups:
            assert wait_until(partial(watched.has_done, everything), 2 * LONG), watched.log_tail()
        for watched, process in members:
            watched.end(process)
        for watched in groups:
            kept = watched.check_finished()
            assert kept.places == everything
            assert not kept.letters


def has_done_many(watched: Watched, count: int) -> bool:
    return len(watched.ledger.done_places()) >= count
