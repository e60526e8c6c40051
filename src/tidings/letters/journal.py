"""The journal: what Kafka has not acknowledged, on local disk. Two operations: insert and remove.

Rows hold groups of events of one topic, and groups of a topic are read in order of their first event. An
event that is gone while others of its group are not is remembered in memory only: after a crash it comes
back, a duplicate and never a loss.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from tidings.letters import journal_file as files
from tidings.letters import letter_rows, salvage, writing
from tidings.letters.books import Books, Change
from tidings.letters.errors import JournalError, is_corrupt
from tidings.letters.finding import find
from tidings.letters.groups import Group, Groups
from tidings.letters.owed import Damage, FoundInStore, LetterRow, Owed, Tally
from tidings.letters.reading import Reader

__all__ = ["Damage", "FoundInStore", "Journal", "find"]

T = TypeVar("T")


class Journal:
    """One file, open, and owned by this process. All calls come from one thread.

    Every method raises JournalError when the disk fails; then nothing was changed.
    """

    def __init__(self, path: Path, lock: FileLock, con: sqlite3.Connection, logger: logging.Logger) -> None:
        self.path = path
        self.damaged: list[Damage] = []
        """What the disk destroyed. Found when the file is opened and read; whoever counts it empties it."""
        self.was_clean = True
        """The last process closed the file in order, or there was none."""
        self._lock = lock
        self._con = con
        self._logger = logger
        self._pages = files.pages_in_use(con)
        self._max_bytes = 0
        self._groups = Groups()
        self._books = Books(con)
        self._seq = self._books.high
        self._row = con.execute("SELECT coalesce(max(row), 0) FROM letters").fetchone()[0]
        self._spoiled_letters: set[int] = set()
        self._checked: set[str] = set()

    @classmethod
    def open(cls, path: Path, *, max_bytes: int, logger: logging.Logger, create: bool = True) -> Journal:
        """Open the file and own it; make it, with its directory, unless ``create`` is False.

        Raises StoreBusy when another process owns it, StoreVersion when a newer tidings wrote it,
        StoreDamaged when what is left of a damaged one cannot be saved, JournalError for all else.
        """
        with files.told(path, "opened"):
            lock = files.own(path)
        try:
            with files.told(path, "opened"):
                if not create and not path.exists():
                    files.companion(path, ".lock").unlink(missing_ok=True)
                    raise JournalError(f"there is no store {path} any more", "ENOENT")
                files.check_version(path)
                return cls._opened(path, lock, max_bytes, logger)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, lock: FileLock, max_bytes: int, logger: logging.Logger) -> Journal:
        is_new = not path.exists() or path.stat().st_size == 0
        has_wal = files.companion(path, "-wal").exists()
        damage: list[Damage] = []
        try:
            journal, state = cls._begun(path, lock, logger)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not is_corrupt(error):
                raise
            damage = salvage.salvage(path, logger, was_counted=False)
            journal, state = cls._begun(path, lock, logger)
        journal._max_bytes = max_bytes
        journal.damaged += damage
        journal.was_clean = (is_new or state == files.CLEAN) and not damage
        if state == files.IN_USE and not is_new and not has_wal and not damage:
            why = "its -wal file is missing, though the process that wrote it did not close it"
            journal.damaged.append(Damage(None, None, None, 0, why, was_counted=False))
            logger.critical(
                f"the store {path} is not complete: {why}. Events accepted last, or removed last, may be "
                "lost or sent twice; how many is not known. The file's other events are kept and sent."
            )
        return journal

    @classmethod
    def _begun(cls, path: Path, lock: FileLock, logger: logging.Logger) -> tuple[Journal, int]:
        """Open, with the state it was left in; in use now."""
        con = files.connect(path)
        try:
            journal = cls(path, lock, con, logger)
            (state,) = con.execute("SELECT state FROM meta").fetchone()
            con.execute("UPDATE meta SET state = ?", (files.IN_USE,))
            files.checkpoint(con)  # so a missing -wal is told by the main file alone
        except BaseException:
            con.close()
            raise
        return journal, state

    @property
    def events(self) -> int:
        """Live events."""
        return self._books.events

    @property
    def letter_count(self) -> int:
        """Letters that wait and are not parked."""
        return self._books.letters.waiting

    @property
    def parked_count(self) -> int:
        """Letters that wait for a person."""
        return self._books.letters.parked

    @property
    def parked_bytes(self) -> int:
        """The size of the parked letters."""
        return self._books.letters.parked_bytes

    @property
    def used(self) -> int:
        """Bytes on disk that count against STORE_MAX_BYTES: pages that hold something, and the WAL."""
        return self._pages + files.wal_size(self.path)

    @property
    def last_seq(self) -> int:
        """The highest number in use."""
        return self._seq

    def next_seq(self) -> int:
        """A number above every other in the journal."""
        self._seq += 1
        return self._seq

    def topics(self) -> dict[str, Tally]:
        """What is owed, by topic; topics without live events are not in it. The tallies change as the journal
        does; the dict itself does not."""
        return self._books.tallies

    def commit(
        self,
        add: Sequence[Owed] = (),
        remove: Iterable[int] = (),
        letters: Sequence[LetterRow] = (),
        letters_done: Iterable[int] = (),
        letters_parked: Iterable[int] = (),
    ) -> None:
        """Do all of this, or nothing; durable when it returns. First what is added, then what is removed.

        A seq may be added and removed at once; removing an unknown one does no harm. Letters get a ``row``.
        """
        batch = writing.Batch(add, remove, letters, letters_done, letters_parked)
        with files.told(self.path, "written"):
            self._mended(lambda: self._commit(batch))

    def _commit(self, batch: writing.Batch) -> None:
        con, groups, change = self._con, self._groups, Change()
        owners = groups.owners(con, batch.removals, self._books.span) if batch.removals else []
        empty = [group for group, hits in owners if len(hits) == group.left]
        partly = [(group, hits) for group, hits in owners if len(hits) < group.left]
        worn = groups.worn(pressed=2 * self.used > self._max_bytes)
        if owners:
            owned = {group.first for group, _ in owners}
            worn = [group for group in worn if group.first not in owned]
        spoiled = self._spoiled_letters
        added: list[Group] = []
        if batch.writes or empty or worn or spoiled:
            with files.transaction(con):
                added += writing.insert(con, batch.add, change)
                letter_rows.insert(con, batch.letters, self._row + 1, change)
                for group in empty:
                    writing.delete(con, group, change)
                for group in worn:
                    added += writing.rewrite(con, group, change)
                letter_rows.delete(con, [*batch.letters_done, *spoiled], change)
                letter_rows.park(con, batch.letters_parked, change)
                self._books.write(con, change)
                files.give_back(con)
                self._pages = files.pages_in_use(con)
        for group in (*empty, *worn):
            groups.forget(group)
        for group in added:
            groups.add(group)
        for group, hits in partly:
            writing.leave(group, hits, change)
            groups.add(group)
        for row, letter in enumerate(batch.letters, self._row + 1):
            letter.row = row
        self._row += len(batch.letters)
        self._seq = max(self._seq, change.high)
        self._spoiled_letters = set()
        self._books.apply(change)
        groups.end_turn()

    def read(self, topic: str, after: int, limit: int) -> list[Owed]:
        """The live events of a topic with a seq above ``after``, in order; at most ``limit``, about 4 MiB.

        What turns out to be damaged is left out, counted no longer, and noted in ``damaged``.
        """
        return self._reading(lambda reader: reader.read(topic, after, limit))

    def get(self, seq: int) -> Owed | None:
        """One live event."""
        return self._reading(lambda reader: reader.get(seq))

    def oldest_seq(self) -> int | None:
        """The lowest seq of a live event."""
        return self._reading(Reader.oldest_seq)

    def count(self) -> int:
        """Count the live events row by row: the whole file is walked."""
        return self._reading(Reader.count)

    def letters(self, after_row: int, limit: int, parked: bool = False) -> list[LetterRow]:
        """Letters with a row above ``after_row``, in order: those that wait, or the parked ones."""
        with files.told(self.path, "read"):
            found, damage = self._mended(
                lambda: letter_rows.read(
                    self._con, after_row, limit, parked, self._spoiled_letters, self._books.letters
                )
            )
        self._spoiled_letters.update(row for row, _ in damage)
        self.damaged += [spoiled for _, spoiled in damage]
        return found

    def touch(self) -> None:
        """Write something, to see whether the disk takes it."""
        with files.told(self.path, "written"):
            self._con.execute("UPDATE meta SET state = ?", (files.IN_USE,))

    def checkpoint(self) -> None:
        """Write the WAL into the main file."""
        with files.told(self.path, "written"):
            files.checkpoint(self._con)

    def close(self, *, clean: bool = True) -> None:
        """Write down what is in memory only, and give the file up; delete it when nothing is left in it.

        Raises nothing: when the disk fails, events that are gone come back, as after a crash.
        """
        try:
            if clean:
                self._mended(self._settle)
            self._con.execute("UPDATE meta SET state = ?", (files.CLEAN if clean else files.GIVEN_UP,))
            files.checkpoint(self._con)
        except (sqlite3.Error, JournalError) as error:
            self._logger.error(
                f"the store {self.path} could not be closed in order: {error}. Nothing is lost; events that "
                "were delivered last may be sent once more."
            )
        is_empty = not (self.events or self.letter_count or self.parked_count or self.damaged)
        try:
            self._con.close()
            if clean and is_empty:
                files.remove(self.path, lock=True)
        except (sqlite3.Error, OSError) as error:
            self._logger.error(f"the store {self.path} could not be closed: {error}")
        finally:
            self._lock.release()

    def _reading(self, read: Callable[[Reader], T]) -> T:
        def once() -> T:
            reader = Reader(self._con, self._groups, self._books, self._checked)
            try:
                return read(reader)
            finally:
                self.damaged += reader.damage

        with files.told(self.path, "read"):
            return self._mended(once)

    def _mended(self, work: Callable[[], T]) -> T:
        """Do it; on a damaged file once more, with a fresh one that has what could be read."""
        try:
            return work()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not is_corrupt(error):
                raise
        self._con.close()
        self.damaged += salvage.salvage(self.path, self._logger, was_counted=True)
        self._con = files.connect(self.path)
        self._books = Books(self._con)
        for group in self._groups:  # what is gone stays gone
            row = self._con.execute("SELECT count FROM groups WHERE seq = ?", (group.first,)).fetchone()
            if row is None or row[0] != group.count:
                self._groups.forget(group)
            elif group.gone:
                self._books.count_live({group.topic: Tally(-len(group.gone), -group.gone_bytes)})
        return work()

    def _settle(self) -> None:
        while worn := self._groups.worn(pressed=True, every=True):
            change = Change()
            added: list[Group] = []
            with files.transaction(self._con):
                for group in worn[:64]:
                    added += writing.rewrite(self._con, group, change)
                letter_rows.delete(self._con, self._spoiled_letters, change)
                self._books.write(self._con, change)
            for group in worn[:64]:
                self._groups.forget(group)
            for group in added:
                self._groups.add(group)
            self._spoiled_letters = set()
            self._books.apply(change)
