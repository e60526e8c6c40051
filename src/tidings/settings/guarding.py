"""Fields: guards in front of Kafka: how many events may come, and which are refused first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from tidings.settings.base import Group
from tidings.settings.values import json_object, mapping, shown, within
from tidings.topics import EVERY_TOPIC

_MOST = 1_000_000_000


def _caps(value: object) -> dict[str, int]:
    """Caps by topic, from a number for every topic or from a map. Raises ValueError."""
    if isinstance(value, str) and not value.lstrip().startswith("{") and "=" in value:
        value = mapping(value)
    elif isinstance(value, str) and value.lstrip().startswith("{"):
        value = json_object(value)
    if not isinstance(value, Mapping):
        value = {EVERY_TOPIC: value}
    return {str(name): _cap(cap) for name, cap in value.items()}


def _cap(value: object) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ValueError(
            f"{shown(value)} is not a number of events from 1 to {_MOST:,}; write 1000, or orders=1000,*=500"
        )
    return value


class Guarding(Group):
    """Guards in front of Kafka, all off by default: then they cost nothing. See ``docs/guards.md``."""

    rate_limit: Annotated[float, AfterValidator(within(0.001, _MOST, " events/s"))] | None = None
    """The most events a second that this publisher takes. Above it publish() waits for up to MAX_BLOCK and
    then raises RateLimited; in a running event loop at once. Not set: any number, as fast as Kafka takes
    them."""

    rate_burst: Annotated[int, AfterValidator(within(1, _MOST, ""))] | None = None
    """How many events may come at once before RATE_LIMIT counts. Default: those of one second, at least
    one."""

    bulkhead: Annotated[dict[str, int], BeforeValidator(_caps)] = Field(default_factory=dict)
    """The most events of one topic that may be under way: accepted, neither delivered nor in the store alone.
    One topic that is slow cannot take the whole queue then; above it publish() waits for up to MAX_BLOCK and
    raises BulkheadFull. While a topic's breaker is open its events go to the store and need no place; give it
    what comes in OUTAGE_AFTER at least, or the first seconds of an outage refuse some. A number for every
    topic, or a map, in which ``*`` is every other topic: ``orders=50000,*=10000``. Not set: no cap."""

    shedding: bool = False
    """True: when the store, or without one the queue, or the RATE_LIMIT is nearly used up, events declared
    with ``priority="low"`` are refused above 80%, ``normal`` ones above 95%, so that ``high`` ones still find
    room. False: priorities count for nothing, and everybody comes as far as there is room."""

    @property
    def burst(self) -> int:
        """How many events may come at once under RATE_LIMIT."""
        return self.rate_burst or max(1, math.ceil(self.rate_limit or 1))
