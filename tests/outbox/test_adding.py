"""Adding to the outbox: in the application's transaction, checked there and then."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from support.books import LONG
from support.events import OrderNoted, OrderPlaced, UserCreated, registry
from support.outbox import Desk, desk, sqlite_dsn
from support.processes import wait_until
from support.scripts import run_script
from tidings import (
    ConfigError,
    Envelope,
    EventTooLarge,
    InvalidEvent,
    InvalidTopic,
    Publisher,
    PublishError,
    correlation,
)
from tidings.outbox import Outbox, Relay, outbox_table
from tidings.testing.memory import InMemoryTransport


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]


def relayed(app: Desk, **settings: Any) -> InMemoryTransport:
    """What a relay makes of the table."""
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry, **settings) as publisher:
        Relay(app.engine, publisher, table=app.table).run(until_empty=True)
    return transport


def test_what_is_committed_is_published_as_publish_would_do_it(app: Desk) -> None:
    transport = InMemoryTransport()
    options: dict[str, Any] = {
        "headers": {"mark": b"\xff\x00", "note": "grüße", "none": None},
        "event_id": "e-1",
        "timestamp": datetime(2026, 1, 2, tzinfo=UTC),
    }
    with (
        Publisher(transport=transport, registry=registry, service="shop") as publisher,
        correlation("request-1"),
    ):
        publisher.publish(OrderPlaced("o-1", 4200), **options)
        outbox = Outbox(publisher, table=app.table)
        with Session(app.engine) as session, session.begin():
            assert outbox.add(session, OrderPlaced("o-1", 4200), **options) == "e-1"
            outbox.add(session, {"n": 1}, event_type="order.seen", topic="seen", key=b"\x80")
            outbox.add(session, Envelope(data=UserCreated({"id": 7}), source="elsewhere", causation_id="e-0"))
            outbox.add(session, OrderNoted(None, "no key"))
    (published,) = transport.records
    placed, seen, created, noted = relayed(app).records
    assert (placed.topic, placed.key, placed.value) == (published.topic, published.key, published.value)
    assert sorted(placed.headers, key=str) == sorted(published.headers, key=str)
    assert (seen.topic, seen.key, seen.json()["correlation_id"]) == ("seen", b"\x80", "request-1")
    assert (created.key, created.json()["source"], created.json()["causation_id"]) == (
        b"7",
        "elsewhere",
        "e-0",
    )
    assert (noted.key, noted.topic) == (None, "default-events")


@pytest.mark.parametrize("form", ["cloudevents", "cloudevents-binary"])
def test_envelopes_of_either_cloudevents_form_arrive_whole(tmp_path: Path, form: str) -> None:
    with desk(sqlite_dsn(tmp_path)) as app:
        transport = InMemoryTransport()
        with Publisher(transport=transport, registry=registry, envelope=form) as publisher:
            publisher.publish(OrderPlaced("o-1"), event_id="e", timestamp=1)
            with app.engine.begin() as connection:
                outbox = Outbox(publisher, table=app.table)
                outbox.add(connection, OrderPlaced("o-1"), event_id="e", timestamp=1)
        (published,), (arrived,) = transport.records, relayed(app).records
        assert arrived.value == published.value
        assert sorted(arrived.headers, key=str) == sorted(published.headers, key=str)


def test_what_is_rolled_back_never_was(app: Desk) -> None:
    with Session(app.engine) as session:
        app.outbox.add(session, OrderPlaced("gone"))
        session.rollback()
        app.outbox.add(session, OrderPlaced("kept"))
        savepoint = session.begin_nested()
        app.outbox.add(session, OrderPlaced("gone too"))
        savepoint.rollback()
        session.commit()
    with app.engine.connect() as connection:
        app.outbox.add_all(connection, [OrderPlaced("gone")] * 3)
        connection.rollback()
    assert [record.key for record in relayed(app).records] == [b"kept"]


@pytest.mark.parametrize(
    ("event", "options", "error"),
    [
        (object(), {}, InvalidEvent),
        (OrderPlaced("o", "many"), {}, InvalidEvent),  # type: ignore[arg-type]
        (OrderPlaced("o"), {"topic": "no topic"}, InvalidTopic),
        (OrderPlaced("o"), {"headers": {"event_id": "x"}}, InvalidEvent),
        (OrderPlaced("o"), {"event_id": "a\0b"}, InvalidEvent),
        (OrderPlaced("o" * 1_000_000), {}, EventTooLarge),
    ],
)
def test_what_could_not_be_published_is_refused_and_nothing_inserted(
    tmp_path: Path, event: object, options: Any, error: type[PublishError]
) -> None:
    with desk(sqlite_dsn(tmp_path)) as app:
        with Session(app.engine) as session:
            app.outbox.add(session, OrderPlaced("fine"))
            with pytest.raises(error):
                app.outbox.add(session, event, **options)
            with pytest.raises(error):
                app.outbox.add_all(session, [OrderPlaced("not me"), event], **options)
            session.commit()
        assert app.column("key") == [b"fine"]


def test_a_session_is_flushed_first(app: Desk) -> None:
    """So that the row that changed is locked before the event gets its place."""
    Base.metadata.create_all(app.engine)
    try:
        with Session(app.engine, autoflush=False) as session, session.begin():
            session.add(Order(id="o-1", total=1))
            app.outbox.add(session, OrderPlaced("o-1", 1))
            assert session.connection().execute(select(Order.total)).scalars().all() == [1]
    finally:
        Base.metadata.drop_all(app.engine)


def test_sessions_of_every_kind_will_do(app: Desk) -> None:
    scoped = scoped_session(sessionmaker(app.engine))
    app.outbox.add(scoped, OrderPlaced("scoped"))
    scoped.commit()
    scoped.remove()
    with app.engine.connect() as connection:
        app.outbox.add(connection, OrderPlaced("connection"))
        connection.commit()
    with Session(app.engine) as session:
        assert app.outbox.add_all(session, []) == []
        assert len(app.outbox.add_all(session, [OrderPlaced("a"), OrderPlaced("b")])) == 2
        session.commit()
    assert app.column("key") == [b"scoped", b"connection", b"a", b"b"]


def test_async_sessions_are_awaited(postgres_dsn: str) -> None:
    async def work(app: Desk) -> None:
        engine = create_async_engine(postgres_dsn)
        try:
            async with AsyncSession(engine) as session:
                with correlation("r-1"):
                    adding = app.outbox.add(session, OrderPlaced("kept"), event_id="e-1")
                assert await adding == "e-1"
                await session.commit()
                await app.outbox.add(session, OrderPlaced("gone"))
                await session.rollback()
                with pytest.raises(InvalidEvent):
                    app.outbox.add(session, object())
            async with engine.begin() as connection:
                assert len(await app.outbox.add_all(connection, [OrderPlaced("a"), OrderPlaced("b")])) == 2
        finally:
            await engine.dispose()

    with desk(postgres_dsn) as app:
        asyncio.run(work(app))
        assert app.column("key") == [b"kept", b"a", b"b"]
        assert '"correlation_id","r-1"' in app.column("headers")[0]


def test_locked_keys_wait_for_each_other_and_others_do_not(postgres_dsn: str) -> None:
    with desk(postgres_dsn, lock_keys=True) as app:
        with Session(app.engine) as session:
            app.outbox.add(session, OrderPlaced("k", 1))
            app.add("other", 1)  # does not wait
            thread = threading.Thread(target=app.add, args=("k", 2))
            thread.start()
            assert wait_until(lambda: waiting_locks(app) == 1)
            session.commit()
        thread.join(LONG)
        assert app.column("key") == [b"k", b"other", b"k"]


def waiting_locks(app: Desk) -> Any:
    with app.engine.connect() as connection:
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return connection.execute(waits).scalar()


def test_the_table_is_part_of_the_metadata_and_made_once(tmp_path: Path) -> None:
    metadata = MetaData()
    Table("orders", metadata, Column("id", Integer, primary_key=True), Column("name", String(10)))
    outbox = Outbox(enabled=False, metadata=metadata)
    assert outbox.table is outbox_table(metadata)
    assert set(metadata.tables) == {"orders", "tidings_outbox"}
    engine = create_engine(sqlite_dsn(tmp_path))
    metadata.create_all(engine)
    outbox.create(engine)
    indexes = {index["name"] for index in inspect(engine).get_indexes("tidings_outbox")}
    assert indexes == {"tidings_outbox_unsent", "tidings_outbox_held", "tidings_outbox_sent"}
    engine.dispose()


def test_an_outbox_needs_no_brokers_but_its_settings_hold(tmp_path: Path) -> None:
    with desk(sqlite_dsn(tmp_path)) as app:
        outbox = Outbox(table=app.table, topic="everything", service="shop", ordering="none")
        with app.engine.begin() as connection:
            outbox.add(connection, {"n": 1}, event_type="thing.done", key="k")
        assert app.column("topic") == ["everything"]
        assert app.column("lane") == [None]  # nobody asked for order
    with pytest.raises(ConfigError):
        Outbox(batch="five")
    with pytest.raises(ConfigError, match="service"):
        Outbox(app.publisher, service="other")


def test_topic_mappings_of_the_publisher_hold_also_later_ones(tmp_path: Path) -> None:
    with desk(sqlite_dsn(tmp_path)) as app:
        app.add("k", 1)
        app.publisher.set_topic_mapping("order.*", "moved")
        app.add("k", 2)
        assert app.column("topic") == ["orders", "moved"]


def test_the_room_costs_nothing_until_it_is_used() -> None:
    said = run_script(
        "-c",
        "import sys, tidings.outbox\n"
        "print([it for it in ('sqlalchemy', 'django', 'psycopg', 'confluent_kafka') if it in sys.modules])\n"
        "from tidings.outbox import Outbox\nprint('sqlalchemy' in sys.modules)",
    )
    assert said.split("\n")[:2] == ["[]", "False"]


def test_an_option_that_there_is_not_is_no_option(app: Desk) -> None:
    """A key that is lost to a slip of the pen would be an order that is lost."""
    options: dict[str, Any] = {"kee": "k1"}
    with Session(app.engine) as session:
        with pytest.raises(TypeError, match="kee"):
            app.outbox.add(session, OrderPlaced("k", 1), **options)
        with pytest.raises(TypeError, match="kee"):
            app.outbox.add_all(session, [OrderPlaced("k", 1)], **options)
        session.commit()
    assert app.is_empty()
