"""The ledger of replays: which letters were settled before, read from the topic that records them."""

from __future__ import annotations

import hashlib
import time

from tidings.kafka.reading import bounds, reader, scan
from tidings.settings import Settings

_MOST = 1_000_000
"""Letters remembered, the newest: some 100 MB. One forgotten may be replayed twice, under its event_id."""


def fingerprint(letter: bytes | None) -> bytes:
    """What tells one letter from another, as text: a copy of it has the same, one edited by hand has not."""
    return hashlib.blake2b(letter or b"", digest_size=16).hexdigest().encode()


class ReplayLedger:
    """The keys of ``<dead-letter topic>.replays``. ``refresh`` reads on where it stopped. One thread."""

    def __init__(self, settings: Settings, topic: str, group: str) -> None:
        self._topic = topic
        self._consumer = reader(settings, group)
        self._read: dict[int, int] = {}
        self._settled: dict[bytes, None] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._settled

    def add(self, key: bytes) -> None:
        """This letter is settled from now on."""
        self._settled[key] = None
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
                self.add(key)
        self._read = {partition: high for partition, (_, high) in spans.items()}
        return bool(found)

    def close(self) -> None:
        """Let go of the consumer; it is in no group."""
        self._consumer.close()
