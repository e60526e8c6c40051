"""Resident memory of a publisher that runs for long: after a tenth of its events, and after all."""

from __future__ import annotations

import gc
import resource
import sys
from datetime import UTC, datetime

from benchmarks.corpus import typed


def memory(brokers: str, events: int) -> str:
    """Publish ``events`` typed events; the resident size after a tenth and at the end, and the peak."""
    from tidings import Publisher

    now = datetime.now(UTC)
    sizes = []
    with Publisher(brokers=brokers, service="bench", max_block=60) as publisher:
        for index in range(1, events + 1):
            publisher.publish(typed(index, now))
            if index in {events // 10, events}:
                publisher.flush()
                gc.collect()
                sizes.append(resident())
    early, late = sizes
    return (
        f"memory: {early:.0f} MiB after {events // 10:,} events, {late:.0f} MiB after {events:,} "
        f"({late / early - 1:+.1%}), peak {peak():.0f} MiB"
    )


def resident() -> float:
    """MiB of this process in memory now (its peak, where /proc is missing)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    except FileNotFoundError:
        return peak()


def peak() -> float:
    """MiB this process had at most."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (2**20 if sys.platform == "darwin" else 2**10)
