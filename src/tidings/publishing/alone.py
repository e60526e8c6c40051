"""The careful lane: records that are sent alone, through a second client, one to a batch (ENGINE R1).

A broker's "no" on the busy client is a verdict on a batch. Suspects, probes and letters go here, where it is
a verdict on one record. All of it belongs to the keeper's thread.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from enum import StrEnum

import msgspec

from tidings.letters.owed import LetterRow
from tidings.publishing.backlog import Shelf
from tidings.publishing.entry import Delivery, Pair
from tidings.publishing.transport import Fault, Record, Transport, words_of

WINDOW = 100
"""The most records under way at a time."""
MOST_SUSPECTS = 1000
"""More suspects than this wait in the store: alone, 640 a second get through (measured)."""


class Kind(StrEnum):
    """Why a record is sent alone."""

    SUSPECT = "suspect"
    PROBE = "probe"
    LETTER = "letter"


class Errand(msgspec.Struct, eq=False):
    """One record that is sent alone, as often as it takes."""

    kind: Kind
    entry: Delivery | None = None
    letter: LetterRow | None = None
    shelf: Shelf | None = None
    """Where the letter's row is; None for one in memory."""
    answers: int = 0
    resends: int = 0


class Ended(msgspec.Struct):
    """How one sending of an errand ended; ``kafka_error`` is empty when Kafka took it."""

    errand: Errand
    kafka_error: str = ""
    reason: str = ""
    partition: int = -1
    offset: int = -1
    timestamp: int = 0


class _Report:
    """librdkafka's report on one errand."""

    __slots__ = ("_errand", "_lane")

    def __init__(self, lane: CarefulLane, errand: Errand) -> None:
        self._lane = lane
        self._errand = errand

    def __call__(self, fault: Fault | None, record: Record) -> None:
        ended = Ended(self._errand)
        if fault is None:
            ended.partition = record.partition() or 0
            ended.offset = -1 if (offset := record.offset()) is None else offset
            ended.timestamp = record.timestamp()[1]
        else:
            ended.kafka_error, ended.reason = fault.name(), fault.str()
        self._lane.report(ended)


class CarefulLane:
    """Sends errands when they are due, in order, and tells how each ended. The client is made when needed."""

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self.retried = 0
        """Hand-overs beyond an event's first."""
        self._connect = connect
        self._transport: Transport | None = None
        self._due: list[tuple[float, int, Errand]] = []
        self._order = itertools.count()
        self._out = 0
        self._ended: list[Ended] = []

    @property
    def owes(self) -> bool:
        """True while something is under way, or to be sent that is not safe on disk as a letter."""
        return self._out > 0 or any(errand.shelf is None for _, _, errand in self._due)

    @property
    def is_busy(self) -> bool:
        """True while reports are to be expected."""
        return self._out > 0

    @property
    def next_due(self) -> float | None:
        """When there is something to send, if there is room."""
        return self._due[0][0] if self._due and self._out < WINDOW else None

    def add(self, errand: Errand, due: float) -> None:
        """Send the errand from ``due`` on."""
        heapq.heappush(self._due, (due, next(self._order), errand))

    def report(self, ended: Ended) -> None:
        """One errand under way has ended."""
        self._out -= 1
        self._ended.append(ended)

    def serve(self, now: float, *, send: bool) -> list[Ended]:
        """Send what is due, and hand out what has ended."""
        while send and self._due and self._due[0][0] <= now and self._out < WINDOW:
            self._send(heapq.heappop(self._due)[2])
        if self._out and self._transport is not None:
            self._transport.poll(0)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> list[Ended]:
        """Give up what is under way and let go of the client; what ended."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.purge()
            transport.poll(0)
            transport.close()
        ended, self._ended = self._ended, []
        return ended

    def _send(self, errand: Errand) -> None:
        self._out += 1
        try:
            if self._transport is None:
                self._transport = self._connect()
            self._produce(self._transport, errand)
        except Exception as error:
            transport = self._transport
            fault = transport.refusal(error) if transport is not None else None
            self.report(Ended(errand, *words_of(fault, error)))

    def _produce(self, transport: Transport, errand: Errand) -> None:
        report = _Report(self, errand)
        if errand.letter is not None:
            letter = errand.letter
            headers: list[Pair] = [("content-type", b"application/json")]
            if letter.event_id is not None:
                headers.append(("event_id", letter.event_id.encode()))
            transport.produce(letter.topic, letter.value, letter.key, -1, report, None, 0, headers)
            return
        entry = errand.entry
        assert entry is not None
        entry.attempts += 1
        headers = entry.record_headers()
        if entry.attempts > 1:
            self.retried += 1
            headers = [*headers, resent(entry.attempts)]
        transport.produce(
            entry.topic, entry.value, entry.key, entry.partition, report, None, entry.timestamp, headers
        )


def resent(attempt: int) -> Pair:
    """The header of every record that may be a repetition."""
    return "tidings-resent", b"%d" % attempt
