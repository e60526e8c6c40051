"""Load shedding: while room runs short, events of a lower priority are refused first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tidings.errors import PublishError, QueueFull, StoreFull
from tidings.events.declare import Priority

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

SHARES: Final[Mapping[Priority, float]] = MappingProxyType({"low": 0.8, "normal": 0.95, "high": 1.0})
"""How much of the room may be used up before events of a priority are refused."""
ALL_OF_IT: Final[Mapping[Priority, float]] = MappingProxyType(dict.fromkeys(SHARES, 1.0))
"""The same where nothing is shed."""
_RECENT = 64
"""The mean size of values follows about so many events."""


class Room:
    """How much of the engine's room is used up: of its store and the way there, or of the queue without one.

    With a store a full queue refuses nobody, since events go to the disk then. Any thread.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._messages = settings.queue_messages
        self._bytes = settings.queue_bytes
        self._mean_size = 0.0

    def shortage(self, share: float, size: int) -> tuple[type[PublishError], str] | None:
        """What is used up to more than ``share``, as the error and the words for it; ``size`` is that of the
        event's value."""
        engine = self._engine
        self._mean_size += (size - self._mean_size) / _RECENT
        if engine.stores:
            if (used := engine.keeper.store_share) > share:
                return StoreFull, f"{used:.0%} of the store is used"
            if (used := engine.gate.share) > share:
                return QueueFull, f"{used:.0%} of the way to the store is used"
        elif engine.transport is not None:
            waiting = len(engine.transport)
            used = max(waiting / self._messages, waiting * self._mean_size / self._bytes)
            if used > share:
                return QueueFull, f"{min(used, 1.0):.0%} of the queue is used"
        return None
