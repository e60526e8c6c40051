"""The outbox in Django, on SQLite; on Postgres: tests/cluster/test_outbox_real.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.books import LONG
from support.outbox import sqlite_dsn
from support.outbox_django import relay_a_service, shop
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic


def test_a_service_adds_and_the_command_relays(tmp_path: Path, broker: EmbeddedBroker) -> None:
    topic = unique_topic()
    broker.create_topic(topic, 2)
    relay_a_service(sqlite_dsn(tmp_path), broker.bootstrap_servers, topic)


@pytest.mark.parametrize(
    ("command", "option", "words"),
    [
        ("relay", "--batch=0", "batch: must be from 1"),
        ("relay", "--using=nope", "DATABASES has no 'nope'"),
        ("relay_events", "--until-empty", "manage.py migrate"),
    ],
)
def test_what_is_wrong_is_said_by_the_command(tmp_path: Path, command: str, option: str, words: str) -> None:
    process = shop(sqlite_dsn(tmp_path), "localhost:1", "orders", command, option)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert words in err
    assert "Traceback" not in err
