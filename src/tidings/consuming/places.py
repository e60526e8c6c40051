"""Partitions and what is held of them: tenures, chunks of records, and the lanes that keep a key's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final

from tidings.consuming.lives import Life
from tidings.consuming.message import Record
from tidings.consuming.watermark import Stretch, Watermark

if TYPE_CHECKING:
    from tidings.consuming.course import Course

LaneKey = bytes | int
"""A record's key; where it has none, its offset: records without a key have no order."""
WHOLE: Final = -1
"""The key of the one lane that a partition has where there are batches."""


class Phase(Enum):
    """What a lane does: waits for a worker, is with one, or waits for its next attempt."""

    READY = 1
    RUNNING = 2
    PARKED = 3


class Lane:
    """The records of one key that are handled apart from the others, in their order; the first is in work."""

    __slots__ = (
        "attempt",
        "course",
        "first_ms",
        "held_for",
        "is_probe",
        "key",
        "phase",
        "place",
        "queue",
        "since",
        "timeout",
    )

    def __init__(self, place: Place, key: LaneKey, phase: Phase) -> None:
        self.place = place
        self.key = key
        self.phase = phase
        self.queue: deque[tuple[Chunk, Record]] = deque()
        self.course: Course | None = None
        """How its first chunk is gone through, where there are batches."""
        self.attempt = 1
        """Of the first record: this attempt, or the next one."""
        self.first_ms = 0
        """When its first attempt was, in milliseconds since 1970; 0 before it failed."""
        self.held_for: object = None
        """The route that is shut, while it waits for that."""
        self.is_probe = False
        """It may call a handler that is shut."""
        self.since = 0.0
        """When a worker began with the first record, by the monotonic clock."""
        self.timeout: float | None = None
        """How long its handler may take for the first record; None while that is not known."""


class Place:
    """A partition. Its lanes outlive a tenure: a key whose handler still runs when the partition has gone and
    come back keeps its order."""

    __slots__ = ("lanes", "partition", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.lanes: dict[LaneKey, Lane] = {}


class Tenure:
    """The time for which a partition is ours, or between two seeks: an epoch. What belongs to one that is
    over is stored no more."""

    __slots__ = (
        "expected",
        "is_leaving",
        "is_paused",
        "jump_told",
        "life",
        "pending",
        "place",
        "stored",
        "watermark",
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        self.watermark = Watermark()
        self.is_leaving = False
        """Nothing more of it is begun; what is under way still counts."""
        self.pending = 0
        """Events that were handled, or given up, and wait for Kafka to have what came of them."""
        self.is_paused = False
        self.stored: int | None = None
        """The last position that was stored."""
        self.expected: int | None = None
        """The offset after the last that was fetched, or the one committed; None where neither is known."""
        self.jump_told = 0.0
        """When a jump of offsets was looked into last."""
        self.life = Life()


class Chunk(Stretch):
    """Records of one partition that were fetched together, and the one iterator over them.

    ``next()`` on it is a worker's claim, and ``list()`` takes the rest away from that worker: both are one
    step under the GIL.
    """

    __slots__ = ("aside", "records", "rest", "tenure")

    def __init__(self, tenure: Tenure, records: Sequence[Record]) -> None:
        super().__init__(records[0].offset(), records[-1].offset(), len(records), sum(map(len, records)))
        self.tenure = tenure
        self.aside = -1
        """The offset of the record that the leader put aside last: it has it in hand no more."""
        self.records = records
        self.rest: Iterator[Record] = iter(records)


def lane_key(record: Record) -> LaneKey:
    """The lane a record belongs to."""
    key = record.key()
    return record.offset() if key is None else key
