"""What becomes of an event whose handler failed: again after a pause, a letter, or stop. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tidings.consuming.verdicts import MOST_AFTER, Reject, Retry, Stop
from tidings.errors import ConfigError


class Again(msgspec.Struct, frozen=True):
    """Hand it over again after so many seconds."""

    after: float


class GiveUp(msgspec.Struct, frozen=True):
    """It becomes a letter. ``is_asked``: by Reject, and not for want of attempts."""

    is_asked: bool = False


class Halt(msgspec.Struct, frozen=True):
    """The consumer is to stop, and the event stays unfinished."""


class Hold(msgspec.Struct, frozen=True):
    """What is behind the handler is away: it waits until that is back."""


class Wait(msgspec.Struct, frozen=True):
    """It was not tried: look again after so many seconds."""

    after: float


Decision = Again | GiveUp | Halt | Hold | Wait


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a handler is given an event again, and when.

    ``repeats`` are attempts beyond the first (0: none). Before the n-th of them a random time is waited, up
    to ``backoff`` × 2ⁿ⁻¹ and never above ``backoff_max`` seconds ("full jitter": AWS Architecture Blog,
    "Exponential Backoff And Jitter", 2015). ``on`` are the exceptions that are worth another attempt.
    Raises ConfigError.
    """

    repeats: int = 3
    backoff: float = 0.1
    backoff_max: float = 30.0
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if not is_whole(self.repeats, 0, 1000):
            raise ConfigError(f"retries={self.repeats!r}: it is a whole number from 0 to 1000.")
        if not 0 <= self.backoff <= self.backoff_max <= MOST_AFTER:
            raise ConfigError(
                f"backoff={self.backoff}, backoff_max={self.backoff_max}: they are seconds, from 0 to "
                f"{MOST_AFTER:.0f}, and the first is not above the second."
            )
        if not all(isinstance(each, type) and issubclass(each, Exception) for each in self.on):
            raise ConfigError("retry_on: it is a tuple of exception classes.")

    def decide(self, error: BaseException, attempt: int, random: Callable[[], float]) -> Decision:
        """What now, after attempt number ``attempt`` (from 1) ended in ``error``; ``random()`` is below 1."""
        if isinstance(error, Stop):
            return Halt()
        if isinstance(error, Reject):
            return GiveUp(is_asked=True)
        if attempt > self.repeats:
            return GiveUp()
        if isinstance(error, Retry):
            return Again(error.after)
        if not isinstance(error, self.on):
            return GiveUp()
        return Again(random() * self.bound(attempt))

    def bound(self, attempt: int) -> float:
        """The longest pause after the ``attempt``-th attempt, in seconds."""
        return float(min(self.backoff_max, self.backoff * 2 ** min(attempt - 1, 60)))


def is_whole(number: object, least: int, most: int) -> bool:
    """Whether it is a whole number from ``least`` to ``most``."""
    return isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
