"""The counters of a consumer. They only grow."""

from __future__ import annotations


class Tally:
    """Written under the holdings' lock, or by one thread; read by anybody."""

    __slots__ = (
        "dead_lettered",
        "duplicates",
        "expired_unread",
        "failed",
        "handled",
        "retried",
        "skipped",
        "undecodable",
    )

    def __init__(self) -> None:
        self.handled = 0
        self.failed = 0
        self.retried = 0
        self.dead_lettered = 0
        self.duplicates = 0
        self.skipped = 0
        self.undecodable = 0
        self.expired_unread = 0
