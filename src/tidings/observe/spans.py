"""Spans as OpenTelemetry's messaging conventions have them, and the context that record headers carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tidings.events.headers import Pair

_W3C: Final = TraceContextTextMapPropagator()
_NAMES: Final = frozenset(("traceparent", "tracestate"))
_LONGEST_HEADER: Final = 4096
Attributes = dict[str, str | int | bool]


def about(operation: str, topic: str, client_id: str) -> Attributes:
    """What every span says."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "messaging.client.id": client_id,
    }


def fail(span: Span, error_type: str, reason: str | None = None) -> None:
    """Mark a span as failed."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, reason or error_type)


def links_to(of: Sequence[list[Pair]]) -> list[Link]:
    """Links to where these records come from, as their headers tell."""
    contexts = [get_current_span(extracted(headers)).get_span_context() for headers in of]
    return [Link(context) for context in contexts if context.is_valid]


def extracted(headers: list[Pair]) -> Context:
    """The context that a record carries; an empty one where it carries none, or nonsense."""
    carrier = {
        name: value.decode(errors="replace")
        for name, value in headers
        if name in _NAMES and value is not None and len(value) <= _LONGEST_HEADER
    }
    return _W3C.extract(carrier, Context())


def is_in_a_trace(headers: list[Pair]) -> bool:
    """True for the headers of a record that has a context already."""
    return any(name in _NAMES for name, _ in headers)


def context_headers(span: Span) -> list[Pair]:
    """The headers that carry a span's context."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span, Context()))
    return [(name, text.encode()) for name, text in carrier.items()]
