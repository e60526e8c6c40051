"""A dead-letter topic in memory, as the source of a replay; and letters as a consumer writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from support.consuming import event_value
from support.replaying import letter
from tidings.errors import BrokersUnavailable
from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter

BORN = 1_700_000_000_000
"""The record timestamp of every event, in milliseconds since 1970."""


def given_up(number: int, *, group: str = "billing", **more: Any) -> DeadLetter:
    """The letter of an ``order.placed`` of key ``o-<number % 3>`` read at offset ``number``."""
    plain: dict[str, Any] = {
        "origin": "consumer",
        "group": group,
        "partition": 2,
        "offset": number,
        "letter_id": f"{group}-{number}",
        "error_code": "KAFKA_HANDLER_FAILED",
        "reason": "RuntimeError: no",
        "value": event_value(event_id=f"e-{number}", order_id=f"o-{number % 3}", total=number),
        "key": b"o-%d" % (number % 3),
        "record_timestamp": BORN,
    }
    return letter(number, **{**plain, **more})


class Pile:
    """Keeps what is settled over many runs, as ``<topic>.replays`` does."""

    name = "dead-letters"
    topics = frozenset({"dead-letters"})

    def __init__(self, *letters: DeadLetter | bytes) -> None:
        self.letters = [it if isinstance(it, bytes) else it.encode() for it in letters]
        self.settled: set[bytes] = set()
        self.parked: list[DeadLetter] = []
        self.notes: list[dict[str, Any]] = []
        self.origins: dict[tuple[str, int, int], TakenLetter] = {}
        self.failing = ""
        """What fails: "park" or "origin"."""
        self._next = 0

    @property
    def actions(self) -> list[str]:
        return [note["action"] for note in self.notes]

    @property
    def waiting(self) -> int:
        """Letters that a later run finds."""
        return sum(
            self._taken(number).identity.key not in self.settled for number in range(len(self.letters))
        )

    def survey(self, name: str) -> Iterator[tuple[TakenLetter, bool]]:
        for number in range(len(self.letters)):
            yield (taken := self._taken(number)), self.is_settled(taken)

    def begin(self, name: str, note: bytes, note_key: bytes) -> None:
        self._next = 0
        self.note(note, note_key)

    def take(self, most: int) -> list[TakenLetter] | None:
        numbers = range(self._next, min(self._next + most, len(self.letters)))
        self._next = numbers.stop
        return [self._taken(number) for number in numbers] or None

    def is_settled(self, taken: TakenLetter) -> bool:
        return taken.identity.key in self.settled

    def origin(self, topic: str, partition: int, offset: int) -> TakenLetter | None:
        if self.failing == "origin":
            raise BrokersUnavailable("nobody answers")
        return self.origins.get((topic, partition, offset))

    def park(self, letters: Sequence[TakenLetter]) -> None:
        if self.failing == "park":
            raise BrokersUnavailable("the parked topic is away")
        self.parked += [DeadLetter.decode(taken.value) for taken in letters]

    def finish(
        self, settled: Sequence[tuple[TakenLetter, bytes | None]], left: Sequence[TakenLetter]
    ) -> None:
        for taken, note in settled:
            if note is not None:
                self.note(note, b"")
                self.settled.add(taken.identity.key)

    def note(self, note: bytes, key: bytes) -> None:
        self.notes.append(json.loads(note))

    def close(self) -> None:
        """Nothing to let go of."""

    def _taken(self, number: int) -> TakenLetter:
        place = f"{self.name}[0]@{number}"
        return TakenLetter(place, self.letters[number], b"k", [], 0, number)
