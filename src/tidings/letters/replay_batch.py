"""The letters a replay took together, and the headers their events are sent with."""

from __future__ import annotations

from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import LETTER_ID, REPLAY_COUNT, DeadLetter, Pair
from tidings.letters.replay_parts import Sent

_OURS = frozenset({REPLAY_COUNT, LETTER_ID, "tidings-resent"})


class Batch:
    """What becomes of the letters that were taken together."""

    def __init__(self) -> None:
        self.values: set[bytes | None] = set()
        self.sent: list[tuple[TakenLetter, DeadLetter, Sent]] = []
        self.to_park: list[tuple[TakenLetter, DeadLetter]] = []
        self.settled: list[tuple[TakenLetter, bytes | None]] = []
        self.left: list[TakenLetter] = []


def replay_headers(letter: DeadLetter) -> list[Pair]:
    """The record's own headers; those of an earlier replay are replaced."""
    kept = [pair for pair in letter.record_headers if pair[0] not in _OURS]
    count = b"%d" % (letter.replay_count + 1)
    return [*kept, (REPLAY_COUNT, count), (LETTER_ID, letter.letter_id.encode())]
