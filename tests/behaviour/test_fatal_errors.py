"""Errors that end librdkafka's idempotent producer, by the embedded broker: a new client goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.books import settle
from tidings import Publisher
from tidings.testing import EmbeddedBroker


@pytest.mark.parametrize("mode", ["memory", "write-ahead"])
@pytest.mark.parametrize(
    ("code", "is_fatal"),
    [
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", True),
        ("UNKNOWN_PRODUCER_ID", False),  # librdkafka bumps the epoch by itself
        ("INVALID_PRODUCER_EPOCH", False),
        ("CLUSTER_AUTHORIZATION_FAILED", False),
    ],
)
def test_what_fails_the_client_fails_no_event(tmp_path: Path, mode: str, code: str, is_fatal: bool) -> None:
    where: dict[str, Any] = {} if mode == "memory" else {"store_dir": tmp_path}
    with (
        EmbeddedBroker(topics={"t": 1}) as kafka,
        Publisher(
            brokers=kafka.bootstrap_servers, service="fatal", durability=mode, retry_backoff_max="1s", **where
        ) as publisher,
    ):
        for number in range(20):
            publisher.produce("t", b"%d" % number, "k")
        settle(publisher)
        kafka.fail("Produce", code)
        for number in range(200):
            publisher.produce("t", b"%d" % number, "k")
        stats = settle(publisher)
        assert (stats.delivered, stats.lost, stats.dead_lettered, stats.failed) == (220, 0, 0, False)
        assert bool(publisher._engine.rebuilds) == is_fatal
