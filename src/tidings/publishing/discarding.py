"""The engine of a disabled publisher: takes everything, keeps nothing, and says so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tidings.errors import PublisherClosed
from tidings.publishing.engine import Engine
from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.threads import native_rlock
from tidings.publishing.transport import Transport
from tidings.states import State, Stats

if TYPE_CHECKING:
    from tidings.settings import Settings


class DiscardingEngine(Engine):
    """Deliveries settle at once as ``discarded``. Events are still checked, so that tests mean something."""

    def __init__(self, settings: Settings, logger: logging.Logger) -> None:
        super().__init__(no_transport, settings, None, logger)
        self._discarded = 0
        self._counting = native_rlock()
        self.accept = self._discard

    def _discard(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: bytes,
        *_: object,
    ) -> Delivery:
        if self.closed:
            raise PublisherClosed("The publisher was closed.")
        with self._counting:
            self._discarded += 1
        entry = Delivery(self, topic, key, None, None, event_id)
        entry.handed = entry.ended = True
        entry.state = State.DISCARDED
        return entry

    def stats(self) -> Stats:
        rejected = self.ledger.rejected
        return Stats(
            discarded=self._discarded,
            rejected=sum(rejected.values()),
            rejected_by=rejected,
            is_closed=self.closed,
        )


def no_transport() -> Transport:
    """Never called: a disabled publisher connects to nothing."""
    raise AssertionError("a disabled publisher has no transport")
