"""Event ids and timestamps: a UUIDv7 (RFC 9562) and an RFC 3339 text, from one look at the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from random import Random

_COUNTER = [b"%03x" % n for n in range(4096)]
Tick = tuple[int, bytes, Callable[[], bytes], bytes]
"""A millisecond, the start of its ids, what gives the rest of each, and its RFC 3339 text."""


class Stamper:
    """Gives each event its id and its time; any thread may call it.

    What does not change within a millisecond is made once a millisecond, with 62 fresh random bits; the
    ids of one millisecond then count up in the last 12 bits (RFC 9562, 6.2). An id never goes below the
    last millisecond used, whatever the clock does. ``on_tick`` is called at every new millisecond that
    sees an event, before its id is drawn. Make a new stamper after a fork.
    """

    __slots__ = ("_newest", "_on_tick", "tick")

    def __init__(self, on_tick: Callable[[], None]) -> None:
        self.tick: Tick = (-1, b"", _exhausted().__next__, b"")
        self._on_tick = on_tick
        self._newest = 0

    def __call__(self) -> tuple[bytes, bytes]:
        """(event_id, timestamp), both ASCII: ``0192…`` of 36 characters, ``2026-01-02T03:04:05.678Z``."""
        ms, prefix, count, text = self.tick
        if (now := time.time_ns() // 1_000_000) != ms:
            ms, prefix, count, text = self._renew(now)
        while True:
            try:
                return prefix + count(), text
            except StopIteration:  # 4,096 ids in this millisecond: take new random bits
                ms, prefix, count, text = self._renew(now)

    def _renew(self, ms: int) -> Tick:
        self._on_tick()
        self._newest = max(ms, self._newest)
        self.tick = tick = (ms, _prefix(self._newest), iter(_COUNTER).__next__, _text(ms))
        return tick


def new_id() -> str:
    """A UUIDv7 with 74 random bits, for what has no Stamper; unlike its ids, these need no system call.

    May be asked for on either side of a fork. Any thread.
    """
    ms, bits = time.time_ns() // 1_000_000, _random.getrandbits(74)
    return (
        f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{bits & 0xFFF:03x}-"
        f"{0x8000 | (bits >> 12 & 0x3FFF):04x}-{bits >> 26:012x}"
    )


_random = Random()  # noqa: S311 - no secrets; and our own, as applications seed the shared one
os.register_at_fork(after_in_child=_random.seed)


def _exhausted() -> Iterator[bytes]:
    return iter(())


def _prefix(ms: int) -> bytes:
    bits = int.from_bytes(os.urandom(8))
    return b"%08x-%04x-7%03x-%04x-%09x" % (
        ms >> 16,
        ms & 0xFFFF,
        bits & 0xFFF,
        0x8000 | (bits >> 12 & 0x3FFF),
        bits >> 26 & 0xFFFFFFFFF,
    )


def _text(ms: int) -> bytes:
    seconds, rest = divmod(ms, 1000)
    return b"%s.%03dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), rest)
