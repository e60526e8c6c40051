"""What a journal keeps and tells: events that are owed, letters that wait, counts, what a disk destroyed."""

from __future__ import annotations

import msgspec


class Owed(msgspec.Struct, gc=False, array_like=True):
    """One event as the journal keeps it. New fields go to the end and have a default."""

    seq: int
    """Its number in the journal, from ``Journal.next_seq``; events are read in this order."""
    topic: str
    event_id: bytes
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """No list: the garbage collector soon leaves tuples of text and bytes alone. With lists, draining a
    store cost a quarter more."""
    partition: int = -1
    timestamp: int = 0
    """The record's timestamp in ms, if the user gave one; 0 without."""
    accepted: int = 0
    """When it was accepted, wall clock, ms."""
    attempts: int = 0
    """Hand-overs to the Kafka client so far."""
    maybe_sent: bool = False
    """Kafka may have it (ENGINE R11)."""
    reason: str = ""
    """Kafka's name of the last error; empty without one."""


class LetterRow(msgspec.Struct):
    """A letter that waits in the store."""

    letter_id: str
    event_id: str | None
    topic: str
    """The dead-letter topic it goes to."""
    origin_topic: str
    key: bytes | None
    value: bytes
    """The letter's JSON."""
    accepted: int
    """When its event was accepted, wall clock, ms."""
    parked: bool = False
    reason: str = ""
    row: int = 0
    """Its number in the journal. 0 before it is written: ``Journal.commit`` sets it."""


class Tally(msgspec.Struct):
    """What the journal owes to one topic."""

    events: int = 0
    bytes: int = 0
    """Size as written; when part of a group is gone, its share on average."""
    oldest: int = 0
    """When the oldest event of the first group was accepted, ms; that event itself may be gone."""


class Damage(msgspec.Struct, frozen=True):
    """Something the disk destroyed. What is not known is None, or a ``count`` of 0."""

    seq: int | None
    topic: str | None
    event_id: bytes | None
    """As far as the damaged bytes can be trusted: it was read from them."""
    count: int
    """Events destroyed; for a letter, letters."""
    why: str
    letter: bool = False
    """It was a letter: its event had ended as dead_lettered."""
    was_counted: bool = True
    """The events were in the journal's counts until now. False for what was found when it was opened."""


class FoundInStore(msgspec.Struct, frozen=True):
    """Where in a store an event_id was found: an event that is owed or, with ``letter_id``, a letter."""

    topic: str
    reason: str
    attempts: int = 0
    letter_id: str | None = None
    seq: int = 0
    """The event's number in the journal; 0 for a letter."""
