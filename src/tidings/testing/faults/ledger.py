"""The ledger: what a program says it has done, line by line, in a file that outlives it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from sys import intern
from typing import Self

import msgspec

from tidings.publishing.entry import Delivery
from tidings.states import CloseReport, State, Stats


class Ledger:
    """Writes one line for each thing that happened to an event, from inside the program under test.

        ledger = Ledger(os.environ["LEDGER"])
        ledger.started(durability="write-ahead")
        ledger.offered(event.id, event.customer, event.number)
        delivery = publisher.publish(event)
        ledger.accepted(event.id)
        delivery.add_done_callback(lambda settled: ledger.settled(event.id, settled))

    A line is one write() to a file opened with O_APPEND: it is there once the call returns, whatever becomes
    of the process, and threads and forked children may write at once. Marks and keys are words without
    spaces; a mark names one event in the whole file. Raises OSError when it cannot write, since a judge that
    does not hear of an event cannot miss it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def started(self, *, durability: str, store_after: float = 2.0) -> None:
        """A life of the program begins; ``durability`` and ``store_after`` (seconds) are its settings."""
        self._write("started", durability, str(store_after))

    def offered(self, mark: str, key: str, number: int) -> None:
        """The event is about to be published, the ``number``-th of its key; numbers grow, gaps are fine."""
        self._write("offered", mark, key, str(number))

    def accepted(self, mark: str) -> None:
        """publish() returned."""
        self._write("accepted", mark, f"{time.monotonic():.3f}")

    def refused(self, mark: str, why: str) -> None:
        """publish() raised: nothing was taken."""
        self._write("refused", mark, why)

    def safe(self, mark: str) -> None:
        """wait_safe() returned: from now on the event is owed, whatever becomes of the process."""
        self._write("safe", mark)

    def settled(self, mark: str, delivery: Delivery) -> None:
        """What a caller of ``wait`` is told. Fits ``add_done_callback``."""
        self.told(mark, delivery.state, getattr(delivery.error, "certainty", "-"))

    def told(self, mark: str, state: str, certainty: str = "-") -> None:
        """The same in words: a State, and the certainty of a failure."""
        self._write("told", mark, State(state), certainty)

    def stats(self, stats: Stats) -> None:
        """The publisher's counters while it works: for whoever waits for something to happen."""
        self._write("stats", msgspec.json.encode(stats).decode())

    def closed(self, report: CloseReport, stats: Stats, audit: Stats) -> None:
        """close() returned ``report``; the publisher's counters after it, and what an audit counts."""
        self._write(
            "closed", msgspec.json.encode({"report": report, "stats": stats, "audit": audit}).decode()
        )

    def killed(self) -> None:
        """Written by whoever killed the program, when it is gone."""
        self._write("killed", f"{time.monotonic():.3f}")

    def _write(self, *words: str) -> None:
        line = " ".join(words).encode() + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError(f"the ledger took only a part of {line[:40]!r}: is its disk full?")


class Ending(msgspec.Struct):
    """What a program said after close()."""

    report: CloseReport
    stats: Stats
    audit: Stats


class Life(msgspec.Struct):
    """One run of the program: from its start to its end, orderly (``closed``) or not."""

    durability: str = "memory"
    store_after: float = 2.0
    keys: dict[str, tuple[str, int]] = {}
    """The key and number of each mark that was offered."""
    accepted: dict[str, float] = {}
    """When publish() returned, by the machine's monotonic clock in seconds."""
    refused: dict[str, str] = {}
    safe: set[str] = set()
    told: dict[str, tuple[str, str]] = {}
    """State and certainty."""
    stats: Stats | None = None
    """The last one said."""
    closed: Ending | None = None
    killed: float | None = None

    def owed(self) -> set[str]:
        """What may not be missing, given how this life ended.

        All that was accepted, unless it was killed. After a SIGKILL what was safe, or told to be in Kafka or
        in the store; and in spill mode also what was accepted STORE_AFTER + 1 s before.
        """
        if self.killed is None:
            return set(self.accepted)
        owed = self.safe | {
            mark
            for mark, (state, _) in self.told.items()
            if state in {State.DELIVERED, State.STORED, State.DEAD_LETTERED}
        }
        if self.durability == "spill":
            window = self.killed - self.store_after - 1.0
            owed |= {mark for mark, when in self.accepted.items() if when < window}
        return owed


class LedgerReader:
    """Reads a ledger, also while it is being written: each ``read`` goes on where the last one ended."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.lives: list[Life] = []
        self._path = Path(path)
        self._position = 0
        self._number = 0

    def read(self) -> list[Life]:
        """All lives so far, up to the last whole line. Raises ValueError at a line that is not Ledger's."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._position += len(line)
                    self._number += 1
                    try:
                        self._take(line.decode().rstrip("\n"))
                    except (ValueError, IndexError, msgspec.MsgspecError) as error:
                        where = f"{self._path}, line {self._number}"
                        raise ValueError(f"{where}: {line[:80]!r}: {error}") from None
        return self.lives

    def _take(self, line: str) -> None:
        what, _, rest = line.partition(" ")
        words = rest.split(" ")
        if what == "started":
            self.lives.append(Life(durability=words[0], store_after=float(words[1])))
            return
        life = self.lives[-1]
        match what:
            case "offered":
                life.keys[words[0]] = (intern(words[1]), int(words[2]))
            case "accepted":
                life.accepted[words[0]] = float(words[1])
            case "refused":
                life.refused[words[0]] = words[1]
            case "safe":
                life.safe.add(words[0])
            case "told":
                life.told[words[0]] = (intern(words[1]), intern(words[2]))
            case "stats":
                life.stats = msgspec.json.decode(rest, type=Stats)
            case "closed":
                life.closed = msgspec.json.decode(rest, type=Ending)
            case "killed":
                life.killed = float(words[0])
            case _:
                raise ValueError("no such line")
