"""Faults, and a judge outside the process: for proving that a service loses no event.

What is named here is public, and loaded when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.testing.faults.crash import arm
    from tidings.testing.faults.ledger import Ledger, LedgerReader, Life
    from tidings.testing.faults.leftover import Leftover, read_store
    from tidings.testing.faults.load import Load, mark_of
    from tidings.testing.faults.named import FAULTS, Fault
    from tidings.testing.faults.program import Program
    from tidings.testing.faults.proxy import Proxies
    from tidings.testing.faults.reading import Letter, Records, by_event_id, read_letters, read_records
    from tidings.testing.faults.schedule import Planned, Schedule
    from tidings.testing.faults.trial import Trial
    from tidings.testing.faults.verdict import Verdict, judge

_HOMES = {
    "FAULTS": "named",
    "Fault": "named",
    "Ledger": "ledger",
    "LedgerReader": "ledger",
    "Leftover": "leftover",
    "Letter": "reading",
    "Life": "ledger",
    "Load": "load",
    "Planned": "schedule",
    "Program": "program",
    "Proxies": "proxy",
    "Records": "reading",
    "Schedule": "schedule",
    "Trial": "trial",
    "Verdict": "verdict",
    "arm": "crash",
    "by_event_id": "reading",
    "judge": "verdict",
    "mark_of": "load",
    "read_letters": "reading",
    "read_records": "reading",
    "read_store": "leftover",
}

__all__ = [
    "FAULTS",
    "Fault",
    "Ledger",
    "LedgerReader",
    "Leftover",
    "Letter",
    "Life",
    "Load",
    "Planned",
    "Program",
    "Proxies",
    "Records",
    "Schedule",
    "Trial",
    "Verdict",
    "arm",
    "by_event_id",
    "judge",
    "mark_of",
    "read_letters",
    "read_records",
    "read_store",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
