"""Lives: how often a position was begun with while nobody came past it, kept in the commit's metadata.

An event that kills its process is read again by the next one, which dies too: no retry count survives that.
So the count travels with the group's offset (ENGINE C7).
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tidings.consuming.places import Chunk

CAREFUL_FROM = 3
"""From this life on events are handled one at a time."""
DEATHS_ALONE = 2
"""An event becomes a letter after so many deaths with nothing else in hand: a deploy's SIGKILL is one."""

_FORMAT = re.compile(r"tidings lives=(\d{1,6}) alone=(\d{1,6}) by=(\S{1,64})")


class Lives(msgspec.Struct, frozen=True):
    """What the metadata of a commit says. ``lives``: tenures that began at this offset, the one that wrote it
    included; ``alone``: those of them that had the event at this offset in hand and no other; ``by``: who
    wrote it."""

    lives: int = 0
    alone: int = 0
    by: str = "-"

    @classmethod
    def read(cls, metadata: str | None) -> Lives:
        """Of the text that was committed; none where somebody else's client wrote it."""
        found = _FORMAT.fullmatch(metadata or "")
        return cls() if found is None else cls(int(found[1]), int(found[2]), found[3])

    @property
    def text(self) -> str:
        """What to commit."""
        return f"tidings lives={self.lives} alone={self.alone} by={self.by}" if self.lives else ""

    def begun(self, by: str) -> Lives:
        """A tenure of ``by`` begins here; no new life where it was the last one here: it did not die."""
        return Lives(self.lives + (self.by != by or not self.lives), self.alone, by)

    def alone_with(self, by: str, lives: int) -> Lives:
        """``by`` takes the event at this offset in hand, and no other, in this life."""
        return Lives(lives, self.alone + (self.by != by or not self.alone), by)

    def is_deadly(self, by: str) -> bool:
        """The event at this offset has killed its process alone as often as may be; ``by`` is who asks."""
        return self.alone >= DEATHS_ALONE and self.by != by


_NONE = Lives()


class Life:
    """What a tenure has of it: where it began, what it wrote down there, and what waits for that."""

    __slots__ = (
        "at",
        "before",
        "handled",
        "is_careful",
        "is_open",
        "is_suspect",
        "now",
        "read_at",
        "sent",
        "waiting",
    )

    def __init__(
        self, before: Lives = _NONE, by: str = "-", read_at: int | None = None, sent: float = 0.0
    ) -> None:
        self.before = before
        """What was written at ``at`` before us: to be put back when we leave it unharmed."""
        self.now = before.begun(by)
        self.read_at = read_at
        """The offset that was committed; None where none was."""
        self.at: int | None = None
        """The offset of the last mark."""
        self.sent = sent
        """When that mark was sent, by the monotonic clock; at first, when the tenure began."""
        self.is_open = False
        """The mark is in Kafka: what waits may be handled."""
        self.is_careful = self.now.lives >= CAREFUL_FROM
        self.is_suspect = self.now.lives > 1
        """Somebody died here, and no progress of ours is committed: little is fetched ahead."""
        self.handled = 0
        """Events that were handled alone."""
        self.waiting: deque[Chunk] = deque()
