"""What the store costs: ``python -m benchmarks.store [--events 400000] [--rounds 3] [--drained 1000000]``.

The same typed events in every DURABILITY, in turns, against one real broker, each in a process of its own;
the lone event in write-ahead mode; and a store left behind by a dead process, drained.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.corpus import clock, encoded, typed
from benchmarks.memory import peak, resident
from benchmarks.sides import TOPIC, tidings_publish
from tidings.letters import place
from tidings.letters.journal import Journal
from tidings.letters.owed import Owed
from tidings.testing import RealKafka

MODES = ("memory", "spill", "write-ahead")
_GROUP = 2000
_CAP = 16 << 30
_LONE = 300


def main() -> None:
    """Print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drained", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, brokers, directory = options.child
        print(f"RESULT {_child(name, brokers, Path(directory), options)}")
        return
    with (
        RealKafka(nodes=1, jvm_options=["-XX:TieredStopAtLevel=4"]) as kafka,
        tempfile.TemporaryDirectory() as directory,
    ):
        kafka.create_topic(TOPIC, partitions=6)
        print(f"{os.cpu_count()} cores shared with the broker, {platform.python_version()}", flush=True)
        rates: dict[str, list[float]] = {mode: [] for mode in MODES}
        for _ in range(options.rounds):
            for mode, measured in rates.items():
                measured.append(float(_run(mode, kafka.bootstrap_servers, directory, options.events)))
        base = statistics.median(rates["memory"])
        for mode, measured in rates.items():
            middle = statistics.median(measured)
            shown = " ".join(f"{rate / 1000:.0f}k" for rate in measured)
            print(f"{mode:12s} {middle:9,.0f} events/s  {middle / base:5.2f} of memory   {shown}", flush=True)
        print(_run("lone", kafka.bootstrap_servers, directory, 0), flush=True)
        print(_run("drain", kafka.bootstrap_servers, directory, options.drained))


def _run(name: str, brokers: str, directory: str, events: int) -> str:
    command = [sys.executable, "-m", "benchmarks.store", "--child", name, brokers, directory]
    done = subprocess.run(
        [*command, "--events", str(events)], capture_output=True, text=True, timeout=900, check=False
    )
    results = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not results:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return results[-1].removeprefix("RESULT ")


def _child(name: str, brokers: str, directory: Path, options: argparse.Namespace) -> object:
    if name == "lone":
        return lone(brokers, directory)
    if name == "drain":
        return drain(brokers, directory, options.events)
    store: dict[str, Any] = {} if name == "memory" else {"store_dir": directory}
    return tidings_publish(brokers, options.events, durability=name, **store)


def lone(brokers: str, directory: Path) -> str:
    """Write-ahead: how long one event by itself takes until it is safe, and until it is delivered."""
    from tidings import Publisher

    safe, delivered = [], []
    with Publisher(
        brokers=brokers, service="bench", durability="write-ahead", store_dir=directory
    ) as publisher:
        publisher.publish(typed(0, datetime.now(UTC))).wait(30)
        for index in range(_LONE):
            started = clock()
            delivery = publisher.publish(typed(index, datetime.now(UTC)))
            delivery.wait_safe(30)
            safe.append(clock() - started)
            delivery.wait(30)
            delivered.append(clock() - started)
    return f"a lone event, write-ahead: safe {_shown(safe)}, delivered {_shown(delivered)}"


def drain(brokers: str, directory: Path, count: int) -> str:
    """A store of ``count`` events that a dead process left: adopted and sent."""
    from tidings import Publisher

    name = place.store_name("bench", [brokers], None)
    journal = Journal.open(place.new_path(directory, name), max_bytes=_CAP, logger=logging.getLogger())
    rows = _rows(journal, count)
    while group := list(islice(rows, _GROUP)):
        journal.commit(group)
    journal.close()
    before = resident()
    with Publisher(
        brokers=brokers, service="bench", store_dir=directory, store_max_bytes=_CAP, max_block=60
    ) as publisher:
        publisher.publish(typed(0, datetime.now(UTC))).wait(30)
        started = clock()
        while publisher.stats().delivered <= count:
            time.sleep(0.01)
        found = count / (clock() - started)
        assert publisher.stats().adopted == count
    return (
        f"drained {count:,} events: {found:,.0f} events/s; "
        f"memory {before:.0f} MiB before, {peak():.0f} MiB at most"
    )


def _rows(journal: Journal, count: int) -> Iterator[Owed]:
    for value, key, headers in encoded(count):
        pairs = [(name, part.encode() if isinstance(part, str) else part) for name, part in headers]
        yield Owed(journal.next_seq(), TOPIC, dict(pairs)["event_id"] or b"", key, value, tuple(pairs))


def _shown(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


if __name__ == "__main__":
    main()
