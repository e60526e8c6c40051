"""The outbox in a Django service, which runs in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, inspect

from support.books import LONG
from support.outbox import first_publications, seen_in
from support.processes import wait_until
from support.scripts import TESTS
from tidings.outbox import Outbox, outbox_table

SHOP = TESTS / "outbox" / "programs" / "shop.py"


def shop(dsn: str, brokers: str, topic: str, *arguments: str) -> subprocess.Popen[str]:
    """Start the service's ``manage.py`` with these arguments."""
    env = {"PYTHONPATH": str(TESTS), "DATABASE": dsn, "BROKERS": brokers, "TOPIC": topic}
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(SHOP), *arguments],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def relay_a_service(dsn: str, brokers: str, topic: str, *options: str) -> None:
    """Have it add events, relay them by ``manage.py relay``, and look at both ends."""
    refusal, ids = said(shop(dsn, brokers, topic, "orders")).split("\n")[:2]
    assert refusal == "InvalidEvent"
    relay = shop(dsn, brokers, topic, "relay", "--poll=0.01", *options)
    engine = create_engine(dsn)
    rows = Outbox(enabled=False).table.select()
    try:
        with engine.connect() as connection:
            assert wait_until(lambda: connection.execute(rows).first() is None, LONG)
        relay.send_signal(signal.SIGTERM)
        assert said(relay) == "5 delivered, 0 dead-lettered, 0 put back, 0 still under way\n"
        seen = seen_in(brokers, topic, 5)
        assert {it.event_id for it in seen} == set(json.loads(ids))
        assert first_publications(seen) == {"k": [1, 2, 3, 4], "other": [1]}
        assert shapes(engine) == expected(engine)
    finally:
        engine.dispose()


def said(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    return out


def shapes(engine: Engine) -> dict[str, Any]:
    """The columns, and the indexes by what they are over."""
    found = inspect(engine)
    return {
        "columns": {column["name"]: column["nullable"] for column in found.get_columns("tidings_outbox")},
        "indexes": {index["name"]: index["column_names"] for index in found.get_indexes("tidings_outbox")},
    }


def expected(engine: Engine) -> dict[str, Any]:
    """What SQLAlchemy makes of the same table, in its place."""
    outbox_table(MetaData()).drop(engine)
    outbox_table(metadata := MetaData())
    metadata.create_all(engine)
    return shapes(engine)
