"""What flush() waits for: everything of this process that was accepted before it, and has not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.publishing.engine import Engine


class Pending:
    """The open entries of this moment, and the rows of this process's own journal. Not what was adopted: it
    was not accepted here."""

    def __init__(self, engine: Engine) -> None:
        self._shelf = engine.keeper.writer.shelf
        self._last_row = self._shelf.journal.last_seq if self._shelf is not None else 0
        self._entries = engine.ledger.open_entries()

    def count(self) -> int:
        """How much of it has not ended; rows count as one."""
        # A row can take over from an entry whose row did not exist at first.
        for entry in self._entries:
            if entry.ended and entry.partition < 0 and entry.shelf is not None and entry.shelf.own:
                self._shelf, self._last_row = entry.shelf, max(self._last_row, entry.seq)
        self._entries = [entry for entry in self._entries if not entry.ended]
        return len(self._entries) + self._has_rows()

    def _has_rows(self) -> bool:
        shelf = self._shelf
        return shelf is not None and shelf.first_row is not None and shelf.first_row <= self._last_row
