"""Health of a consumer: what is wrong, in a stable word and a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidings.states import Health, HealthStatus

if TYPE_CHECKING:
    from tidings.consuming.engine import Engine


def health_of(engine: Engine | None, timeout: float) -> Health:
    """The worst that is wrong. Asks Kafka only where it complained since the last time. Raises nothing."""
    if engine is None:
        return _unhealthy("not_started", "The consumer has not started.")
    if engine.failure is not None:
        return _unhealthy("failed", f"The consumer has stopped for good: {engine.failure}")
    if engine.is_closing:
        return _unhealthy("closed", f"The consumer is closed. {engine.reason}".rstrip())
    if stuck := engine.runner.hanging():
        return _unhealthy("handler_hangs", stuck)
    if engine.fate.shut:
        names = ", ".join(route.handler.name for route in list(engine.fate.shut))
        return _unhealthy(
            "handler_outage", f"{names}: every key fails in the same way. Look at what is behind it."
        )
    if (found := _ask_kafka(engine, timeout)) is None and engine.letters.trouble:
        found = Health(
            status=HealthStatus.DEGRADED,
            cause="letters_wait",
            message=f"{engine.letters.waiting} letters cannot be written ({engine.letters.trouble}), and "
            "hold offsets back. Create DLQ_TOPIC, or allow this client to write there.",
        )
    return _healthy(engine) if found is None else found


def _healthy(engine: Engine) -> Health:
    cause, message = "healthy", "Events are being handled."
    if not engine.is_enabled:
        cause, message = "disabled", "KAFKA_ENABLED is false: nothing is consumed."
    return Health(status=HealthStatus.HEALTHY, cause=cause, message=message)


def _ask_kafka(engine: Engine, timeout: float) -> Health | None:
    complaint = engine.complaint
    if complaint is None:
        return None
    words, is_blocking = complaint
    if is_blocking:
        return _unhealthy(
            "cannot_read", f"Kafka says {words}. Create the topic, or allow this client to read it."
        )
    found = engine.transport.health(timeout)
    if not found.ok:
        return found
    if engine.complaint == complaint:
        engine.complaint = None
    return None


def _unhealthy(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.UNHEALTHY, cause=cause, message=message)
