"""Signals: the closed list of what a publisher tells those who listen (``Publisher.listen``).

They are for what is rare: refusals, failures, changes of state. A healthy event sends none.
"""

from __future__ import annotations

import msgspec

from tidings.errors import Certainty
from tidings.states import CloseReport


class Signal(msgspec.Struct, frozen=True):
    """Something happened that somebody may want to know."""


class Rejected(Signal, frozen=True):
    """``publish()`` took nothing. ``event_id`` and ``topic`` are those the caller gave."""

    code: str
    reason: str
    event_id: str | None = None
    topic: str | None = None


class Retried(Signal, frozen=True):
    """An event was handed to the Kafka client once more; ``attempt`` counts hand-overs."""

    event_id: str
    topic: str
    attempt: int


class Stored(Signal, frozen=True):
    """A caller was told that his event is on disk, and not yet in Kafka."""

    event_id: str
    topic: str


class DeadLettered(Signal, frozen=True):
    """An event became a letter, which is on disk or in Kafka."""

    event_id: str
    topic: str
    kafka_error: str
    certainty: Certainty
    letter_id: str | None


class Lost(Signal, frozen=True):
    """An event is gone."""

    event_id: str
    topic: str
    kafka_error: str
    certainty: Certainty


class BreakerChanged(Signal, frozen=True):
    """A topic takes no events, for this ``cause``; or it takes them again, with an empty one."""

    topic: str
    cause: str


class Fatal(Signal, frozen=True):
    """The Kafka client failed for good and is made anew."""

    cause: str


class Closed(Signal, frozen=True):
    """The publisher was closed."""

    report: CloseReport
