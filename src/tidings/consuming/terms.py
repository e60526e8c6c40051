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
    ``backoff`` (default RETRY_BACKOFF), doubled each time up to RETRY_BACKOFF_MAX (and 300 s); then, or at
    once for what is not in ``retry_on`` (default Exception), the event becomes a letter. ``Reject``,
    ``Retry`` and ``Stop`` say otherwise.

    ``timeout`` is how long a call may take: HANDLER_TIMEOUT. All times are seconds, a timedelta or a duration
    such as ``"1h"``.

    ``dedup``: the handler is not called with an event_id that it handled within this time (default None, not
    looked at): see the consumer's ``seen``. It makes duplicates rare, not impossible: after a crash, or where
    ``seen`` is in memory and a partition came from another member, an event may still be handled twice.

    ``outputs``: what a handler publishes must be in Kafka before its event counts as handled
    (``"delivered"``, the default), or is enough when it is safe on this machine's disk (``"stored"``).
    """

    retries: int
    backoff: float | timedelta | str
    retry_on: type[Exception] | tuple[type[Exception], ...]
    timeout: float | timedelta | str
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
    backoff: float | timedelta | str | None = None,
    retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
    timeout: float | timedelta | str | None = None,
    dedup: float | timedelta | str | None = None,
    outputs: Literal["delivered", "stored"] = "delivered",
    **unknown: object,
) -> Made:
    """Terms with the defaults of the settings, checked. Raises ConfigError."""
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: no such term; there are {', '.join(Terms.__annotations__)}."
        )
    longest = min(settings.retry_backoff_max, MOST_AFTER)
    first = min(settings.retry_backoff, longest) if backoff is None else _seconds("backoff", backoff)
    policy = RetryPolicy(
        repeats=settings.retry_max if retries is None else retries,
        backoff=first,
        backoff_max=max(first, longest),
        on=retry_on if isinstance(retry_on, tuple) else (retry_on,),
    )
    limit = settings.handler_timeout if timeout is None else _seconds("timeout", timeout)
    if not 0 < limit < float("inf"):
        raise ConfigError(f"timeout={timeout!r}: it is above 0.")
    if outputs not in ("delivered", "stored"):
        raise ConfigError(f"outputs={outputs!r}: it is 'delivered' or 'stored'.")
    return {
        "policy": policy,
        "timeout": limit,
        "dedup": None if dedup is None else _window(dedup),
        "outputs": outputs,
    }


def _window(given: float | timedelta | str) -> float:
    window = _seconds("dedup", given)
    if not 0 < window <= _LONGEST_WINDOW:
        raise ConfigError(f"dedup={given!r}: it is above 0, and 30 days at most.")
    return window


def _seconds(name: str, given: float | timedelta | str) -> float:
    from tidings.settings.values import seconds  # noqa: PLC0415 - pydantic costs 160 ms to import

    try:
        return seconds(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}={given!r}: {error}") from None
