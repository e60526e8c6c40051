"""Health of a relay: what is wrong, in a stable word and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable

from tidings.outbox.states import RelayStats
from tidings.outbox.working import Work
from tidings.states import Health, HealthStatus


def health_of(
    stats: RelayStats, work: Work, ask_kafka: Callable[[], Health] | None, late_after: float
) -> Health:
    """The worst that is wrong; ``ask_kafka`` is None where publishing is disabled."""
    if (found := _ended(stats, work)) is not None:
        return found
    if trouble := work.trouble.words:
        return _unhealthy("database", f"The outbox cannot be worked on: {trouble}")
    if ask_kafka is None:
        return _degraded("disabled", "Publishing is disabled (ENABLED=false): rows stay in the outbox.")
    if not (kafka := ask_kafka()).ok:
        return _degraded(kafka.cause, f"{kafka.message} Rows wait in the outbox.")
    if stats.oldest is not None and stats.oldest > late_after:
        return _degraded(
            "late",
            f"{stats.waiting} rows wait in the outbox, the first for {stats.oldest:.0f} s. Its column error "
            "says why it failed; where it did not, start more relays.",
        )
    return Health(status=HealthStatus.HEALTHY, cause="healthy", message="Rows are being published.")


def _ended(stats: RelayStats, work: Work) -> Health | None:
    if work.failure is not None:
        return _unhealthy("failed", f"The relay has ended: {work.failure}")
    if stats.is_running:
        return None
    state = "is closed" if stats.is_closed else "has not started"
    return _unhealthy("not_running", f"The relay {state}: rows of the outbox wait.")


def _degraded(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.DEGRADED, cause=cause, message=message)


def _unhealthy(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.UNHEALTHY, cause=cause, message=message)
