"""The outbox in Django: a service in processes of its own, on SQLite and on Postgres."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, inspect

from support.books import LONG
from support.outbox import first_publications, seen_in
from support.processes import wait_until
from support.scripts import TESTS
from tidings.outbox import Outbox, outbox_table
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic

SHOP = Path(__file__).parent / "programs" / "shop.py"
Shop = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name, 2)
    return name


@pytest.fixture
def shop(dsn: str, broker: EmbeddedBroker, topic: str) -> Shop:
    """Starts ``manage.py`` with these arguments."""
    env = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "DATABASE": dsn,
        "BROKERS": broker.bootstrap_servers,
        "TOPIC": topic,
    }

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(SHOP), *arguments],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    return out


def test_a_service_adds_and_the_command_relays(
    shop: Shop, dsn: str, broker: EmbeddedBroker, topic: str
) -> None:
    refusal, ids = said(shop("orders")).split("\n")[:2]
    assert refusal == "InvalidEvent"
    relay = shop("relay_events", "--poll=0.01", *([] if dsn.startswith("sqlite") else ["--listen"]))
    engine = create_engine(dsn)
    outbox = Outbox(enabled=False)
    with engine.connect() as connection:
        assert wait_until(lambda: connection.execute(outbox.table.select()).first() is None, LONG)
    relay.send_signal(signal.SIGTERM)
    assert said(relay) == "5 delivered, 0 dead-lettered, 0 left over\n"
    seen = seen_in(broker.bootstrap_servers, topic, 5)
    assert {it.event_id for it in seen} == set(json.loads(ids))
    assert first_publications(seen) == {"k": [1, 2, 3, 4], "other": [1]}
    assert shapes(engine) == expected(engine)
    engine.dispose()


def shapes(engine: Any) -> dict[str, Any]:
    """The columns, and the indexes by what they are over."""
    found = inspect(engine)
    return {
        "columns": {column["name"]: column["nullable"] for column in found.get_columns("tidings_outbox")},
        "indexes": {index["name"]: index["column_names"] for index in found.get_indexes("tidings_outbox")},
    }


def expected(engine: Any) -> dict[str, Any]:
    """What SQLAlchemy makes of the same table, in its place."""
    outbox_table(MetaData()).drop(engine)
    outbox_table(metadata := MetaData())
    metadata.create_all(engine)
    return shapes(engine)


@pytest.mark.parametrize("dsn", ["sqlite"], indirect=True)
def test_settings_that_are_wrong_are_said_by_the_command(shop: Shop) -> None:
    process = shop("relay_events", "--batch=0")
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert "batch: must be from 1" in err
    assert "Traceback" not in err
