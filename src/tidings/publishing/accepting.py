"""Accepting: a record becomes an entry of the ledger and is handed over. The hot path does so inline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.outputs import current_outputs

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.publishing.guards.doors import Door

Accept = Callable[..., Delivery]
"""What ``accepting`` returns, or what stands in its place."""


def accepting(engine: Engine, normal: Door) -> Accept:
    """An accept() for this engine; ``normal`` is the door of records that no other is named for."""

    def accept(
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: bytes,
        partition: int = -1,
        timestamp: int = 0,
        max_block: float | None = None,
        door: Door = normal,
    ) -> Delivery:
        """Take one record and hand it over. Raises PublishError when nothing was taken.

        The entry arrives before produce(): close() then sees every record that is on its way. An exception
        of a signal handler can surface on either side of produce(); ``asked`` tells which.
        """
        entry = Delivery(engine, topic, key, value, headers, event_id, partition, timestamp)
        asked = False
        try:
            door(entry)
            asked = True
            engine.produce(topic, value, key, partition, entry, None, timestamp, headers)
        except BaseException as error:
            try:
                engine.not_handed(entry, error, asked, max_block)
            finally:  # also when a second signal came: whatever is left of the entry is the engine's
                entry.handed = True
        entry.handed = True
        if (outputs := current_outputs()) is not None:
            outputs.append(entry)
        return entry

    return accept
