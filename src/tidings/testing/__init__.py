"""Brokers, an in-memory transport and faults, for testing services that use tidings.

What is named here is public, and loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.testing.embedded import EmbeddedBroker
    from tidings.testing.errors import EmbeddedBrokerError, RealKafkaError, RealKafkaUnavailable
    from tidings.testing.faults.ledger import Ledger
    from tidings.testing.faults.load import Load
    from tidings.testing.faults.program import Program
    from tidings.testing.faults.proxy import Proxies
    from tidings.testing.faults.schedule import Schedule
    from tidings.testing.faults.trial import Trial
    from tidings.testing.faults.verdict import Verdict, judge
    from tidings.testing.kafkaadmin import ExistingKafka
    from tidings.testing.memory import InMemoryRecord, InMemoryTransport
    from tidings.testing.memoryrepository import InMemoryEventRepository
    from tidings.testing.mockcluster import EmbeddedCluster
    from tidings.testing.realkafka import RealKafka

# pytest loads the plugin beside this file in every run of every user: nothing may be imported here for it.
_HOMES = {
    "EmbeddedBroker": "embedded",
    "EmbeddedBrokerError": "errors",
    "EmbeddedCluster": "mockcluster",
    "ExistingKafka": "kafkaadmin",
    "InMemoryEventRepository": "memoryrepository",
    "InMemoryRecord": "memory",
    "InMemoryTransport": "memory",
    "Ledger": "faults.ledger",
    "Load": "faults.load",
    "Program": "faults.program",
    "Proxies": "faults.proxy",
    "RealKafka": "realkafka",
    "RealKafkaError": "errors",
    "RealKafkaUnavailable": "errors",
    "Schedule": "faults.schedule",
    "Trial": "faults.trial",
    "Verdict": "faults.verdict",
    "judge": "faults.verdict",
}

__all__ = [
    "EmbeddedBroker",
    "EmbeddedBrokerError",
    "EmbeddedCluster",
    "ExistingKafka",
    "InMemoryEventRepository",
    "InMemoryRecord",
    "InMemoryTransport",
    "Ledger",
    "Load",
    "Program",
    "Proxies",
    "RealKafka",
    "RealKafkaError",
    "RealKafkaUnavailable",
    "Schedule",
    "Trial",
    "Verdict",
    "judge",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
