"""The store's side of the speed: groups written, read back and removed, and the opening of a big store.

``python -m benchmarks.journal [--directory …] [--events 1000000] [--big 10000000]``
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path

from benchmarks.memory import resident
from tidings.letters.journal import Journal
from tidings.letters.owed import Owed

_GROUP = 1000
_CAP = 64 << 30


def main() -> None:
    """Print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", help="on the disk to be measured; default: the temporary directory")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--big", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        path = Path(directory) / "bench.journal"
        print(passing(path, options.events))
        print(backlog(path, options.events))
        print(big(path, options.big))


def passing(path: Path, events: int) -> str:
    """Write-ahead with a healthy Kafka: every commit adds a group and removes the one of ten commits ago."""
    journal = _open(path)
    groups: list[list[int]] = []
    took = 0.0
    for _ in range(events // _GROUP):
        group = _group(journal)
        gone = groups.pop(0) if len(groups) == 10 else []
        began = time.perf_counter()
        journal.commit(group, gone)
        took += time.perf_counter() - began
        groups.append([each.seq for each in group])
    journal.commit(remove=[seq for group in groups for seq in group])
    journal.close()
    return f"written and removed in groups of {_GROUP}: {events / took:,.0f} events/s"


def backlog(path: Path, events: int) -> str:
    """An outage: everything is written, then read back and removed."""
    journal = _open(path)
    wrote = 0.0
    for _ in range(events // _GROUP):
        group = _group(journal)
        began = time.perf_counter()
        journal.commit(group)
        wrote += time.perf_counter() - began
    full, before = journal.used, resident()
    began = time.perf_counter()
    count = 0
    while page := journal.read("orders", 0, 2000):
        count += len(page)
        journal.commit(remove=[each.seq for each in page])
    drained = time.perf_counter() - began
    after = resident()
    journal.close()
    return (
        f"backlog of {count:,} ({full / 2**20:,.0f} MiB): written {events / wrote:,.0f} events/s, "
        f"read back and removed {count / drained:,.0f} events/s, "
        f"memory {before:.0f} MiB before, {after:.0f} MiB after"
    )


def big(path: Path, events: int) -> str:
    """The opening of a store of many small events."""
    journal = _open(path)
    for _ in range(0, events, 100_000):
        journal.commit([Owed(journal.next_seq(), "orders", b"", None, b"", ()) for _ in range(100_000)])
    journal.close()
    began = time.perf_counter()
    journal = _open(path)
    took = time.perf_counter() - began
    answer = (
        f"opening a store of {journal.events:,} events: {took * 1000:.1f} ms, {resident():.0f} MiB in memory"
    )
    journal.close()
    return answer


def _open(path: Path) -> Journal:
    return Journal.open(path, max_bytes=_CAP, logger=logging.getLogger("bench"))


def _group(journal: Journal) -> list[Owed]:
    values = os.urandom(430 + _GROUP)
    return [
        Owed(
            journal.next_seq(), "orders", b"%036d" % index, b"key-%d" % index, values[index : index + 430], ()
        )
        for index in range(_GROUP)
    ]


if __name__ == "__main__":
    main()
