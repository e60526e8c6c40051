"""Groups of events as bytes: a frame for each event, and a table of the frames that is written twice.

One flipped bit destroys one event at most: a frame has its own checksum, and when one table is broken the
other has the lengths of all frames. A table is, per event, the distance of its seq from the group's first,
the length of its frame and the frame's crc32 (three arrays of little-endian u32), then the crc32 of all that.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import attrgetter
from zlib import crc32

import msgspec

from tidings.letters.owed import Owed

MOST_EVENTS = 2000
MOST_BYTES = 1 << 20
MOST_SPAN = 1 << 16
"""Seqs from a group's first to its last event: bounds how far back a reader has to look for groups."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Owed).decode
_seq_of = attrgetter("seq")
_accepted_of = attrgetter("accepted")


class Table(msgspec.Struct):
    """Which events a group has, and where their frames are."""

    seqs: list[int]
    lengths: Sequence[int]
    checksums: Sequence[int]

    @property
    def is_contiguous(self) -> bool:
        """True when no number between the first and the last is missing."""
        return self.seqs[-1] - self.seqs[0] == len(self.seqs) - 1

    def to_bytes(self) -> bytes:
        """As it is written."""
        first = self.seqs[0]
        body = b"".join(_u32([seq - first for seq in self.seqs] if part is None else part) for part in (
            None, self.lengths, self.checksums
        ))  # fmt: skip
        return body + _u32([crc32(body)])


class Packed(msgspec.Struct):
    """A group as it is written."""

    table: Table
    oldest: int
    frames: bytes


def pack(events: list[Owed]) -> Iterator[Packed]:
    """Groups of the events, which are of one topic; in order of seq, within the bounds of a group."""
    events = sorted(events, key=_seq_of)
    start = 0
    while start < len(events):
        chunk = events[start : start + MOST_EVENTS]
        seqs = list(map(_seq_of, chunk))
        frames = list(map(_encode, chunk))
        count = bisect_right(seqs, seqs[0] + MOST_SPAN)
        if sum(map(len, frames)) > MOST_BYTES:
            ends = list(accumulate(map(len, frames)))
            count = min(count, max(1, bisect_right(ends, MOST_BYTES)))
        del chunk[count:], seqs[count:], frames[count:]
        table = Table(seqs, list(map(len, frames)), list(map(crc32, frames)))
        yield Packed(table, min(map(_accepted_of, chunk)), b"".join(frames))
        start += count


def parse_table(first: int, table: bytes) -> Table | None:
    """The table of a group whose first seq is known; None when its bytes are damaged."""
    if len(table) % 12 != 4 or len(table) < 16 or crc32(table[:-4]) != int.from_bytes(table[-4:], "little"):
        return None
    count = len(table) // 12
    numbers = array("I", table[:-4])
    if sys.byteorder == "big":
        numbers.byteswap()
    seqs = [first + distance for distance in numbers[:count]]
    return Table(seqs, numbers[count : 2 * count], numbers[2 * count :])


def unpack(frame: bytes, checksum: int) -> Owed | None:
    """The event of a frame; None when its bytes are damaged."""
    if crc32(frame) != checksum:
        return None
    try:
        return _decode(frame)
    except msgspec.MsgspecError:
        return None


def read_damaged(frame: bytes) -> Owed | None:
    """An event from a frame whose checksum is wrong, if it still can be read: only to say what is lost."""
    try:
        return _decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _u32(numbers: Sequence[int]) -> bytes:
    packed = array("I", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
