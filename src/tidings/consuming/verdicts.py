"""What a handler may raise to say what is to become of its event."""

from __future__ import annotations

from typing import Final

from tidings.errors import HandlerError

MOST_AFTER: Final = 300.0
"""Seconds: Kafka takes a partition away from a consumer that holds an event for much longer."""


class Reject(HandlerError):
    """Raised by a handler: this event will never be handled, whatever is tried; make it a letter now."""

    hint = "The event is in the dead-letter topic."


class Retry(HandlerError):
    """Raised by a handler: not now; hand it the event again in ``after`` seconds (0 to 300).

    Counts as one of its attempts. Other keys go on meanwhile. Raises ValueError for another ``after``.
    """

    hint = "The event is handed over again."

    def __init__(self, message: str = "", *, after: float) -> None:
        if not 0 <= after <= MOST_AFTER:
            raise ValueError(f"after is from 0 to {MOST_AFTER:.0f} seconds, not {after}")
        super().__init__(message or f"again in {after} s")
        self.after = after


class Stop(HandlerError):
    """Raised by a handler: stop the consumer. The event is not finished: whoever reads next gets it again."""

    hint = "The consumer closes; start it again to go on."
