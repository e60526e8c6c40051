"""A fork under guards: the parent's full places and spent tokens are not the child's."""

from __future__ import annotations

import os

from tidings import BulkheadFull, Publisher, RateLimited
from tidings.testing.memory import InMemoryTransport


def fill() -> None:
    """Three places of one topic, then the last two tokens of five with another."""
    for topic, count, refusal in (("a", 3, BulkheadFull), ("b", 2, RateLimited)):
        for _ in range(count):
            publisher.produce(topic, b"x")
        try:
            publisher.produce(topic, b"x")
        except refusal:
            continue
        raise AssertionError(f"one more than {count} were taken")


transport = InMemoryTransport()
transport.down()
publisher = Publisher(
    transport=transport, service="forks", bulkhead=3, rate_limit=0.001, rate_burst=5, max_block=0.0
)
fill()
if (pid := os.fork()) == 0:
    assert publisher.stats().under_way == {}
    fill()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0, "the child failed"
assert publisher.stats().under_way == {"a": 3, "b": 2}
publisher.close(0)
assert publisher.stats().under_way == {"a": 0, "b": 0}
