"""The outbox in Django, on SQLite; on Postgres: tests/cluster/test_outbox_real.py."""

from __future__ import annotations

from pathlib import Path

from support.books import LONG
from support.outbox import sqlite_dsn
from support.outbox_django import relay_a_service, shop
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


def test_a_service_adds_and_the_command_relays(tmp_path: Path, broker: EmbeddedBroker) -> None:
    topic = unique_topic()
    broker.create_topic(topic, 2)
    relay_a_service(sqlite_dsn(tmp_path), broker.bootstrap_servers, topic)


def test_settings_that_are_wrong_are_said_by_the_command(tmp_path: Path) -> None:
    process = shop(sqlite_dsn(tmp_path), "localhost:1", "orders", "relay_events", "--batch=0")
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert "batch: must be from 1" in err
    assert "Traceback" not in err
