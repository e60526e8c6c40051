"""The Relay: rows leave the table when their events are where they should be, and not before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from support.books import LONG, doom, ids_of
from support.events import OrderPlaced, registry
from support.outbox import Desk, desk, seen_in, sqlite_dsn
from support.processes import wait_until
from tidings import ConfigError, DeadLetter, HealthStatus, Publisher, PublisherClosed, Settings
from tidings.outbox import Outbox, Relay
from tidings.outbox.database import EngineDatabase
from tidings.outbox.flight import Flight, Judged
from tidings.outbox.rows import Row, Rows
from tidings.states import State
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic
from tidings.testing.memory import InMemoryTransport


@pytest.fixture
def transport() -> InMemoryTransport:
    return InMemoryTransport()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Desk]:
    """An application on SQLite, where the database makes no difference."""
    with desk(sqlite_dsn(tmp_path)) as app:
        yield app


@contextmanager
def publishing(transport: InMemoryTransport, **settings: Any) -> Iterator[Publisher]:
    quick = {"retry_max": 1, "retry_backoff": 0.001, "max_block": 0.01, **settings}
    with Publisher(transport=transport, registry=registry, **quick) as publisher:
        yield publisher


@contextmanager
def relaying(app: Desk, transport: InMemoryTransport, **options: Any) -> Iterator[Relay]:
    """A relay at work, and its publisher."""
    settings = {name: options.pop(name) for name in list(options) if name in Settings.model_fields}
    with (
        publishing(transport, **settings) as publisher,
        Relay(
            options.pop("database", app.engine), publisher, table=app.table, **{"poll": 0.01, **options}
        ) as relay,
    ):
        yield relay


def totals(transport: InMemoryTransport, key: str) -> list[int]:
    found = [
        record.json()["data"]["total"] for record in list(transport.records) if record.key == key.encode()
    ]
    return list(dict.fromkeys(found))


def test_rows_wait_while_kafka_is_away_and_go_when_it_is_back(
    app: Desk, transport: InMemoryTransport
) -> None:
    transport.down()
    ids = app.add("k", *range(5)) + app.add("other", 1)
    with relaying(app, transport) as relay:
        assert wait_until(lambda: relay.stats().in_flight == 6)
        ids += app.add("k", *range(5, 10))
        assert len(app.column("id")) == 11
        transport.up()
        assert wait_until(app.is_empty)
        assert wait_until(lambda: relay.stats().delivered == 11)
    assert totals(transport, "k") == list(range(10))
    assert ids_of(transport) == dict.fromkeys(ids, 1)
    assert app.column("id") == []
    report = relay.close()
    assert (report.taken, report.delivered, report.left, report.troubles) == (11, 11, 0, 0)


def test_an_event_that_kafka_refuses_becomes_a_letter(lite: Desk, transport: InMemoryTransport) -> None:
    transport.fail_always(
        lambda record: record.topic == "orders" and record.json()["data"]["total"] == 2, "INVALID_RECORD"
    )
    ids = lite.add("k", 1, 2, 3)
    with relaying(lite, transport) as relay:
        assert wait_until(lite.is_empty)
        assert wait_until(lambda: relay.stats().dead_lettered == 1)
    letter = DeadLetter.decode(next(it.value for it in transport.records if it.topic == "dead-letters"))
    assert (letter.event_id, letter.error_code, letter.topic) == (ids[1], "INVALID_RECORD", "orders")
    assert relay.stats().delivered == 2


def test_a_row_that_cannot_be_read_becomes_a_letter(app: Desk, transport: InMemoryTransport) -> None:
    (event_id,) = app.add("k", 1)
    change(app, "headers = '[7]'")
    with relaying(app, transport) as relay:
        assert wait_until(lambda: relay.stats().dead_lettered == 1)
    (record,) = transport.records
    letter = DeadLetter.decode(record.value)
    assert (letter.event_id, letter.error_code, letter.certainty) == (
        event_id,
        "KAFKA_INVALID_EVENT",
        "not_delivered",
    )
    assert letter.key == record.key == b"k"
    assert letter.value is not None
    assert b'"total":1' in letter.value
    assert app.column("id") == []


@pytest.mark.parametrize("on_reject", ["raise", "log"])
def test_what_is_not_even_a_letter_waits_for_a_person_and_its_key_behind_it(
    lite: Desk, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch, on_reject: str
) -> None:
    monkeypatch.setattr("tidings.outbox.working._FIRST_RETRY", 0.01)
    lite.add("k", 1, 2)
    change(lite, "topic = 'no topic' WHERE id = (SELECT min(id) FROM {table})")
    with relaying(lite, transport, on_reject=on_reject) as relay:
        lite.add("other", 1)
        assert wait_until(lambda: relay.stats().failed > 1)
        assert wait_until(lambda: relay.stats().delivered == 1)
        assert lite.column("key") == [b"k", b"k"]
        assert "is not a topic name" in lite.column("error")[0]
        assert totals(transport, "k") == []
        change(lite, "topic = 'orders'")
        assert wait_until(lite.is_empty)
    assert totals(transport, "k") == [1, 2]


def test_what_the_publisher_gives_up_is_tried_again(
    app: Desk, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory mode it is lost to the publisher; its row is still there."""
    monkeypatch.setattr("tidings.outbox.working._FIRST_RETRY", 0.01)
    ids = app.add("k", 1) + app.add("other", 1)
    doom(transport)
    with relaying(app, transport) as relay:
        assert wait_until(lambda: relay.stats().failed > 0)
        assert wait_until(lambda: app.column("error")[0] == "_MSG_TIMED_OUT")
        transport.clear_faults()
        assert wait_until(app.is_empty)
    assert ids_of(transport) == dict.fromkeys(ids, 1)


