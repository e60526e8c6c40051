"""What a replay is given: where letters come from, and who sends their events again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import Pair
from tidings.states import Receipt, State


class Sent(Protocol):
    """A delivery (``tidings.Delivery`` has this shape)."""

    @property
    def state(self) -> State: ...
    def wait(self, timeout: float | None = None) -> Receipt: ...


class ReplaySender(Protocol):
    """Sends events again (``tidings.Publisher`` has this shape)."""

    def _replay(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: str | None,
        partition: int | None = None,
    ) -> Sent:
        """Take one event, counted as ``replayed``, with these headers and no others; ``event_id`` is among
        them where the event has one. Raises PublishError when nothing was taken."""

    def flush(self, timeout: float | None = None) -> bool:
        """True when everything taken before has ended: delivered, or a letter again."""


class LetterSource(Protocol):
    """Letters on a dead-letter topic (``DeadLetterTopic``) or in a store (``StoredLetters``).

    A run calls ``begin``, then ``take`` and ``finish`` in turn, and ``close`` in any case, on one thread.
    """

    name: str
    topics: frozenset[str]
    """Topics that letters live on: no event is replayed to them."""

    def survey(self, name: str) -> Iterator[tuple[TakenLetter, bool]]:
        """Every letter a run of this name would see, and whether an earlier one has settled it. Changes
        nothing."""

    def begin(self, name: str, note: bytes, note_key: bytes) -> None:
        """A run of this name begins; its note is written down before anything is sent."""

    def take(self, most: int) -> list[TakenLetter] | None:
        """The next letters, at most so many; an empty list when there is nothing to say yet, None at the
        end."""

    def is_settled(self, taken: TakenLetter) -> bool:
        """True when an earlier run has replayed or parked it, or a copy of it."""

    def park(self, letters: Sequence[TakenLetter]) -> None:
        """Put these aside for a person; they are safe there when it returns."""

    def finish(
        self, settled: Sequence[tuple[TakenLetter, bytes | None]], left: Sequence[TakenLetter]
    ) -> None:
        """These are settled, with notes to write down first (None: it has one), those stay for later runs."""

    def note(self, note: bytes, key: bytes) -> None:
        """Write a note down; it is safe when this returns."""

    def close(self) -> None:
        """The run is over."""
