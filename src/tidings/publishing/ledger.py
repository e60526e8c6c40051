"""The ledger: every entry from acceptance to its end, and the counters that answer for them.

``accepted`` is what arrived less what was cancelled; nothing on the hot path counts under a lock.
"""

from __future__ import annotations

from tidings.publishing.entry import Delivery, Failure
from tidings.publishing.threads import native_rlock
from tidings.states import State

_TIDY = 1024


class Ledger:
    """Callers append to ``arrivals``; ``sweep`` moves what has not ended on; reports count what has.

    The order of arrival is the order of acceptance. ``delivered`` and ``late`` are written by whoever
    serves the reports, one at a time.
    """

    def __init__(self) -> None:
        self.arrivals: list[Delivery] = []
        self.delivered = 0
        self.lost = 0
        self.late = 0
        """Reports that came after the entry had ended: counted, and nothing else."""
        self._open: list[Delivery] = []
        self._swept = 0
        self._cancelled = 0
        self._rejected = 0
        self._lock = native_rlock()  # re-entrant: a signal handler may close() inside any of this

    def cancel(self, entry: Delivery, failure: Failure | None = None) -> None:
        """Take an entry back that the caller was refused, once: it was never accepted."""
        with self._lock:
            if not entry.ended:
                entry._failure = failure
                entry.ended = True
                entry.state = State.REJECTED
                self._cancelled += 1

    def lose(self, entry: Delivery, failure: Failure) -> None:
        """End an entry that will not be delivered, once."""
        with self._lock:
            if not entry.ended:
                entry._failure = failure
                entry.ended = True
                entry.state = State.LOST
                self.lost += 1

    def reject(self) -> None:
        """Count a refusal."""
        with self._lock:
            self._rejected += 1

    @property
    def rejected(self) -> int:
        """How often publish() refused."""
        return self._rejected

    @property
    def accepted(self) -> int:
        """How many entries were accepted, those being handed over at this moment among them."""
        with self._lock:
            while True:
                swept, cancelled = self._swept, self._cancelled
                accepted = swept + len(self.arrivals) - cancelled
                if swept == self._swept:  # else a signal handler has swept in between
                    return accepted

    def sweep(self) -> None:
        """Forget what has ended. Entries arrive and end at 400k/s: this is a loop of 0.03 µs for each."""
        with self._lock:
            while True:
                swept, count = self._swept, len(self.arrivals)
                if swept == self._swept:  # else a signal handler has swept in between
                    break
            # No call from there through the next three lines: no signal handler can come between them.
            self._open += self.arrivals[:count]
            self._swept += count
            del self.arrivals[:count]
            opened = self._open
            still = [entry for entry in opened if not entry.ended]
            if self._open is opened:  # else a signal handler has swept in between, and knows more
                self._open = still

    def tidy(self) -> None:
        """Sweep if it pays: entries that are let go soon are memory that is used again while it is warm."""
        if len(self.arrivals) > max(_TIDY, len(self._open)):
            self.sweep()

    def open_entries(self) -> list[Delivery]:
        """Every entry that has not ended, in the order of arrival."""
        self.sweep()
        with self._lock:
            return [entry for entry in self._open if not entry.ended]

    @property
    def is_idle(self) -> bool:
        """True when nothing is open, as of the last sweep."""
        return not self._open and not self.arrivals
