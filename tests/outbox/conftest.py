"""What the tests of the outbox share: SQLite and a real Postgres, and a broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.outbox import Desk, desk, sqlite_dsn
from support.postgres import postgres
from tidings.testing import EmbeddedBroker


@pytest.fixture(autouse=True)
def _no_kafka_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def postgres_dsn() -> Iterator[str]:
    with postgres() as server:
        yield server.dsn


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of either kind."""
    return sqlite_dsn(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_dsn")


@pytest.fixture
def app(dsn: str) -> Iterator[Desk]:
    """An application with an outbox."""
    with desk(dsn) as app:
        yield app


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker
