"""What the client and the reader tell the demo: a line of JSON on stdout for each request and each record."""

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


Fact = Answer | Record


def tell(fact: Fact) -> None:
    """Print one fact at once. Any thread."""
    with _turn:
        sys.stdout.buffer.write(msgspec.json.encode(fact) + b"\n")
        sys.stdout.buffer.flush()
