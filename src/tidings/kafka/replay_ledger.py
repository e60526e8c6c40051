"""The ledger of replays: which letters were settled before, read from the topic that records them."""

from __future__ import annotations

import time
from datetime import datetime

import msgspec

from tidings.kafka.reading import bounds, reader, scan
from tidings.kafka.taken import Identity
from tidings.settings import Settings

_MOST = 1_000_000
"""Letters remembered, the newest: some 100 MB. One forgotten may be replayed twice, under its event_id."""
_FOR_EVER = float("inf")


class _Note(msgspec.Struct):
    """What a note says of times. The letter's own is there because clocks differ."""

    at: datetime | None = None
    first_attempt: datetime | None = None


_read_note = msgspec.json.Decoder(_Note).decode


class ReplayLedger:
    """The keys of ``<dead-letter topic>.replays``. ``refresh`` reads on where it stopped. One thread."""

    def __init__(self, settings: Settings, topic: str, group: str) -> None:
        self._topic = topic
        self._consumer = reader(settings, group)
        self._read: dict[int, int] = {}
        self._settled: dict[bytes, float] = {}

    def __contains__(self, letter: Identity) -> bool:
        return letter.since <= self._settled.get(letter.key, -1.0)

    def add(self, key: bytes, note: bytes | None) -> None:
        """The letter of this key is settled from now on, as the note says."""
        self._settled[key] = _settled_until(note)
        if len(self._settled) > _MOST:
            del self._settled[next(iter(self._settled))]

    def refresh(self, timeout: float) -> bool:
        """Read to the topic's end; False when there is no such topic. Raises as ``scan`` does."""
        deadline = time.monotonic() + timeout
        found = bounds(self._consumer, self._topic, timeout)
        spans = {
            partition: (max(low, self._read.get(partition, 0)), high)
            for partition, (low, high) in found.items()
        }
        for message in scan(self._consumer, self._topic, spans, deadline):
            if (key := message.key()) is not None:
                self.add(key, message.value())
        self._read = {partition: high for partition, (_, high) in spans.items()}
        return bool(found)

    def close(self) -> None:
        """Let go of the consumer; it is in no group."""
        self._consumer.close()


def _settled_until(note: bytes | None) -> float:
    """A letter is settled whose first attempt was not later than this (seconds since 1970)."""
    try:
        it = _read_note(note or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _FOR_EVER
    return max((time.timestamp() for time in (it.at, it.first_attempt) if time), default=_FOR_EVER)
