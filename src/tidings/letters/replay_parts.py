"""What a replay is given: where letters come from, and who sends their events again, or handles them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

import msgspec

from tidings.kafka.taken import TakenLetter
from tidings.letters.letter import DeadLetter, Pair
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


class Outcome(msgspec.Struct, frozen=True):
    """How it ended that a handler was to have the event of a letter."""

    end: Literal["handled", "rejected", "failed", "stopped", "not_begun"]
    """``stopped``: it failed, and the run is to end. ``not_begun``: the run ends before it."""
    attempts: int = 0
    reason: str = ""
    error_code: str = ""


class LetterHandlers(Protocol):
    """A consumer's handlers at work for one run."""

    most: int
    """How many letters they take together."""

    def handle(
        self, letters: Sequence[DeadLetter], patience: float, stopping: threading.Event
    ) -> list[Outcome]:
        """Have these handled, one at a time per key; returns when the last has ended. ``patience``: seconds
        for one letter, beside its last attempt. Once ``stopping`` is set nothing is begun."""

    def close(self) -> None:
        """The run is over."""


class LetterConsumer(Protocol):
    """Has handlers for the letters of its group (``tidings.Consumer`` has this shape)."""

    group_id: str

    def _letter_handlers(self, loop: Any) -> LetterHandlers:
        """Its handlers; async ones run on ``loop``, or, if that is None, on one of their own. Raises
        ConfigError when there are none."""


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

    def origin(self, topic: str, partition: int, offset: int) -> TakenLetter | None:
        """The record that a consumer's letter is about; None where it is no more."""

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
