"""A publisher's health, from what the engine knows and what the transport answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidings.publishing.discarding import DiscardingEngine
from tidings.publishing.engine import Engine
from tidings.states import Health, HealthStatus

if TYPE_CHECKING:
    from tidings.settings import Settings


def health_of(engine: Engine, settings: Settings, timeout: float) -> Health:
    """The health of the publisher with this engine; asks the transport for up to ``timeout`` seconds."""
    if engine.closed:
        return _unhealthy("closed", "The publisher is closed: it refuses every event.")
    if isinstance(engine, DiscardingEngine):
        return Health(
            status=HealthStatus.HEALTHY, cause="disabled", message="Publishing is disabled (ENABLED=false)."
        )
    if engine.failure is not None:
        return _unhealthy(
            "failed", f"The publisher failed: {engine.failure}. Every event is refused; make a new Publisher."
        )
    try:
        answer = engine.start().health(timeout)
    except Exception as error:  # the health check of a service must answer, whatever broke
        return _unhealthy("client", f"The Kafka client cannot be started: {error}")
    return _with_store(engine, answer) if engine.stores else _without_store(engine, answer, settings)


def _without_store(engine: Engine, answer: Health, settings: Settings) -> Health:
    if answer.ok and engine.silence.seconds >= settings.outage_after:
        return _unhealthy(
            "silent",
            f"Kafka answers, but has acknowledged none of {engine.stats().in_flight} events in flight for "
            f"{engine.silence.seconds:.0f} s. They are in memory, and will be sent when it does.",
        )
    return answer


def _with_store(engine: Engine, answer: Health) -> Health:
    """Kafka may be away while there is room to keep events: degraded."""
    stats, failure = engine.stats(), engine.keeper.writer.failure
    if engine.gate.refusal is not None:
        return _unhealthy(
            "store_full", f"The store is full, with {stats.stored} events: new ones are refused."
        )
    if failure is not None:
        if not answer.ok:
            return _unhealthy("store_failed", f"{answer.message} And the store cannot be written: {failure}.")
        return _degraded("store_failed", f"Kafka answers, but the store cannot be written: {failure}.")
    if not answer.ok:
        return _degraded(
            answer.cause, f"{answer.message} Events are kept in the store: {stats.stored} so far."
        )
    if stats.breakers:
        topic, cause = next(iter(stats.breakers.items()))
        return _degraded(
            "breaker_open",
            f"{len(stats.breakers)} topic(s) take no events, {topic} for one ({cause}); they are kept.",
        )
    return answer


def _degraded(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.DEGRADED, cause=cause, message=message)


def _unhealthy(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.UNHEALTHY, cause=cause, message=message)
