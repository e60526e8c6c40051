"""Event ids and timestamps: a UUIDv7 (RFC 9562) and an RFC 3339 text, from one look at the clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

_COUNTER = [b"%03x" % n for n in range(4096)]
_Tick = tuple[int, bytes, Callable[[], bytes], bytes]

Stamper = Callable[[], tuple[bytes, bytes]]
"""Gives (event_id, timestamp), both ASCII: ``0192…`` of 36 characters, ``2026-01-02T03:04:05.678Z``."""


def stamper(on_tick: Callable[[], None]) -> Stamper:
    """Make a source of ids and timestamps; any thread may call it.

    What does not change within a millisecond is made once a millisecond, with 62 fresh random bits; the
    ids of one millisecond then count up in the last 12 bits (RFC 9562, 6.2). An id never goes below the
    last millisecond used, whatever the clock does. ``on_tick`` is called at every new millisecond that
    sees an event, before its id is drawn. Make a new stamper after a fork.
    """
    now_ns = time.time_ns
    tick: _Tick = (-1, b"", _exhausted().__next__, b"")
    newest = 0

    def renew(ms: int) -> _Tick:
        nonlocal tick, newest
        on_tick()
        newest = max(ms, newest)
        tick = (ms, _prefix(newest), iter(_COUNTER).__next__, _text(ms))
        return tick

    def stamp() -> tuple[bytes, bytes]:
        ms, prefix, count, text = tick
        if (now := now_ns() // 1_000_000) != ms:
            ms, prefix, count, text = renew(now)
        while True:
            try:
                return prefix + count(), text
            except StopIteration:  # 4,096 ids in this millisecond: take new random bits
                ms, prefix, count, text = renew(now)

    return stamp


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
