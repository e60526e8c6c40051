"""Brokers and an in-memory transport, for testing services that use tidings.

What is named here is public, and loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.testing.embedded import EmbeddedBroker
    from tidings.testing.errors import EmbeddedBrokerError, RealKafkaError, RealKafkaUnavailable
    from tidings.testing.kafkaadmin import ExistingKafka
    from tidings.testing.memory import InMemoryRecord, InMemoryTransport
    from tidings.testing.mockcluster import EmbeddedCluster
    from tidings.testing.realkafka import RealKafka

# pytest loads the plugin beside this file in every run of every user: nothing may be imported here for it.
_HOMES = {
    "EmbeddedBroker": "embedded",
    "EmbeddedBrokerError": "errors",
    "EmbeddedCluster": "mockcluster",
    "ExistingKafka": "kafkaadmin",
    "InMemoryRecord": "memory",
    "InMemoryTransport": "memory",
    "RealKafka": "realkafka",
    "RealKafkaError": "errors",
    "RealKafkaUnavailable": "errors",
}

__all__ = [
    "EmbeddedBroker",
    "EmbeddedBrokerError",
    "EmbeddedCluster",
    "ExistingKafka",
    "InMemoryRecord",
    "InMemoryTransport",
    "RealKafka",
    "RealKafkaError",
    "RealKafkaUnavailable",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
