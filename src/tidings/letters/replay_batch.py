"""The letters a replay took together, and what their events or they themselves go on with."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from tidings.kafka.taken import TakenLetter
from tidings.letters.exact import embed
from tidings.letters.letter import LETTER_ID, REPLAY_COUNT, DeadLetter, Pair, cut
from tidings.letters.replay_parts import Outcome, Sent

_OURS = frozenset({REPLAY_COUNT, LETTER_ID, "tidings-resent"})


class Batch:
    """What becomes of the letters that were taken together."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        """Of the identities of those that match."""
        self.sent: list[tuple[TakenLetter, DeadLetter, Sent]] = []
        self.to_handle: list[tuple[TakenLetter, DeadLetter]] = []
        self.to_park: list[tuple[TakenLetter, DeadLetter, TakenLetter]] = []
        """Each with what is to be parked."""
        self.settled: list[tuple[TakenLetter, bytes | None]] = []
        self.left: list[TakenLetter] = []


def replay_headers(letter: DeadLetter) -> list[Pair]:
    """The record's own headers; those of an earlier replay are replaced."""
    kept = [pair for pair in letter.record_headers if pair[0] not in _OURS]
    count = b"%d" % (letter.replay_count + 1)
    return [*kept, (REPLAY_COUNT, count), (LETTER_ID, letter.letter_id.encode())]


def made_whole(letter: DeadLetter, origin: TakenLetter) -> DeadLetter | None:
    """A letter without its event, with it; None where another record has taken the place of its own."""
    if (origin.key, origin.headers) != (letter.key, letter.record_headers):
        return None
    event, encoding = embed(origin.value)
    return msgspec.structs.replace(letter, event=event, event_encoding=encoding, event_left_out=False)


def rejected_again(taken: TakenLetter, outcome: Outcome) -> TakenLetter:
    """The letter of an event that a handler has rejected, with the new reason."""
    letter = DeadLetter.decode(taken.value)
    now = datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)
    new = msgspec.structs.replace(
        letter,
        failure_reason=cut(outcome.reason),
        error_code=outcome.error_code,
        attempt_count=letter.attempt_count + outcome.attempts,
        last_attempt=now,
        replay_count=letter.replay_count + 1,
    )
    return msgspec.structs.replace(taken, value=new.encode())
