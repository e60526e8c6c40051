"""Watching a service: its health, its metrics, its logs, its traces. All of it listens, and changes nothing.

What is named here is public, and loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.observe.health import HealthRegistry
    from tidings.observe.report import CheckReport, HealthReport

_HOMES = {
    "CheckReport": "report",
    "HealthRegistry": "health",
    "HealthReport": "report",
}

__all__ = ["CheckReport", "HealthRegistry", "HealthReport"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tidings.observe.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