def test_a_full_publisher_makes_the_relay_wait(lite: Desk) -> None:
    transport = InMemoryTransport(queue_messages=10)
    transport.down()
    ids = lite.add("k", *range(50))
    with relaying(lite, transport) as relay:
        assert wait_until(lambda: relay.stats().released > 0)
        transport.up()
        assert wait_until(lite.is_empty)
    assert totals(transport, "k") == list(range(50))
    assert ids_of(transport) == dict.fromkeys(ids, 1)


def test_a_topic_that_takes_nothing_does_not_stop_the_others(
    lite: Desk, transport: InMemoryTransport
) -> None:
    transport.fail_always(lambda record: record.topic == "shut", "TOPIC_AUTHORIZATION_FAILED")
    for number in range(60):
        lite.add(f"shut-{number}", 1, topic="shut")
    lite.add("open", *range(30))
    with relaying(lite, transport, batch=20, retry_max=1000) as relay:
        assert wait_until(lambda: relay.stats().delivered == 30)
        assert relay.stats().in_flight <= 20
        transport.clear_faults()
        assert wait_until(lite.is_empty, LONG)
    assert totals(transport, "open") == list(range(30))


def test_a_topic_that_is_full_is_left_out_and_what_is_not_tried_is_no_attempt(
    app: Desk, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.outbox.working._NO_ROOM_PAUSE", 3600.0)
    transport.fail_always(lambda record: record.topic == "full", "TOPIC_AUTHORIZATION_FAILED")
    tried = spied(monkeypatch, lambda topic: topic)
    for number in range(3):
        app.add(f"f-{number}", 1, topic="full")
    app.add("open", 1, 2)
    with relaying(app, transport, bulkhead={"full": 1}, retry_max=1000) as relay:
        assert wait_until(lambda: relay.stats().delivered == 2)
        app.add("late", 1, topic="full")
        app.add("open", 3)
        assert wait_until(lambda: relay.stats().delivered == 3)
        assert tried == ["full", "full", "orders", "orders", "orders"]
        assert app.column("attempts") == [1, 0, 0, 0]
        assert relay.stats().released == 2
        transport.clear_faults()
        assert wait_until(lambda: relay.stats().delivered == 4)


def test_a_publisher_without_room_lets_no_attempt_count(lite: Desk) -> None:
    transport = InMemoryTransport(queue_messages=1)
    transport.down()
    lite.add("k", 1, 2, 3)
    with relaying(lite, transport) as relay:
        assert wait_until(lambda: relay.stats().released > 0)
        assert wait_until(lambda: lite.column("attempts") == [1, 0, 0])
        transport.up()
        assert wait_until(lite.is_empty)


def test_until_empty_waits_for_a_topic_that_is_full(lite: Desk, transport: InMemoryTransport) -> None:
    transport.down()
    for number in range(3):
        lite.add(f"k-{number}", 1)
    with publishing(transport, bulkhead={"*": 1}) as publisher:
        publisher.publish(OrderPlaced("o"))
        relay = Relay(lite.engine, publisher, table=lite.table, poll=0.01)

        def make_room() -> None:
            wait_until(lambda: relay.stats().released > 0)
            transport.up()

        helper = Thread(target=make_room)
        helper.start()
        assert relay.run(until_empty=True).delivered == 3
        helper.join(LONG)


def test_with_a_store_rows_stay_until_what_is_stored_is_in_kafka(
    lite: Desk, transport: InMemoryTransport, tmp_path: Path
) -> None:
    transport.down()
    lite.add("k", 1, 2)
    store: dict[str, Any] = {"durability": "spill", "store_after": 0.1, "store_dir": tmp_path / "store"}
    with publishing(transport, **store) as publisher:
        other = publisher.publish(OrderPlaced("o"))
        with Relay(lite.engine, publisher, table=lite.table, poll=0.01) as relay:
            other.wait_safe(LONG)
            assert wait_until(lambda: relay.stats().in_flight == 2)
            assert wait_until(lambda: {it.delivery.done() for it in relay._flight._held.values()} == {True})
            lite.add("k", 3)
            lite.add("other", 1)
            assert wait_until(lambda: relay.stats().taken == 3)
            assert lite.column("key") == [b"k", b"k", b"k", b"other"]
            transport.up()
            assert wait_until(lite.is_empty)
            assert wait_until(lambda: relay.stats().delivered == 4)
    assert totals(transport, "k") == [1, 2, 3]


def test_sent_rows_can_be_kept_for_a_while(app: Desk, transport: InMemoryTransport) -> None:
    app.add("k", 1, 2, 3)
    with relaying(app, transport, keep_sent=3600.0) as relay:
        assert wait_until(lambda: relay.stats().delivered == 3)
        assert len(app.column("id")) == 3
        assert app.column("holder") == app.column("error") == [None] * 3
    change(app, "sent_at = sent_at - 3601000 WHERE id = (SELECT min(id) FROM {table})")
    with relaying(app, transport, keep_sent=3600.0) as relay:
        assert wait_until(lambda: relay.stats().purged == 1)
    assert len(app.column("id")) == 2
    assert len(transport.records) == 3


def test_a_lease_is_renewed_as_long_as_its_rows_are_under_way(
    app: Desk, transport: InMemoryTransport
) -> None:
    transport.down()
    app.add("k", 1)
    with relaying(app, transport, lease=1.0) as first:
        assert wait_until(lambda: first.stats().in_flight == 1)
        with relaying(app, InMemoryTransport()) as second:
            (until,) = app.column("held_until")
            assert wait_until(lambda: app.column("held_until")[0] > until + 1500)  # it would have run out
            assert second.stats().taken == 0
        transport.up()
        assert wait_until(app.is_empty)


def test_leases_are_renewed_while_a_batch_is_handed_over(
    app: Desk, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher may make the relay wait at each row."""
    monkeypatch.setattr("tidings.outbox.working._RENEWALS", 1e9)  # at every row
    held: list[int] = []

    def look(_: str) -> None:
        held.append(app.column("held_until")[-1])
        before = time.time()
        assert wait_until(lambda: time.time() > before + 0.01)

    spied(monkeypatch, look)
    transport.down()
    for number in range(4):
        app.add(f"k-{number}", number)
    with relaying(app, transport) as relay:
        assert wait_until(lambda: relay.stats().in_flight == 4)
        assert held == sorted(set(held))
        transport.up()
        assert wait_until(app.is_empty)


def test_rows_of_a_batch_whose_lease_was_lost_are_not_published(
    app: Desk, transport: InMemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.outbox.working._RENEWALS", 1e9)  # at every row

    def rob(_: str) -> None:
        change(app, "holder = 'another' WHERE id = (SELECT max(id) FROM {table})")

    tried = spied(monkeypatch, rob)
    for number in range(3):
        app.add(f"k-{number}", number)
    with relaying(app, transport) as relay:
        assert wait_until(lambda: relay.stats().delivered == 2)
        assert app.column("holder") == ["another"]
        assert relay.stats().leases_lost == 1
        assert len(tried) == 2


def test_what_the_store_of_the_publisher_lost_is_put_back() -> None:
    stored, lost = True, 3
    flight = Flight(lambda: stored, lambda: lost)
    delivery: Any = SimpleNamespace(state=State.STORED, partition=-1, ended=True, error=None)
    replayed: Any = SimpleNamespace(state=State.STORED, partition=0, ended=True, error=None)
    for number, each in enumerate((delivery, replayed)):
        flight.add(Row(number, "e", "t", None, b"", "[]", None, 0, 0), each)
    lost = 4
    assert flight.judge() == Judged(delivered=[1])
    stored = False
    assert flight.judge() == Judged(delivered=[1], failed=[0])
    flight.remove(0)
    flight.add(Row(2, "e", "t", None, b"", "[]", None, 0, 0), delivery)  # that loss was another's
    assert flight.judge() == Judged(delivered=[1, 2])


def test_who_held_a_row_too_long_has_no_say_in_it_any_more(app: Desk) -> None:
    app.add("k", 1, 2)
    rows = app.rows
    late = rows.take(rows.candidates(10), "late", 0.0)
    taken = rows.take(rows.candidates(1), "next", 60.0)
    first, second = (row.id for row in late)
    assert [row.id for row in taken] == [first]
    assert rows.finish([first, second], "late", keep=False) == 1  # the second is still its own
    assert rows.put_back([first], "late", 0.0, "no") == 0
    assert rows.renew([first], "late", 60.0) == 0
    assert rows.candidates(10) == []
    assert rows.finish([first], "next", keep=False) == 1
    assert app.is_empty()


def test_a_smaller_id_may_be_committed_later_and_both_are_published(
    postgres_dsn: str, transport: InMemoryTransport
) -> None:
    with desk(postgres_dsn) as app, relaying(app, transport) as relay:
        with Session(app.engine) as session:
            slow = app.outbox.add(session, OrderPlaced("k", 1))
            (quick,) = app.add("k", 2)
            assert wait_until(lambda: relay.stats().delivered == 1)
            session.commit()
        assert wait_until(lambda: relay.stats().delivered == 2)
        assert list(ids_of(transport)) == [quick, slow]


def test_a_commit_wakes_who_listens(postgres_dsn: str, transport: InMemoryTransport) -> None:
    with (
        desk(postgres_dsn, notify=True) as app,
        relaying(app, transport, listen=True, poll=3600.0) as relay,
    ):
        for number in range(3):
            app.add("k", number)
            assert wait_until(lambda number=number: relay.stats().delivered == number + 1)  # type: ignore[misc]
        report = relay.close(LONG)
        assert report.left == 0


def test_a_relay_that_cannot_listen_looks(postgres_dsn: str, transport: InMemoryTransport) -> None:
    others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with (
        desk(postgres_dsn, notify=True) as app,
        relaying(app, transport, database=postgres_dsn, listen=True, poll=3600.0) as relay,
    ):
        for number in range(1, 4):
            app.add("k", number)
            assert wait_until(lambda number=number: relay.stats().delivered == number)  # type: ignore[misc]
            with app.engine.begin() as connection:
                connection.execute(others)


def test_a_broken_connection_is_replaced(postgres_dsn: str, transport: InMemoryTransport) -> None:
    others = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    with desk(postgres_dsn) as app:
        with relaying(app, transport, database=postgres_dsn) as relay:
            for number in range(1, 4):
                app.add("k", number)
                assert wait_until(lambda number=number: relay.stats().delivered == number)  # type: ignore[misc]
                with app.engine.begin() as connection:
                    connection.execute(others)
            app.add("k", 4)
            assert wait_until(lambda: relay.stats().delivered == 4)
        assert totals(transport, "k") == [1, 2, 3, 4]


def test_a_table_that_goes_away_is_waited_for(app: Desk, transport: InMemoryTransport) -> None:
    with relaying(app, transport) as relay:
        app.outbox.table.drop(app.engine)
        assert wait_until(lambda: relay.health(0).cause == "database")
        assert relay.health(0).status is HealthStatus.UNHEALTHY
        assert app.table in relay.health(0).message
        app.outbox.create(app.engine)
        app.add("k", 1)
        assert wait_until(lambda: relay.stats().delivered == 1)
        assert relay.health(LONG).ok
    assert relay.stats().troubles > 0


@pytest.mark.parametrize("broken", ["DROP TABLE {table}", "ALTER TABLE {table} RENAME COLUMN error TO words"])
@pytest.mark.parametrize("begin", [Relay.run, Relay.start])
def test_a_table_that_is_not_there_is_no_outage(
    app: Desk, transport: InMemoryTransport, broken: str, begin: Callable[[Relay], object]
) -> None:
    with app.engine.begin() as connection:
        connection.execute(text(broken.format(table=app.table)))
    with publishing(transport) as publisher:
        relay = Relay(app.engine, publisher, table=app.table)
        with pytest.raises(ConfigError, match="migrations"):
            begin(relay)
        assert relay.health().cause == "failed"
        relay.close()


def test_who_empties_an_outbox_waits_for_the_database_only_so_long(
    tmp_path: Path, transport: InMemoryTransport
) -> None:
    away = f"sqlite:///{tmp_path / 'nowhere' / 'outbox.db'}"
    with publishing(transport) as publisher, pytest.raises(TimeoutError, match="unable to open"):
        Relay(away, publisher).run(until_empty=True, patience=0.1)


def test_who_empties_an_outbox_waits_for_kafka_only_so_long(lite: Desk, transport: InMemoryTransport) -> None:
    transport.down()
    lite.add("k", 1, 2)
    with publishing(transport, close_timeout=0.1) as publisher:
        relay = Relay(lite.engine, publisher, table=lite.table)
        with pytest.raises(TimeoutError, match=r"none of the 2 row\(s\) under way"):
            relay.run(until_empty=True, patience=0.5)
        assert relay.close().left == 2
        assert len(lite.column("id")) == 2
        transport.up()


def test_health_says_what_is_wrong(lite: Desk, transport: InMemoryTransport) -> None:
    with publishing(transport) as publisher:
        relay = Relay(lite.engine, publisher, table=lite.table, late_after=-1.0, poll=0.01)
        assert relay.health().cause == "not_running"
        transport.down()
        lite.add("k", 1)
        with relay:
            assert wait_until(lambda: relay.stats().waiting == 1)
            health = relay.health(0)
            assert (health.status, health.cause) == (HealthStatus.DEGRADED, publisher.health(0).cause)
            transport.up()
            assert wait_until(lambda: relay.health(LONG).cause == "late")
            assert "1 rows" in relay.health(LONG).message
        assert relay.health().cause == "not_running"
        assert relay.stats().is_closed
        with pytest.raises(ConfigError, match="before"):
            relay.start()


def test_closing_leaves_what_is_under_way_to_its_lease(lite: Desk, transport: InMemoryTransport) -> None:
    transport.down()
    lite.add("k", 1, 2)
    with publishing(transport) as publisher:
        relay = Relay(lite.engine, publisher, table=lite.table)
        relay.start()
        assert wait_until(lambda: relay.stats().in_flight == 2)
        report = relay.close(0.05)
        assert (report.left, report.delivered) == (2, 0)
        assert relay.close() is report
        assert len(lite.column("id")) == 2
        transport.up()


@pytest.mark.parametrize("how", [Relay.start, Relay.run, lambda relay: relay.run(until_empty=True)])
def test_a_relay_that_was_closed_or_started_never_starts(lite: Desk, how: Callable[[Relay], object]) -> None:
    lite.add("k", 1)
    relay = Relay(lite.engine, lite.publisher, table=lite.table)
    relay.close()
    with pytest.raises(ConfigError, match="closed before"):
        how(relay)
    with Relay(lite.engine, lite.publisher, table=lite.table) as relay:
        with pytest.raises(ConfigError, match="started before"):
            how(relay)
        assert relay.stats().is_running


def test_a_publisher_that_is_closed_ends_the_relay(lite: Desk, transport: InMemoryTransport) -> None:
    publisher = Publisher(transport=transport)
    publisher.close()
    lite.add("k", 1)
    relay = Relay(lite.engine, publisher, table=lite.table)
    with pytest.raises(PublisherClosed):
        relay.run()
    assert relay.health().cause == "failed"
    assert len(lite.column("id")) == 1


def test_a_disabled_publisher_leaves_rows_where_they_are(lite: Desk) -> None:
    lite.add("k", 1)
    with Relay(lite.engine, lite.publisher, table=lite.table, poll=0.01) as relay:
        assert wait_until(lambda: relay.stats().waiting == 1)
        assert relay.health().cause == "disabled"
        assert relay.stats().taken == 0
    assert len(lite.column("id")) == 1


def test_a_relay_has_a_publisher_of_its_own_where_none_is_given(dsn: str, broker: EmbeddedBroker) -> None:
    topic = unique_topic()
    with desk(dsn) as app:
        ids = [app.add(f"k-{number % 7}", number, topic=topic)[0] for number in range(50)]
        plain = dsn.replace("+psycopg", "")
        report = Relay(plain, table=app.table, brokers=broker.bootstrap_servers).run(until_empty=True)
        assert (report.delivered, report.left) == (50, 0)
        assert [
            it.event_id
            for it in sorted(seen_in(broker.bootstrap_servers, topic, 50), key=lambda it: it.total)
        ] == ids


@pytest.mark.parametrize(
    ("database", "options", "said"),
    [
        ("sqlite://", {}, "in memory"),
        ("mysql://user:hunter2@host/name", {}, "not installed"),
        ("no dsn hunter2", {}, "cannot be read"),
        (7, {}, "int"),
        ("sqlite:///x.db", {"batch": 0, "lease": 0.1}, "batch.*lease"),
        ("sqlite:///x.db", {"listen": True}, "Postgres"),
        ("sqlite:///x.db", {"table": "a b"}, "name of a table"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    transport: InMemoryTransport, database: Any, options: dict[str, Any], said: str
) -> None:
    with publishing(transport) as publisher, pytest.raises(ConfigError, match=said) as raised:
        Relay(database, publisher, **options)
    assert "hunter2" not in str(raised.value)


def test_a_table_in_a_schema(postgres_dsn: str, transport: InMemoryTransport) -> None:
    with desk(postgres_dsn) as app, publishing(transport) as publisher:
        outbox = Outbox(publisher, table="box", schema="side")
        with app.engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA side"))
            outbox.create(connection)
            outbox.add(connection, OrderPlaced("k", 1))
        assert Relay(app.engine, publisher, table="side.box").run(until_empty=True).delivered == 1
        assert Rows(EngineDatabase(app.engine), "side.box").waiting() == (0, 0.0)


def spied(monkeypatch: pytest.MonkeyPatch, look: Callable[[str], Any]) -> list[Any]:
    """Has ``look`` see the topic of each record that a publisher is given; its answers."""
    seen: list[Any] = []
    produce = Publisher.produce

    def spy(publisher: Publisher, topic: str, *args: Any, **options: Any) -> Any:
        seen.append(look(topic))
        return produce(publisher, topic, *args, **options)

    monkeypatch.setattr(Publisher, "produce", spy)
    return seen


def change(app: Desk, what: str) -> None:
    """An UPDATE, as a person would type it."""
    with app.engine.begin() as connection:
        connection.execute(text(f"UPDATE {app.table} SET {what}".replace("{table}", app.table)))
