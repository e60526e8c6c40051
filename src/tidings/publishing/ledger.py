"""The ledger: every entry from acceptance to its end, and the counters that answer for them.

``accepted`` is what arrived less what was cancelled; nothing on the hot path counts under a lock.
"""

from __future__ import annotations

from tidings.errors import PublishError
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
        self.delivered_alone = 0
        """Acknowledged to the careful client."""
        self.adopted = 0
        self.stored = 0
        """On disk, waiting, and with no client: what the store holds less what is under way from there."""
        self.dead_lettered = 0
        self.lost = 0
        self.late = 0
        """Reports that came after the entry had ended: counted, and nothing else."""
        self.acked: set[str] | None = None
        """Topics of which something was acknowledged, gathered while somebody asks for them."""
        self._open: list[Delivery] = []
        self._swept = 0
        self._cancelled = 0
        self._replayed = 0
        self._rejected: dict[str, int] = {}
        self._shed: dict[str, int] = {}
        self._lock = native_rlock()  # re-entrant: a signal handler may close() inside any of this

    def gather_acked(self) -> None:
        """From now on note of which topics something is acknowledged."""
        if self.acked is None:
            self.acked = set()

    def cancel(self, entry: Delivery, failure: Failure | None = None) -> None:
        """Take an entry back that the caller was refused, once: it was never accepted."""
        with self._lock:
            if not entry.ended:
                entry._failure = failure
                entry.ended = True
                entry.state = State.REJECTED
                self._cancelled += 1

    def lose(self, entry: Delivery, failure: Failure) -> None:
        """End an entry that is gone, once."""
        with self._lock:
            if self._end(entry, State.LOST, failure):
                self.lost += 1

    def dead_letter(self, entry: Delivery, failure: Failure) -> None:
        """End an entry whose letter is safe, once."""
        with self._lock:
            if self._end(entry, State.DEAD_LETTERED, failure):
                self.dead_lettered += 1

    def _end(self, entry: Delivery, state: State, failure: Failure) -> bool:
        if entry.ended:
            return False
        entry.ended = True
        if entry.state is State.ACCEPTED:  # else the caller has had an answer: "stored"
            entry._failure = failure
            entry.state = state
        return True

    def damaged(self, count: int) -> None:
        """Count events that the disk destroyed."""
        with self._lock:
            self.lost += count

    def replay(self, change: int) -> None:
        """So many of the entries that arrive are replayed: accepted before, and counted apart."""
        with self._lock:
            self._replayed += change

    def join(self, entry: Delivery) -> None:
        """Take an entry that stands for a row of the store: it was counted when it first came."""
        with self._lock:
            self._open.append(entry)

    def reject(self, error: PublishError) -> None:
        """Count a refusal."""
        with self._lock:
            self._rejected[error.code] = self._rejected.get(error.code, 0) + 1
            if error.shed is not None:
                self._shed[error.shed] = self._shed.get(error.shed, 0) + 1

    @property
    def rejected(self) -> dict[str, int]:
        """How often publish() refused, by the codes of its errors."""
        return dict(self._rejected)

    @property
    def shed(self) -> dict[str, int]:
        """How many of these were refused to keep room for others, by their priority."""
        return dict(self._shed)

    @property
    def replayed(self) -> int:
        """How many entries are replayed letters."""
        return self._replayed

    @property
    def accepted(self) -> int:
        """How many entries were accepted, those being handed over at this moment among them."""
        with self._lock:
            while True:
                swept, cancelled = self._swept, self._cancelled + self._replayed
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
            if self.acked is not None:
                self.acked.update(entry.topic for entry in opened if entry.ended and entry.partition >= 0)
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

    def has(self, entry: Delivery) -> bool:
        """Is this very entry here, and has it not ended? Looks at all of them."""
        return any(each is entry for each in self.open_entries())

    def stamp(self, now: float) -> list[Delivery]:
        """Every entry that has not ended, in the order of arrival; the new ones are born ``now``."""
        entries = self.open_entries()
        for entry in reversed(entries):
            if entry.born:
                break
            entry.born = now
        return entries

    @property
    def is_idle(self) -> bool:
        """True when nothing is open, as of the last sweep."""
        return not self._open and not self.arrivals
