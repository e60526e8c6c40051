"""Checking the books: every event taken is in exactly one term."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from support.processes import wait_until
from tidings import Publisher, Stats
from tidings.states import Terms
from tidings.testing.memory import InMemoryRecord, InMemoryTransport

MakePublisher = Callable[..., Publisher]
LONG = 60.0
"""Seconds: the bound of waits that end at once on any machine that is not broken."""


def check_books(publisher: Publisher) -> Stats:
    """The counters at rest: balanced, never negative, and what counting entry by entry says too."""
    # The audit asks the keeper, and a letter may go out meanwhile: at rest the two are the same soon.
    assert wait_until(lambda: publisher.audit() == publisher.stats()), (publisher.audit(), publisher.stats())
    stats = publisher.audit()
    assert stats.balanced
    terms = {name: getattr(stats, name) for name in Terms.__struct_fields__}
    assert min(terms.values()) >= 0, terms
    return stats


def check_closed(publisher: Publisher, timeout: float = LONG) -> Stats:
    """Close, and check that nothing is left in flight."""
    report = publisher.close(timeout)
    stats = check_books(publisher)
    assert stats.in_flight == report.in_flight == 0
    assert report.balanced
    for name in Terms.__struct_fields__:
        assert getattr(report, name) == getattr(stats, name), name
    return stats


def settle(publisher: Publisher) -> Stats:
    """Wait until nothing is in flight, as entries and as counters."""
    assert publisher.flush(LONG)
    assert wait_until(lambda: publisher.audit().in_flight == 0)
    return check_books(publisher)


def ids_of(transport: InMemoryTransport, *, letters: bool = True) -> Counter[str]:
    """How often each event id is among the delivered records, or among those that are no letters."""
    ids: Counter[str] = Counter()
    for record in list(transport.records):
        if not letters and record.topic == "dead-letters":
            continue
        ids.update((content or b"").decode() for name, content in record.headers if name == "event_id")
    return ids


def doom(transport: InMemoryTransport, times: int = 1) -> None:
    """The next ``times`` records fail however often they are sent: in memory mode they are lost."""
    doomed: set[bytes | None] = set()

    def is_doomed(record: InMemoryRecord) -> bool:
        if len(doomed) < times:
            doomed.add(record.value)
        return record.value in doomed

    transport.fail_always(is_doomed, "_MSG_TIMED_OUT")
