"""What the tests of the outbox share: a database with a table of its own, and the events in it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, create_engine, event, select, update
from sqlalchemy.orm import Session

from support.events import OrderPlaced, registry
from support.kafka_reader import read_topic
from support.processes import wait_until
from tidings import Publisher
from tidings.outbox import Outbox
from tidings.outbox.database import EngineDatabase
from tidings.outbox.rows import Rows


class Desk:
    """An application's side: its engine, its outbox, and what stands in the table."""

    def __init__(self, dsn: str, table: str | None = None, **options: Any) -> None:
        patience = {"timeout": 60} if dsn.startswith("sqlite") else {}
        self.engine: Engine = create_engine(dsn, connect_args=patience)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _hasty)
        self.table = table or f"outbox_{uuid.uuid4().hex[:12]}"
        # A transport, so that nothing looks for brokers: the outbox itself sends nothing.
        self.publisher = Publisher(brokers="localhost:1", registry=registry, enabled=False)
        self.outbox = Outbox(self.publisher, table=self.table, **options)
        self.outbox.create(self.engine)
        self._counters = Table(
            f"{self.table}_counters",
            MetaData(),
            Column("key", String(20), primary_key=True),
            Column("n", Integer),
        )
        self.rows = Rows(EngineDatabase(self.engine), self.table)

    def add(self, key: str, *totals: int, **options: Any) -> list[str]:
        """Commit these events of a key, in one transaction; their ids."""
        with Session(self.engine) as session, session.begin():
            return [self.outbox.add(session, OrderPlaced(key, total), **options) for total in totals]

    def start_counting(self, keys: Iterable[str]) -> None:
        """Have a row for each key, which counts its events."""
        self._counters.create(self.engine)
        with self.engine.begin() as connection:
            connection.execute(self._counters.insert(), [{"key": key, "n": 0} for key in keys])

    def add_next(self, key: str, **options: Any) -> str:
        """Commit the next event of a key, as its row counts them; other writers wait for that row."""
        counters = self._counters
        count = (
            update(counters).where(counters.c.key == key).values(n=counters.c.n + 1).returning(counters.c.n)
        )
        with Session(self.engine) as session, session.begin():
            return self.outbox.add(session, OrderPlaced(key, session.execute(count).scalar_one()), **options)

    def column(self, name: str, order: str = "id") -> list[Any]:
        """What stands in a column, from the first row on."""
        table = self.outbox.table
        with self.engine.connect() as connection:
            return list(connection.execute(select(table.c[name]).order_by(table.c[order])).scalars())

    def is_empty(self) -> bool:
        """Whether no row is unsent."""
        return self.rows.waiting()[0] == 0

    def close(self) -> None:
        self.engine.dispose()


def _hasty(connection: Any, _: Any) -> None:
    """Tests need no disk to be sure: they kill processes, not machines."""
    connection.execute("PRAGMA synchronous=OFF")


@contextmanager
def desk(dsn: str, **options: Any) -> Iterator[Desk]:
    made = Desk(dsn, **options)
    try:
        yield made
    finally:
        made.close()


def sqlite_dsn(directory: Path) -> str:
    return f"sqlite:///{directory / 'outbox.db'}"


class Seen(msgspec.Struct):
    """A record of a topic, as far as order and identity go."""

    event_id: str
    key: str
    total: int


def seen_in(brokers: str, topic: str, count: int) -> list[Seen]:
    """At least ``count`` records; those of one key in their order."""
    return [
        Seen(it["event_id"], it["data"]["order_id"], it["data"]["total"])
        for it in (record.json() for record in read_topic(brokers, topic, count))
    ]


def first_publications(seen: Iterable[Seen]) -> dict[str, list[int]]:
    """The totals of each key, each where it came first."""
    ids, totals = set[str](), dict[str, list[int]]()
    for each in seen:
        if each.event_id not in ids:
            ids.add(each.event_id)
            totals.setdefault(each.key, []).append(each.total)
    return totals


def in_order(totals: Iterable[int]) -> bool:
    return all(before < after for before, after in itertools.pairwise(totals))


__all__ = ["Desk", "Seen", "desk", "first_publications", "in_order", "seen_in", "sqlite_dsn", "wait_until"]
