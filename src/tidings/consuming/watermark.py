"""The watermark: how far a partition is finished, over the sequence of offsets that were fetched.

Compaction and transaction markers leave gaps between offsets, so no offset is computed from another.
"""

from __future__ import annotations

from collections import deque


class Stretch:
    """Consecutive records of one partition, fetched together. Pure; the caller serialises the calls.

    They are begun in order. Those up to ``begun`` are finished, but for those in ``open``.
    """

    __slots__ = ("begun", "count", "end", "open", "size")

    def __init__(self, first: int, last: int, count: int, size: int) -> None:
        """``count`` records of ``size`` bytes, from offset ``first`` to ``last``."""
        self.begun = first
        """The offset of the first record that is not begun; ``end`` when all are."""
        self.end = last + 1
        self.open: set[int] = set()
        """Offsets that were begun out of turn, and are not finished."""
        self.count = count
        self.size = size

    @property
    def is_finished(self) -> bool:
        """True when nothing of it is left."""
        return self.begun == self.end and not self.open

    @property
    def position(self) -> int:
        """Everything of it below this offset is finished, and nothing at it."""
        return min(self.begun, min(self.open, default=self.end))


class Watermark:
    """What was fetched of one partition and is not finished. Pure; the caller serialises the calls."""

    def __init__(self) -> None:
        self.count = 0
        """Records past the watermark, finished ones in between included."""
        self.size = 0
        """Their bytes."""
        self._end: int | None = None
        self._stretches: deque[Stretch] = deque()

    def add(self, stretch: Stretch) -> None:
        """These records were fetched, next after those before."""
        self._stretches.append(stretch)
        self.count += stretch.count
        self.size += stretch.size

    def advance(self) -> None:
        """Let go of the finished stretches before the first that is not."""
        stretches = self._stretches
        while stretches and stretches[0].is_finished:
            stretch = stretches.popleft()
            self.count -= stretch.count
            self.size -= stretch.size
            self._end = stretch.end

    @property
    def position(self) -> int | None:
        """The offset to commit: everything fetched below it is finished. None before anything was fetched."""
        return self._stretches[0].position if self._stretches else self._end
