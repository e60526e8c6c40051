"""Terms: how a handler is treated, checked and with the defaults of the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from tidings.consuming.retries import RetryPolicy
from tidings.consuming.verdicts import MOST_AFTER
from tidings.errors import ConfigError

if TYPE_CHECKING:
    from tidings.settings import Settings

_LONGEST_WINDOW: Final = 30 * 24 * 3600.0


class Terms(TypedDict, total=False):
    """How a handler is treated, as keywords of ``on``, ``on_batch`` and ``subscribe``.

    When it raises, it is called again ``retries`` times (default RETRY_MAX) after random pauses up to
    ``backoff`` seconds (default RETRY_BACKOFF), doubled each time up to RETRY_BACKOFF_MAX (and 300); then, or
    at once for what is not in ``retry_on`` (default Exception), the event becomes a letter. ``Reject``,
    ``Retry`` and ``Stop`` say otherwise.

    ``timeout`` is how long a call may take, in seconds: HANDLER_TIMEOUT.

    ``dedup``: the handler is not called with an event_id that it handled within this time (seconds, timedelta
    or a duration such as ``"1h"``; default None, not looked at): see the consumer's ``seen``. It makes
    duplicates rare, not impossible: after a crash, or where ``seen`` is in memory and a partition came from
    another member, an event may still be handled twice.

    ``outputs``: what a handler publishes must be in Kafka before its event counts as handled
    (``"delivered"``, the default), or is enough when it is safe on this machine's disk (``"stored"``).
    """

    retries: int
    backoff: float
    retry_on: type[Exception] | tuple[type[Exception], ...]
    timeout: float
    dedup: float | timedelta | str | None
    outputs: Literal["delivered", "stored"]


class Made(TypedDict):
    """The same with every default, as a Handler has them; times in seconds."""

    policy: RetryPolicy
    timeout: float
    dedup: float | None
    outputs: Literal["delivered", "stored"]


def checked_terms(
    settings: Settings,
    *,
    retries: int | None = None,
    backoff: float | None = None,
    retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
    timeout: float | None = None,
    dedup: float | timedelta | str | None = None,
    outputs: Literal["delivered", "stored"] = "delivered",
) -> Made:
    """Terms with the defaults of the settings, checked. Raises ConfigError."""
    longest = min(settings.retry_backoff_max, MOST_AFTER)
    first = min(settings.retry_backoff, longest) if backoff is None else backoff
    policy = RetryPolicy(
        repeats=settings.retry_max if retries is None else retries,
        backoff=first,
        backoff_max=max(first, longest),
        on=retry_on if isinstance(retry_on, tuple) else (retry_on,),
    )
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ConfigError(f"timeout={timeout}: it is a number of seconds above 0.")
    if outputs not in ("delivered", "stored"):
        raise ConfigError(f"outputs={outputs!r}: it is 'delivered' or 'stored'.")
    return {
        "policy": policy,
        "timeout": settings.handler_timeout if timeout is None else timeout,
        "dedup": None if dedup is None else _window(dedup),
        "outputs": outputs,
    }


def _window(given: float | timedelta | str) -> float:
    from tidings.settings.values import seconds  # noqa: PLC0415 - pydantic costs 160 ms to import

    try:
        window = float(seconds(given))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"dedup={given!r}: {error}") from None
    if not 0 < window <= _LONGEST_WINDOW:
        raise ConfigError(f"dedup={given!r}: it is above 0, and 30 days at most.")
    return window
