"""The keeper's hands: they give events to the Kafka client, from the intake, the store and memory."""

from __future__ import annotations

import heapq
import itertools
import time

from tidings.kafka.outcomes import Outcome, classify
from tidings.letters.owed import Owed
from tidings.publishing.alone import MOST_SUSPECTS, Errand, Kind, resent
from tidings.publishing.backlog import PAGE, Doubt, Shelf
from tidings.publishing.desk import TICK, Desk
from tidings.publishing.entry import Attempt, Delivery, Pair
from tidings.publishing.gate import bucket_of
from tidings.signals import Retried
from tidings.states import State

_BATCH = 6000
"""The most events that one turn of the keeper takes from the store: whole pages of the journal."""
_LEND = 256
"""After so many hand-overs the keeper lends the pump a hand, as publishers do (see pump.py)."""


class Hands:
    """What they cannot give to the client for want of room stays where it was."""

    def __init__(self, desk: Desk) -> None:
        self.retried = 0
        """Hand-overs beyond an event's first."""
        self.suspects = 0
        """Entries that are examined alone."""
        self._desk = desk
        self._handed = 0
        self._again: list[tuple[float, int, Delivery]] = []
        self._order = itertools.count()

    @property
    def next_due(self) -> float | None:
        """When an entry in memory is to be sent again."""
        return self._again[0][0] if self._again else None

    @property
    def is_idle(self) -> bool:
        """True when no entry in memory is to be sent again."""
        return not self._again

    def start_afresh(self) -> None:
        """Forget what is in hand."""
        self._again.clear()
        self.suspects = 0

    def send_at(self, due: float, entry: Delivery) -> None:
        """Send the entry again, from memory."""
        heapq.heappush(self._again, (due, next(self._order), entry))

    def examine(self, entry: Delivery, due: float, *, answers: int = 0, resends: int = 0) -> None:
        """Send the entry alone, to hear what Kafka says of it."""
        self.suspects += 1
        self._desk.lane.add(Errand(Kind.SUSPECT, entry, answers=answers, resends=resends), due)

    def hand_over(self, fresh: list[tuple[Delivery, list[Pair]]]) -> None:
        """What was diverted and is on disk now goes on, if nothing is before it."""
        desk = self._desk
        closed: set[str] = {
            topic
            for topic in {entry.topic for entry, _ in fresh}
            if desk.resting or desk.mind.is_open(topic) or any(shelf.waiting(topic) for shelf in desk.shelves)
        }
        gate = desk.engine.gate
        for entry, headers in fresh:
            if entry.ended:
                continue
            if (blocked := gate.blocked(entry.topic)) and bucket_of(entry.key) in blocked:
                desk.shelve(entry, None)
            elif entry.topic in closed or not self._hand(entry, headers):
                closed.add(entry.topic)
                desk.shelve(entry, None)

    def send_again(self) -> None:
        """Send the entries in memory that are due: without a store, or with one that fails."""
        while self._again and self._again[0][0] <= self._desk.now:
            entry = self._again[0][2]
            if not entry.ended and not self._hand(entry, entry.record_headers()):
                due = self._desk.now + TICK
                heapq.heapreplace(self._again, (due, next(self._order), entry))
                return
            heapq.heappop(self._again)

    def unprotected(self, fresh: list[tuple[Delivery, list[Pair]]]) -> None:
        """The store fails: what was accepted goes to Kafka without a copy on disk, or waits in memory."""
        for entry, headers in fresh:
            if not entry.ended and not self._hand(entry, headers):
                self.send_at(self._desk.now, entry)

    def probe(self, topic: str) -> bool:
        """Send the first waiting event of the topic alone, as a probe; False without one."""
        desk = self._desk
        for shelf in desk.shelves:
            for row in shelf.journal.read(topic, 0, shelf.line(topic).out + 1):
                if row.seq not in shelf.held:
                    entry = self.take(shelf, row)
                    desk.lane.add(Errand(Kind.PROBE, entry, resends=entry.attempts), desk.now)
                    return True
        return False

    def drain(self) -> bool:
        """Hand over what waits in the store, as far as there is room; True if there may be more."""
        desk = self._desk
        transport = desk.engine.transport
        if transport is None or desk.engine.gate.rebuilding:
            return False
        room = min(_BATCH, desk.settings.queue_messages - len(transport))
        if desk.settings.queue_messages >= _BATCH:  # what is left over of a page is decoded again
            room -= room % PAGE
        most = room
        for shelf in desk.shelves:
            for topic in list(shelf.journal.topics()):
                if room <= 0 or desk.mind.is_open(topic) or not shelf.waiting(topic):
                    continue
                line = shelf.line(topic)
                line.clear_doubts()
                blocked = desk.engine.gate.blocked(topic)
                for row, doubt in line.rows(shelf.journal, topic, blocked, desk.now, time.monotonic):
                    if not self._drain(shelf, row, doubt):
                        room = 0
                    room -= 1
                    if room <= 0:
                        break
        return most > 0 and room == 0

    def _drain(self, shelf: Shelf, row: Owed, doubt: Doubt | None) -> bool:
        last = shelf.last_error(row)
        if last and classify(last) is Outcome.SUSPECT:
            if self.suspects >= MOST_SUSPECTS:
                shelf.line(row.topic).back(row.seq)
                return False
            entry = self.take(shelf, row)
            self.examine(entry, self._desk.now, resends=entry.attempts)
            return True
        entry = self.take(shelf, row)
        headers = list(row.headers)
        if not entry.attempts and not shelf.own:
            headers.append(resent(1))
        if not self._hand(entry, headers):
            shelf.back(row.topic, row.seq)
            entry.shelved()
            return False
        if doubt is not None:
            doubt.probe = entry
        return True

    def take(self, shelf: Shelf, row: Owed) -> Delivery:
        """An entry that stands for the row until it ends, or the row waits again."""
        tried = shelf.tries.get(row.seq)
        entry = Delivery(
            self._desk.engine,
            row.topic,
            row.key,
            row.value,
            row.headers,
            row.event_id,
            row.partition,
            row.timestamp,
        )
        entry.attempts = tried.attempts if tried else row.attempts
        entry.maybe_sent = tried.maybe_sent if tried else (row.maybe_sent or not shelf.own)
        entry.state = State.STORED
        entry.seq, entry.shelf, entry.since = row.seq, shelf, row.accepted
        entry.on_disk = entry.waiting = entry.handed = True
        entry.counted = shelf.own and row.key is not None
        shelf.hold(row.topic, row.seq)
        housing = self._desk.housing
        assert housing is not None
        housing.count_waiting()  # before it can be delivered: the terms are added up at any moment
        self._desk.engine.ledger.join(entry)
        return entry

    def _hand(self, entry: Delivery, headers: list[Pair]) -> bool:
        """Give the entry to the client; False when it has no room, or there is none."""
        engine = self._desk.engine
        transport = engine.transport
        if transport is None or engine.gate.rebuilding:
            return False
        entry.attempts += 1
        again = entry.attempts > 1
        if again:
            headers = [*headers, resent(entry.attempts)]
        entry.waiting = False
        try:
            transport.produce(
                entry.topic,
                entry.value,
                entry.key,
                entry.partition,
                Attempt(entry) if again else entry,
                None,
                entry.timestamp,
                headers,
            )
        except Exception as error:
            if not self._desk.failed(entry, transport, error):
                entry.attempts -= 1
                entry.waiting = True
                return False
        else:
            if entry.counted:
                engine.gate.lower_bucket(entry)
        if again:
            self.retried += 1
            if engine.signals.hears(Retried):
                engine.signals.send(Retried(entry.event_id, entry.topic, entry.attempts))
        self._handed += 1
        if self._handed % _LEND == 0 and engine.pump is not None:
            engine.pump.lend()
        return True
