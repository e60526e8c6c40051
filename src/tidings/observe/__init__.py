"""Watching a service: its health, its metrics, its logs, its traces. All of it listens, and changes nothing.

What is named here is public, and loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.observe.health import HealthRegistry
    from tidings.observe.logs import CorrelationFilter, JsonFormatter
    from tidings.observe.otel import otel_metrics
    from tidings.observe.prometheus import prometheus_metrics, scrape
    from tidings.observe.report import CheckReport, HealthReport
    from tidings.observe.tracing import otel_tracing

_HOMES = {
    "CheckReport": "report",
    "CorrelationFilter": "logs",
    "HealthRegistry": "health",
    "HealthReport": "report",
    "JsonFormatter": "logs",
    "otel_metrics": "otel",
    "otel_tracing": "tracing",
    "prometheus_metrics": "prometheus",
    "scrape": "prometheus",
}

__all__ = [
    "CheckReport",
    "CorrelationFilter",
    "HealthRegistry",
    "HealthReport",
    "JsonFormatter",
    "otel_metrics",
    "otel_tracing",
    "prometheus_metrics",
    "scrape",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tidings.observe.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
