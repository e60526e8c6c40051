"""Writing to the store: what one turn of the keeper adds and removes, as one commit."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from tidings.errors import StoreUnavailable
from tidings.letters.errors import JournalError
from tidings.letters.owed import LetterRow, Owed
from tidings.publishing.backlog import Shelf
from tidings.publishing.entry import Delivery, Pair

_RETRY = 1.0
_SOON = 0.05


def owed_of(entry: Delivery, headers: list[Pair], seq: int, kafka_error: str = "") -> Owed:
    """An entry as the journal keeps it."""
    return Owed(
        seq=seq,
        topic=entry.topic,
        event_id=entry._event_id,
        key=entry.key,
        value=entry.value,
        headers=headers,
        partition=entry.partition,
        timestamp=entry.timestamp,
        accepted=time.time_ns() // 1_000_000,
        attempts=entry.attempts,
        maybe_sent=entry.maybe_sent,
        reason=kafka_error,
    )


class Writer:
    """Gathers what is to be written to this process's shelf, and commits it, once a turn.

    While the store fails, what was to be written is given back and tried again a second later; ``failure``
    says why. Only the keeper calls it; ``forget`` is for any thread.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.shelf: Shelf | None = None
        self.failure: str | None = None
        self.unprotected = 0
        """Events that could not be written, and went or stay without a copy."""
        self._logger = logger
        self._forgotten: deque[Delivery] = deque()
        self._retry_at = 0.0
        self._adds: list[Owed] = []
        self._added: list[Delivery] = []
        self._letters: list[tuple[Delivery, LetterRow]] = []

    def forget(self, entry: Delivery) -> None:
        """The entry ended: its row goes with the next commit."""
        self._forgotten.append(entry)

    @property
    def is_ready(self) -> bool:
        """True when something can be written."""
        return self.shelf is not None and self.failure is None

    @property
    def owes(self) -> bool:
        """True when there is something to commit."""
        return bool(self._adds or self._letters or self._forgotten)

    def refusal(self) -> StoreUnavailable:
        """What a caller is told while nothing can be written."""
        return StoreUnavailable(f"The store cannot be written: {self.failure or 'it is not open yet'}.")

    def add(self, entry: Delivery, headers: list[Pair], kafka_error: str = "") -> None:
        """Write the entry with the next commit. It is marked first, then read, then asked whether it ended:
        a report that comes meanwhile either is seen here, or sees the mark and has the row removed."""
        shelf = self.shelf
        if shelf is None:
            return
        entry.shelf = shelf
        entry.seq = seq = shelf.journal.next_seq()
        row = owed_of(entry, headers, seq, kafka_error)
        if not entry.ended:
            self._adds.append(row)
            self._added.append(entry)

    def add_letter(self, entry: Delivery, letter: LetterRow) -> None:
        """Turn an event into its letter with the next commit."""
        self._letters.append((entry, letter))

    def commit(
        self, now: float, shelves: Iterable[Shelf]
    ) -> tuple[list[Delivery], list[tuple[Delivery, LetterRow]]]:
        """Write everything; the entries and letters that are on disk now. Empty lists when it failed."""
        self._sort_forgotten()
        for shelf in shelves:
            if shelf is not self.shelf and shelf.removals:
                self._guarded(partial(shelf.journal.commit, remove=shelf.removals), shelf)
        own = self.shelf
        if own is None or not (self._adds or self._letters or own.removals) or now < self._retry_at:
            return [], []
        rows = [letter for _, letter in self._letters]
        gone = [entry.seq for entry, _ in self._letters if entry.seq and entry.shelf is own]
        foreign = [entry for entry, _ in self._letters if entry.seq and entry.shelf is not own]
        write = partial(own.journal.commit, self._adds, [*own.removals, *gone], rows)
        done = self._guarded(write, own, gone)
        if not done:
            self._retry_at = now + _RETRY
            return [], []
        for entry in foreign:  # its letter is on disk: the row may go
            entry.shelf.removals.append(entry.seq)  # type: ignore[union-attr]
        added, letters = self._added, self._letters
        for entry in added:
            own.line(entry.topic).held.add(entry.seq)
            entry.on_disk = True
        self._adds, self._added, self._letters = [], [], []
        return added, letters

    def give_up(self) -> tuple[list[Delivery], list[tuple[Delivery, LetterRow]]]:
        """Take back what could not be written: the entries are without a row again."""
        added, letters = self._added, self._letters
        for entry in added:
            entry.seq = 0
            entry.shelf = None
        self.unprotected += len(added)
        self._adds, self._added, self._letters = [], [], []
        return added, letters

    def _sort_forgotten(self) -> None:
        while self._forgotten:
            entry = self._forgotten.popleft()
            if entry.shelf is not None:
                entry.shelf.removals.append(entry.seq)

    def _guarded(self, commit: Callable[[], None], shelf: Shelf, gone: list[int] | None = None) -> bool:
        try:
            commit()
        except JournalError as error:
            if self.failure is None:
                self._logger.critical(
                    f"the store cannot be written: {error}. Events go on to Kafka without a copy on disk; "
                    "what would have to be stored is refused."
                )
            self.failure = str(error)
            return False
        if self.failure is not None:
            self._logger.warning("the store can be written again")
            self.failure = None
        shelf.removed([*shelf.removals, *(gone or ())])
        shelf.removals = []
        return True
