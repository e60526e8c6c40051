"""Housing: which journals this process owns, how full they are, and what the disk did to them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from tidings.errors import StoreFull
from tidings.letters import place
from tidings.letters.errors import JournalError
from tidings.letters.journal import Journal
from tidings.publishing.backlog import Shelf
from tidings.publishing.ledger import Ledger
from tidings.publishing.voice import Voice

if TYPE_CHECKING:
    from tidings.settings import Settings

_ADOPT_EVERY = 30.0


class Housing:
    """This process's own journal and those it adopted. All of it belongs to the keeper's thread."""

    def __init__(self, directory: Path, settings: Settings, ledger: Ledger, logger: Voice) -> None:
        self.shelves: list[Shelf] = []
        self.share = 0.0
        """How much of the room for events is used up, of 1."""
        self._directory = directory
        self._name = place.store_name(settings.service, settings.brokers, settings.store_name)
        self._most = settings.store_max_bytes
        self._reserved = settings.queue_bytes + settings.intake_bytes
        self._ledger = ledger
        self._logger = logger
        self._next_look = 0.0
        self._numbers = itertools.count()

    def open(self) -> Shelf:
        """Make this process's own journal. Raises JournalError."""
        path = place.new_path(self._directory, self._name)
        shelf = Shelf(
            Journal.open(path, max_bytes=self._most, logger=self._logger.logger),
            number=next(self._numbers),
            own=True,
        )
        self.shelves.append(shelf)
        return shelf

    def adopt(self, now: float) -> None:
        """Take over the journals of processes that are gone, every 30 s; let go of those that are empty."""
        if now < self._next_look:
            return
        self._next_look = now + _ADOPT_EVERY
        for shelf in [shelf for shelf in self.shelves if not shelf.own and shelf.is_empty]:
            self.shelves.remove(shelf)
            shelf.journal.close()
        for path in place.orphans(
            self._directory, self._name, {shelf.journal.path for shelf in self.shelves}
        ):
            try:
                journal = Journal.open(path, max_bytes=self._most, logger=self._logger.logger, create=False)
            except JournalError as error:
                self._logger.error(f"a store that was left behind cannot be taken over: {error}")
                continue
            shelf = Shelf(journal, number=next(self._numbers), own=False)
            self.shelves.append(shelf)
            self._ledger.adopted += journal.events
            self.count_waiting()  # in this order: what ended is read first
            self._logger.warning(
                f"adopted {journal.events} events, {journal.letter_count} letters of a process that is gone"
            )

    def count(self) -> None:
        """Bring the ledger's counters up to date."""
        for shelf in self.shelves:
            damaged, shelf.journal.damaged = shelf.journal.damaged, []
            for damage in damaged:
                if not damage.letter:
                    self._ledger.adopted += 0 if damage.was_counted else damage.count
                    self._ledger.damaged(damage.count)
                name = None if damage.event_id is None else ascii(damage.event_id.decode(errors="replace"))
                self._logger.critical(
                    f"{'letter' if damage.letter else 'event'} lost: the disk destroyed {damage.count} of "
                    f"topic={damage.topic} event_id={name}: {damage.why}"
                )
            shelf.first_row = shelf.journal.oldest_seq() if shelf.own and shelf.journal.events else None
        self.count_waiting()
        self.share = sum(shelf.journal.used for shelf in self.shelves) / (self._most - self._reserved)

    def count_waiting(self) -> None:
        """The same of the rows that wait, alone."""
        self._ledger.stored = sum(shelf.all_waiting for shelf in self.shelves)

    @property
    def is_full(self) -> bool:
        """True when nothing more is taken: what is in memory must still fit."""
        return self.share >= 1.0

    def trim(self) -> None:
        """Of a full store, write the logs into the main files: what stands in both counts twice, and as long
        as nothing is taken nothing else would do it."""
        if self.is_full:
            for shelf in self.shelves:
                try:
                    shelf.journal.checkpoint()
                except JournalError as error:
                    self._logger.error(f"a store cannot be written: {error}")

    def waiting(self) -> int:
        """How many rows wait, counted row by row."""
        return sum(shelf.journal.count() - len(shelf.held) for shelf in self.shelves)

    def files(self) -> list[Path]:
        """The stores of this name on this disk, those of other living processes among them. Any thread."""
        return place.files(self._directory, self._name)

    def refusal(self) -> StoreFull:
        """What a caller is told while the store is full."""
        return StoreFull(f"The store holds as much as STORE_MAX_BYTES ({self._most} bytes) allows.")

    @property
    def letters(self) -> int:
        """Letters in the store."""
        return sum(shelf.journal.letter_count + shelf.journal.parked_count for shelf in self.shelves)

    def close(self) -> None:
        """Give every journal up, in order."""
        for shelf in self.shelves:
            shelf.journal.close()
