"""Letters that still wait in the store, as the source of a replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from tidings.kafka.taken import TakenLetter

_PAGE = 100


class StoredLetter(Protocol):
    """A letter's row."""

    @property
    def row(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes: ...


class LetterStore(Protocol):
    """What a replay needs of a store. Its calls are short, and any thread may make them."""

    def letters(self, after: int, limit: int, *, claim: bool = False) -> Sequence[StoredLetter]:
        """Letters with a row above ``after``, in order. With ``claim`` nobody else sends them until they are
        settled, or released."""

    def release(self) -> None:
        """What was claimed and not settled is anybody's again."""

    def done(self, row: int) -> None:
        """This letter was replayed: forget it."""

    def park(self, row: int) -> None:
        """This letter waits for a person."""

    def note(self, note: bytes, key: bytes) -> None:
        """Write down who replayed what and when; safe when it returns."""


class StoredLetters:
    """The letters in a store. Replayed ones are removed, so no other run meets them; those that become
    letters again during a run are for the next one. ``topics`` are the dead-letter topics they wait for."""

    def __init__(self, store: LetterStore, topics: frozenset[str], name: str = "the store") -> None:
        self.name = name
        self.topics = topics
        self._store = store
        self._after = 0
        self._last = 0
        self._parked: set[int] = set()

    def survey(self, name: str) -> Iterator[tuple[TakenLetter, bool]]:
        """Every letter that waits; none was settled before."""
        after = 0
        while page := self._store.letters(after, _PAGE):
            for letter in page:
                yield self._taken(letter), False
            after = page[-1].row

    def begin(self, name: str, note: bytes, note_key: bytes) -> None:
        """Note the run, and which letter is the last of it."""
        self._after, self._parked = 0, set()
        self._last = max((taken.offset for taken, _ in self.survey(name)), default=0)
        self._store.note(note, note_key)

    def take(self, most: int) -> list[TakenLetter] | None:
        """The next letters; None when those are through that waited when the run began."""
        page = self._store.letters(self._after, min(most, _PAGE), claim=True)
        taken = [self._taken(letter) for letter in page if letter.row <= self._last]
        if not taken:
            return None
        self._after = taken[-1].offset
        return taken

    def is_settled(self, taken: TakenLetter) -> bool:
        """False: what is settled is gone."""
        return False

    def origin(self, topic: str, partition: int, offset: int) -> TakenLetter | None:
        """None: a store has letters of publishers only, and those are whole."""
        return None

    def park(self, letters: Sequence[TakenLetter]) -> None:
        """Park them in the store."""
        for taken in letters:
            self._store.park(taken.offset)
            self._parked.add(taken.offset)

    def finish(
        self, settled: Sequence[tuple[TakenLetter, bytes | None]], left: Sequence[TakenLetter]
    ) -> None:
        """Note the settled and forget them; the others stay where they are."""
        for taken, note in settled:
            if note is not None:
                self._store.note(note, taken.key or b"")
            if taken.offset not in self._parked:
                self._store.done(taken.offset)

    def note(self, note: bytes, key: bytes) -> None:
        """One more line in the record of replays."""
        self._store.note(note, key)

    def close(self) -> None:
        """Leave the letters that were not settled to the store's owner."""
        self._store.release()

    def _taken(self, letter: StoredLetter) -> TakenLetter:
        return TakenLetter(f"{self.name}, row {letter.row}", letter.value, letter.key, [], -1, letter.row)
