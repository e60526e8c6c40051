"""The story: orders are placed while relays are killed and Kafka is away; then Kafka is asked.

Ends with 0 if every committed event is in Kafka, none that was rolled back is, and order held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session

from examples.outbox_demo.shop import TOPIC, Account, Base, PaymentRefused, outbox, place_order
from tidings import decode
from tidings.testing import EmbeddedBroker

CUSTOMERS = [f"customer-{number}" for number in range(8)]
PARTITIONS = 4
PATIENCE = 60.0


def main() -> int:
    """Tell the story; 0 if it ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="a DSN (default: SQLite in a temporary directory)")
    parser.add_argument("--orders", type=int, default=400)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedBroker(topics={TOPIC: PARTITIONS}) as broker,
    ):
        dsn = options.database or f"sqlite:///{Path(directory) / 'shop.db'}"
        engine = create_engine(dsn, connect_args={"timeout": 30} if dsn.startswith("sqlite") else {})
        try:
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                session.add_all(Account(customer=customer, orders=0) for customer in CUSTOMERS)
            return tell(engine, dsn, broker, options.orders)
        finally:
            engine.dispose()


def tell(engine: Engine, dsn: str, broker: EmbeddedBroker, orders: int) -> int:
    """Place orders, kill, wait, and judge."""
    brokers = broker.bootstrap_servers
    with relay(dsn, brokers) as first, relay(dsn, brokers):
        committed, refused = place(engine, orders // 2)
        wait_until(lambda: waiting(engine) < len(committed))
        first.kill()
        print(
            f"{len(committed)} orders committed, {len(refused)} rolled back. One of two relays is killed -9."
        )
        broker.down()
        more = place(engine, orders - orders // 2)
        committed, refused = committed + more[0], refused + more[1]
        print(f"Kafka is away: {waiting(engine)} events wait in the table, and orders go on being placed.")
        broker.up()
        wait_until(lambda: not waiting(engine))
    return judge(committed, refused, read(brokers), waiting(engine))


def place(engine: Engine, orders: int) -> tuple[list[str], list[str]]:
    """Place orders from four threads; every tenth is not paid. The ids of their events."""

    def one(number: int) -> tuple[str, bool]:
        try:
            return place_order(engine, CUSTOMERS[number % len(CUSTOMERS)], pays=number % 10 != 9), True
        except PaymentRefused as error:
            return str(error), False

    with ThreadPoolExecutor(4) as threads:
        placed = list(threads.map(one, range(orders)))
    return [it for it, was_paid in placed if was_paid], [it for it, was_paid in placed if not was_paid]


@contextmanager
def relay(dsn: str, brokers: str) -> Iterator[subprocess.Popen[bytes]]:
    """A relay in a process of its own."""
    command = [sys.executable, "-m", "examples.outbox_demo.relay", dsn]
    process = subprocess.Popen(command, env={**os.environ, "KAFKA_BROKERS": brokers})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until it becomes true, or patience ends."""
    end = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def waiting(engine: Engine) -> int:
    """Rows of the outbox that are not in Kafka."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(outbox.table)).scalar_one()


def read(brokers: str) -> list[tuple[str, str, int]]:
    """What is in Kafka, read without tidings' consumer: event_id, customer, number; each key in its order."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "judge", "enable.auto.commit": False})
    try:
        seen = []
        for partition in range(PARTITIONS):
            place = TopicPartition(TOPIC, partition, 0)
            consumer.assign([place])
            end = consumer.get_watermark_offsets(place, 10)[1]
            while end and (message := consumer.poll(10)) is not None:
                headers: Any = message.headers()
                envelope = decode(message.value(), headers)
                seen.append((envelope.event_id or "", envelope.data["customer"], envelope.data["number"]))
                if message.offset() == end - 1:
                    break
        return seen
    finally:
        consumer.close()


def judge(committed: list[str], refused: list[str], seen: list[tuple[str, str, int]], left: int) -> int:
    """Hold what is in Kafka to what was promised; 0 if it was kept."""
    ids, firsts = set[str](), dict[str, list[int]]()
    for event_id, customer, number in seen:
        if event_id not in ids:
            ids.add(event_id)
            firsts.setdefault(customer, []).append(number)
    facts = {
        f"every committed event is in Kafka ({len(committed)} of them)": ids >= set(committed),
        f"none of the {len(refused)} that were rolled back is": not ids & set(refused),
        f"copies keep their event_id ({len(seen) - len(ids)} copies)": ids == set(committed),
        "each customer's orders came in order": all(found == sorted(found) for found in firsts.values()),
        "the outbox is empty": left == 0,
    }
    for fact, holds in facts.items():
        print(f"{'yes' if holds else 'NO '}  {fact}")
    return 0 if all(facts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
