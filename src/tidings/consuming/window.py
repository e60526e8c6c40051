"""The window: how much of a partition may be fetched ahead of what is finished (ENGINE C3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MOST_RECORDS: Final = 10_000
MOST_BYTES: Final = 32 * 1024 * 1024
"""Of one partition, past its watermark."""
_ALTOGETHER: Final = 4
"""All partitions together hold so many times that: a hundred of them must not take 3 GiB."""
_SUSPECT: Final = 0.05


class Held:
    """How much is held of some partitions: records and bytes past their watermarks."""

    __slots__ = ("count", "size")

    def __init__(self, count: int = 0, size: int = 0) -> None:
        self.count = count
        self.size = size

    def is_full(self, share: float = 1.0) -> bool:
        """True when one partition may have no more than this; ``share`` of the bounds."""
        return self.count >= MOST_RECORDS * share or self.size >= MOST_BYTES * share

    @classmethod
    def sum(cls, parts: Iterable[Held]) -> Held:
        """Everything together, on the scale of one partition."""
        held = list(parts)
        count, size = sum(each.count for each in held), sum(each.size for each in held)
        return cls(count // _ALTOGETHER, size // _ALTOGETHER)


def may_fetch(held: Held, altogether: Held, *, paused: bool, suspect: bool = False) -> bool:
    """Whether more of a partition may be fetched: until the window is full, and again once half is free.

    ``suspect``: somebody died here; a small window leaves few events among which to look for the cause."""
    share = 0.5 if paused else 1.0
    return not held.is_full(share * _SUSPECT if suspect else share) and not altogether.is_full(share)
