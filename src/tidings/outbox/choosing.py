"""Choosing: which rows a relay may take. Pure: what was seen is given to it.

``could`` are the rows that could be taken when the relay looked, in the order of their ids, and of each lane
from the first unsent row on: the database leaves out lanes of which a row is held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping

import msgspec


class Candidate(msgspec.Struct, frozen=True):
    """A row that could be taken, as far as choosing needs it."""

    id: int
    lane: int | None
    topic: str
    size: int


def that_fit(
    could: Iterable[Candidate], under_way: Mapping[str, int], most_of_a_topic: int, most_bytes: int
) -> list[Candidate]:
    """Those that there is room for: of a topic ``most_of_a_topic`` less what is under way, so that a topic
    that Kafka takes nothing of does not stop the others; ``most_bytes`` of all, or one that is larger."""
    counts = Counter(under_way)
    size, chosen = 0, list[Candidate]()
    for each in could:
        size += each.size
        if chosen and size > most_bytes:
            break
        if counts[each.topic] < most_of_a_topic:  # a lane is of one topic: once it is full, it stays so
            counts[each.topic] += 1
            chosen.append(each)
    return chosen


def in_order(wanted: Iterable[Candidate], got: Container[int]) -> list[int]:
    """Of each lane what stands before the first row that is not among those ``got``: whoever was first with
    that row, or removed it, may be at work on the lane."""
    kept, shut = list[int](), set[int]()
    for each in wanted:
        if each.lane in shut:
            continue
        if each.id in got:
            kept.append(each.id)
        elif each.lane is not None:
            shut.add(each.lane)
    return kept
