"""Writing to the store: what one turn of the keeper adds and removes, as one commit."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence

from tidings.errors import StoreUnavailable
from tidings.letters.errors import JournalError
from tidings.letters.owed import LetterRow, Owed
from tidings.publishing.backlog import Shelf
from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.storms import Storm
from tidings.publishing.voice import Voice

_RETRY = 1.0


def owed_of(entry: Delivery, headers: list[Pair], now: float) -> Owed:
    """An entry as the journal keeps it; ``now`` is by the clock it was born by."""
    age_ms = int((now - entry.born) * 1000) if entry.born else 0
    return Owed(
        seq=entry.seq,
        topic=entry.topic,
        event_id=entry._event_id,
        key=entry.key,
        value=entry.value,
        headers=tuple(headers),
        partition=entry.partition,
        timestamp=entry.timestamp,
        accepted=entry.since or time.time_ns() // 1_000_000 - age_ms,
        attempts=entry.attempts,
        maybe_sent=entry.maybe_sent,
        reason=entry.why.kafka_error if entry.why is not None else "",
    )


class Writer:
    """Gathers what is to be written to this process's shelf, and commits it, once a turn.

    While the store fails, what was to be written is given back and tried again a second later; ``failure``
    says why. Only the keeper calls it; ``forget`` is for any thread.
    """

    def __init__(self, logger: Voice) -> None:
        self.shelf: Shelf | None = None
        self.failure: str | None = None
        self.unprotected = 0
        """Events that could not be written, and went or stay without a copy."""
        self._logger = logger
        self._troubles = Storm(logger, logging.ERROR, "the store")
        self._forgotten: deque[Delivery] = deque()
        self._retry_at = 0.0
        self._adds: list[Owed] = []
        self._added: list[Delivery] = []
        self._letters: list[tuple[Delivery, LetterRow]] = []

    def forget(self, entry: Delivery) -> None:
        """The entry ended: its row goes with the next commit."""
        self._forgotten.append(entry)

    def may_try(self, now: float) -> bool:
        """True when the last failure is a second ago."""
        return now >= self._retry_at

    def opened(self, shelf: Shelf) -> None:
        """This process has a journal now."""
        self.shelf = shelf
        self._works_again()

    def failed(self, error: JournalError, now: float) -> None:
        """This process's journal cannot be opened or written."""
        if self.failure is None:
            self._logger.critical(
                f"the store cannot be used: {error}. Events go on to Kafka without a copy on disk; "
                "what would have to be stored is refused."
            )
        self.failure = str(error)
        self._retry_at = now + _RETRY

    def tick(self, now: float) -> None:
        """Say what has not been said, and see whether a store that failed can be written again."""
        self._troubles.tick(now)
        if self.shelf is not None and self.failure is not None and self.may_try(now):
            try:
                self.shelf.journal.touch()
            except JournalError as error:
                self.failed(error, now)
            else:
                self._works_again()

    @property
    def is_ready(self) -> bool:
        """True when something can be written."""
        return self.shelf is not None and self.failure is None

    def refusal(self) -> StoreUnavailable:
        """What a caller is told while nothing can be written."""
        return StoreUnavailable(f"The store cannot be written: {self.failure or 'it is not open yet'}.")

    def add(self, entry: Delivery, headers: list[Pair], now: float) -> None:
        """Write the entry with the next commit. It is marked first, then read, then asked whether it ended:
        a report that comes meanwhile either is seen here, or sees the mark and has the row removed."""
        shelf = self.shelf
        if shelf is None:
            return
        entry.shelf = shelf
        entry.seq = shelf.journal.next_seq()
        row = owed_of(entry, headers, now)
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
        self.sort_forgotten()
        for shelf in shelves:
            if shelf is not self.shelf and shelf.owes:
                try:
                    self._write(shelf)
                except JournalError as error:
                    self._troubles.record(
                        f"an adopted one cannot be written: {error}. It is tried again.", error=str(error)
                    )
        own = self.shelf
        if own is None or self.failure is not None or not (self._adds or self._letters or own.owes):
            return [], []
        gone = [entry.seq for entry, _ in self._letters if entry.seq and entry.shelf is own]
        foreign = [entry for entry, _ in self._letters if entry.seq and entry.shelf is not own]
        for entry in self._added:  # before the write: what it also removes is held no longer
            own.hold(entry.topic, entry.seq)
        try:
            self._write(own, self._adds, gone, [letter for _, letter in self._letters])
        except JournalError as error:
            self.failed(error, now)
            return [], []
        for entry in foreign:  # its letter is on disk: the row may go
            assert entry.shelf is not None
            entry.shelf.removals.append(entry.seq)
        added, letters = self._added, self._letters
        for entry in added:
            entry.on_disk = True
        self._adds, self._added, self._letters = [], [], []
        return added, letters

    def give_up(self) -> list[tuple[Delivery, LetterRow]]:
        """Take back what could not be written; the entries are without a row again. Returns the letters."""
        added, letters = self._added, self._letters
        for entry in added:
            if entry.shelf is not None:
                entry.shelf.release(entry.seq)
            entry.seq, entry.shelf = 0, None
        self.unprotected += len(added)
        self._adds, self._added, self._letters = [], [], []
        return letters

    def sort_forgotten(self) -> None:
        """Note for each journal which of its rows are over."""
        while self._forgotten:
            entry = self._forgotten.popleft()
            if entry.shelf is not None:
                entry.shelf.removals.append(entry.seq)

    @staticmethod
    def _write(
        shelf: Shelf, add: Sequence[Owed] = (), gone: Sequence[int] = (), letters: Sequence[LetterRow] = ()
    ) -> None:
        remove = [*shelf.removals, *gone]
        shelf.journal.commit(add, remove, letters, shelf.letters_done, shelf.letters_parked)
        shelf.written(remove)

    def _works_again(self) -> None:
        if self.failure is not None:
            self._logger.warning("the store can be written again")
        self.failure = None
