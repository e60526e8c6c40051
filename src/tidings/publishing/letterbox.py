"""The letterbox: letters in the store, as a replay sees them; every call is done by the keeper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tidings.errors import StoreUnavailable
from tidings.letters.errors import JournalError

if TYPE_CHECKING:
    from tidings.publishing.desk import Desk
    from tidings.publishing.keeper import Keeper

T = TypeVar("T")
_PATIENCE = 30.0
_MOST = 100_000
_ROWS = 40
"""Bits for a row's number; above them stands which store it is in."""


class BoxedLetter(msgspec.Struct, frozen=True):
    """A letter with a number that is its own among all the stores of this process."""

    row: int
    key: bytes | None
    value: bytes


class Letterbox:
    """While a replay has a letter, the keeper does not post it. Any thread; bounded waits."""

    def __init__(self, keeper: Keeper, note: Callable[[bytes, bytes], None], *, parked: bool) -> None:
        self._keeper = keeper
        self._desk: Desk = keeper.desk
        self._parked = parked
        self.note = note

    def letters(self, after: int, limit: int, *, claim: bool = False) -> Sequence[BoxedLetter]:
        """Letters with a row above ``after``, in order; claimed, they are the replay's until settled."""
        return self._ask(lambda: self._letters(after, limit, claim=claim))

    @property
    def topics(self) -> frozenset[str]:
        """The dead-letter topics that the letters are for."""
        return self._ask(
            lambda: frozenset(
                letter.topic
                for shelf in self._desk.shelves
                for letter in shelf.journal.letters(0, _MOST, parked=self._parked)
            )
        )

    def done(self, row: int) -> None:
        """This letter was replayed: forget it."""
        self._ask(lambda: self._settle(row, parked=False))

    def park(self, row: int) -> None:
        """This letter waits for a person."""
        self._ask(lambda: self._settle(row, parked=True))

    def release(self) -> None:
        """The replay is over: what it left is posted again."""

        def let_go() -> None:
            for shelf in self._desk.shelves:
                shelf.letters_out -= shelf.letters_claimed
                shelf.letters_claimed.clear()

        self._ask(let_go)

    def _letters(self, after: int, limit: int, *, claim: bool) -> list[BoxedLetter]:
        found: list[BoxedLetter] = []
        for shelf in self._desk.shelves:
            base, posted = shelf.number << _ROWS, shelf.letters_out - shelf.letters_claimed
            row = max(after - base, 0)
            while len(found) < limit and (page := shelf.journal.letters(row, limit, parked=self._parked)):
                row = page[-1].row
                free = [each for each in page if each.row not in posted]
                for letter in free[: limit - len(found)]:
                    found.append(BoxedLetter(base + letter.row, letter.key, letter.value))
                    if claim:
                        shelf.letters_claimed.add(letter.row)
                        shelf.letters_out.add(letter.row)
        return found

    def _settle(self, row: int, *, parked: bool) -> None:
        shelf = next(shelf for shelf in self._desk.shelves if shelf.number == row >> _ROWS)
        number = row & ((1 << _ROWS) - 1)
        if parked:
            shelf.journal.commit(letters_parked=[number])
        else:
            shelf.journal.commit(letters_done=[number])
        shelf.letters_claimed.discard(number)
        shelf.letters_out.discard(number)

    def _ask(self, work: Callable[[], T]) -> T:
        try:
            return self._keeper.ask(work, _PATIENCE)
        except (JournalError, TimeoutError) as error:
            raise StoreUnavailable(f"The letters in the store cannot be reached: {error}.") from error
