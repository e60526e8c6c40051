"""A consumer group of the in-memory Kafka: its members, who has which partition, what is committed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Protocol

from tidings.testing.memorylog import Place


class Joined(Protocol):
    """A member, as its group sees it."""

    names: frozenset[str]
    """The topics that it named: they come into being by that."""

    def wants(self, topic: str) -> bool: ...


class MemoryGroup:
    """Pure; the caller holds the lock of its Kafka. A partition has one owner at most, and changes hands only
    when the old one has let go."""

    def __init__(self) -> None:
        self.members: list[Joined] = []
        self.committed: dict[Place, tuple[int, str]] = {}
        """The offset and its metadata."""
        self._owners: dict[Place, Joined] = {}
        self._topics: dict[str, None] = {}

    def join(self, member: Joined) -> None:
        """The member is one of the group."""
        self.members.append(member)

    def leave(self, member: Joined) -> None:
        """The member is gone, and has nothing any more."""
        if member in self.members:
            self.members.remove(member)
        self._owners = {place: it for place, it in self._owners.items() if it is not member}

    def evict(self) -> None:
        """Nobody is a member, and nobody has anything."""
        self.members.clear()
        self._owners.clear()

    def share_of(self, member: Joined, topics: Iterable[str], partitions: int) -> list[Place]:
        """What the member is to have: partitions are dealt in turn to those who want their topic.

        ``topics`` are those with records. Topics are dealt in the order in which they came: a new one moves
        nothing.
        """
        takers: dict[str, list[Joined]] = {}
        self._topics |= dict.fromkeys(name for it in self.members for name in sorted(it.names))
        self._topics |= dict.fromkeys(topics)
        for topic in self._topics:
            if wanting := [it for it in self.members if it.wants(topic)]:
                takers[topic] = wanting
        return [
            (topic, partition)
            for number, (topic, partition) in enumerate(product(takers, range(partitions)))
            if takers[topic][number % len(takers[topic])] is member
        ]

    def claim(self, place: Place, member: Joined) -> bool:
        """Take a partition that nobody has; False while somebody has it."""
        return self._owners.setdefault(place, member) is member

    def release(self, member: Joined, places: Iterable[Place]) -> None:
        """The member has let go of these."""
        for place in places:
            if self._owners.get(place) is member:
                del self._owners[place]

    def commit(self, member: Joined, place: Place, offset: int, metadata: str) -> bool:
        """Note how far the member is; False where the partition is not its own."""
        if self._owners.get(place) is not member:
            return False
        self.committed[place] = offset, metadata
        return True
