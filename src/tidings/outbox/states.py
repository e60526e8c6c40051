"""What a relay says of itself: RelayStats, RelayReport."""

from __future__ import annotations

import msgspec


class RelayCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of rows, as counters that only grow. ``taken``: under a lease, each time; ``delivered``:
    their events are in Kafka, and they are out of the way; ``dead_lettered``: letters, likewise; ``failed``:
    put back, to be tried again later; ``released``: put back untried, as the publisher had no room;
    ``leases_lost``: held too long, so that another relay may publish them too; ``purged``: sent long ago, and
    removed; ``troubles``: times that the database did not do what it was asked."""

    taken: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    failed: int = 0
    released: int = 0
    leases_lost: int = 0
    purged: int = 0
    troubles: int = 0


class RelayStats(RelayCounts, frozen=True, kw_only=True):
    """A relay's counters, read at one moment. ``in_flight``: rows it has under way now. ``waiting``: unsent
    rows in the table, whoever has them, 100,000 at most, and ``oldest``: the age of the first of them in
    seconds; both from its last look, some seconds ago, and None before the first."""

    in_flight: int = 0
    waiting: int | None = None
    oldest: float | None = None
    is_running: bool = False
    is_closed: bool = False


class RelayReport(RelayCounts, frozen=True, kw_only=True):
    """What had become of rows when close() returned."""

    left: int = 0
    """Rows that were under way still: their leases run out, and a relay publishes them again."""
    duration: float = 0.0
    """Seconds close() took."""
