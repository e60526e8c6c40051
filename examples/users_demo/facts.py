"""What the processes of the demo tell it: lines of JSON on stdout."""

from __future__ import annotations

import sys
import threading

import msgspec

_turn = threading.Lock()


class Answer(msgspec.Struct, tag="answer", kw_only=True):
    """The client's: one request and what became of it. ``status`` is 0 when nothing came back."""

    at: float
    kind: str
    status: int
    good: bool
    milliseconds: float
    event_id: str | None
    trouble: str | None


class Record(msgspec.Struct, tag="record", kw_only=True):
    """The reader's: one record in Kafka."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: list[tuple[str, str]]
    event_id: str


class Safe(msgspec.Struct, tag="safe", kw_only=True):
    """The payments program's: from now on the process may die, and this event is not lost."""

    event_id: str


class Found(msgspec.Struct, tag="found", kw_only=True):
    """The payments program's: what ``find`` says of one event."""

    what: str
    event_id: str
    place: str
    message: str


class Books(msgspec.Struct, tag="books", kw_only=True):
    """The payments program's: its counters at its end."""

    accepted: int
    adopted: int
    replayed: int
    delivered: int
    dead_lettered: int
    stored: int
    lost: int


Fact = Answer | Record | Safe | Found | Books


def tell(fact: Fact) -> None:
    """Print one fact at once. Any thread."""
    with _turn:
        sys.stdout.buffer.write(msgspec.json.encode(fact) + b"\n")
        sys.stdout.buffer.flush()
