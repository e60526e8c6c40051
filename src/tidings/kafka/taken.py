"""A letter as a replay finds it, and how far the letters of a partition are settled."""

from __future__ import annotations

import msgspec


class TakenLetter(msgspec.Struct, frozen=True):
    """A letter as it was found: raw, with its place."""

    place: str
    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int
    offset: int


class Progress:
    """How far a partition is settled. What is left behind holds the commit back, so that a later run with
    another filter finds it; the ledger knows what was settled above it."""

    def __init__(self) -> None:
        self.committed = -1
        self.held: int | None = None
        self.next = -1

    def settle(self, offset: int) -> None:
        """This one is done with for good."""
        self.next = max(self.next, offset + 1)

    def leave(self, offset: int) -> None:
        """A later run has to find this one."""
        self.settle(offset)
        self.held = offset if self.held is None else min(self.held, offset)

    def due(self) -> int | None:
        """The offset to commit, when there is a new one."""
        reached = self.next if self.held is None else min(self.held, self.next)
        return reached if reached > self.committed else None
