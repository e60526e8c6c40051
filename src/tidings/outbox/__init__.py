"""The transactional outbox: events are rows of the application's own transaction, and a relay publishes them.

    outbox = Outbox()                                    # settings from the environment; needs no Kafka
    with Session(engine) as session, session.begin():
        session.add(order)
        outbox.add(session, OrderPlaced(order.id, 4200))

    Relay(engine).run()                                  # in a process of its own, or several

**What is promised.** Committed: published at least once, always under the same event_id, or a letter.
Rolled back: never. A row leaves the table (or is marked as sent) only when Kafka has its event, or when its
letter is safe. An event is checked, encoded, routed and given its event_id when it is added; what cannot be
published raises there, and nothing is inserted.

**Order.** If the transaction of one event was committed before another event of the same topic and key was
added, they are first published in that order, through any number of relays, whichever of them die. Copies may
come later. Transactions of one key that overlap have no order that a database could tell: ids are drawn when
events are added, and a smaller id may be committed later. So change first and add afterwards, as ``add`` does
with what a Session has not flushed: whoever adds then has the lock on what it changed, and the order of ids
is that of the commits. Where nothing is changed that could lock, ``Outbox(lock_keys=True)`` locks the key
itself, on Postgres; on SQLite there is one writer at a time, and nothing overlaps. Within one batch the order
is that of the publisher: a record that Kafka refuses, or that times out, may be overtaken.

**How.** A row may be *held*: ``held_until`` lies in the future, because a relay (``holder``) has it under a
lease, or because it failed and waits. Of a *lane* (a topic and key) nothing can be taken while any row of it
is held. A relay looks for rows that could be taken, in order of their ids; locks those of them that still can
(``FOR UPDATE SKIP LOCKED``; on SQLite ``BEGIN IMMEDIATE``); of each lane keeps what stands before the first
one it did not get; and holds these. That is all the agreement relays need: no leader, and no clock but the
database's. A relay that dies takes nothing along; its leases run out.

Rooms: ``drafting`` makes rows of events, ``table`` is the table for SQLAlchemy, ``adding`` the Outbox;
``choosing`` decides what may be taken, ``rows`` speaks to the database, ``database`` connects to it;
``press`` hands rows to the publisher, ``flight`` is what is under way, ``working`` the thread,
``trouble`` what keeps it from its work, ``relay`` the Relay. ``django`` is the same for Django.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.outbox.adding import Outbox
    from tidings.outbox.relay import Relay
    from tidings.outbox.states import RelayReport, RelayStats
    from tidings.outbox.table import outbox_table

__all__ = ["Outbox", "Relay", "RelayReport", "RelayStats", "outbox_table"]

_LATER = {
    "Outbox": "tidings.outbox.adding",
    "Relay": "tidings.outbox.relay",
    "RelayReport": "tidings.outbox.states",
    "RelayStats": "tidings.outbox.states",
    "outbox_table": "tidings.outbox.table",
}
"""Imported when asked for: who only adds needs no relay, and Django needs no SQLAlchemy."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
