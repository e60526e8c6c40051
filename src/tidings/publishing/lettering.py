"""Letters: written for what will not be delivered as it is, and posted until the topic for them has them."""

from __future__ import annotations

import time

from tidings.kafka.outcomes import Outcome, classify
from tidings.letters.letter import DeadLetter
from tidings.letters.naming import dlq_topic
from tidings.letters.owed import LetterRow, Owed
from tidings.publishing.alone import WINDOW, Ended, Errand, Kind
from tidings.publishing.backlog import Shelf
from tidings.publishing.desk import Desk
from tidings.publishing.entry import Delivery, Undelivered
from tidings.publishing.hands import Hands
from tidings.publishing.mind import SILENT
from tidings.publishing.writing import owed_of
from tidings.signals import DeadLettered

_RETIRED = 100
"""Rows of a topic that become letters in one look."""
_RECENT = 1.0
"""Between two looks there is a probe at most."""
_PARKED = 4
"""Parked letters may take a fourth of the store (ENGINE R7)."""
_HALF = 2
"""One topic may take half of it."""


class Lettering:
    """With a store a letter is a row first, in the transaction that removes its event; without one it is in
    memory, at most DLQ_BUFFER of them, and its event has not ended before Kafka has the letter."""

    def __init__(self, desk: Desk, hands: Hands) -> None:
        self.in_memory = 0
        self.answered_at = -1e9
        """When Kafka last answered anything, by the keeper's clock."""
        self._desk = desk
        self._hands = hands

    def start_afresh(self) -> None:
        """Forget what is on its way: rows are still there, and entries in memory are sent again.

        What a replay has stays the replay's."""
        self.in_memory = 0
        for shelf in self._desk.shelves:
            shelf.letters_out &= shelf.letters_claimed

    def write(self, entry: Delivery) -> None:
        """This event will not be delivered as it is: write its letter."""
        desk, why = self._desk, entry.why
        assert why is not None
        owed = owed_of(entry, entry.record_headers(), desk.now)
        letter = DeadLetter.of(
            owed,
            error_code=why.kafka_error,
            reason=why.reason,
            certainty=why.certainty,
            client_id=desk.settings.client_id,
            first_attempt_ms=owed.accepted,
            last_attempt_ms=time.time_ns() // 1_000_000,
        )
        entry.why = Undelivered(why.kafka_error, why.reason, why.certainty, entry.attempts, letter.letter_id)
        row = LetterRow(
            letter_id=letter.letter_id,
            event_id=letter.event_id,
            topic=dlq_topic(desk.settings.dlq_topic, entry.topic),
            origin_topic=entry.topic,
            key=entry.key,
            value=letter.encode(),
            accepted=owed.accepted,
            reason=why.kafka_error,
        )
        if desk.writer.is_ready:
            desk.writer.add_letter(entry, row)
        elif self.in_memory >= desk.settings.dlq_buffer:
            desk.engine.lose(entry)
        else:
            self.keep_in_memory(entry, row)

    def keep_in_memory(self, entry: Delivery, row: LetterRow) -> None:
        """There is no store, or it fails: post the letter from memory."""
        self.in_memory += 1
        self._desk.lane.add(Errand(Kind.LETTER, entry, row), self._desk.now)

    def post(self) -> None:
        """Send the letters that wait in the store, as far as there is room for them."""
        for shelf in self._desk.shelves:
            out = shelf.letters_out
            if len(out) >= min(WINDOW, shelf.journal.letter_count):
                continue
            for letter in shelf.journal.letters(0, WINDOW + len(out)):
                if letter.row not in out:
                    out.add(letter.row)
                    self._desk.lane.add(Errand(Kind.LETTER, None, letter, shelf), self._desk.now)

    def ended(self, ended: Ended) -> None:
        """A letter was sent; Kafka has it, or it is tried again, or it waits for a person."""
        errand, desk = ended.errand, self._desk
        letter, shelf = errand.letter, errand.shelf
        assert letter is not None
        if not ended.kafka_error:
            if shelf is not None:
                shelf.letters_done.append(letter.row)
            else:
                self.in_memory -= 1
                self.safe(errand.entry)
            return
        errand.resends += 1
        if classify(ended.kafka_error) is Outcome.SUSPECT:
            errand.answers += 1
            if errand.answers >= desk.settings.retry_max and self._park(errand, shelf, ended):
                return
        desk.lane.add(errand, desk.now + desk.mind.back_off(errand.resends))

    def safe(self, entry: Delivery | None) -> None:
        """The letter is on disk or in Kafka: that is the end of its event."""
        if entry is None or entry.why is None:
            return
        engine = self._desk.engine
        why = entry.why
        engine.ledger.dead_letter(entry, why)
        engine.storms.tell(engine.storms.dead_lettered, entry, why)
        engine.signals.send(
            DeadLettered(entry.event_id, entry.topic, why.kafka_error, why.certainty, why.letter_id)
        )
        engine.gate.lower_bucket(entry)
        entry.shelved()
        engine.waking.wake(entry)

    def retire(self) -> None:
        """Of a topic that holds more than half of the store, or events older than STORE_MAX_AGE, the oldest
        become letters, while Kafka answers: others must not starve for it (ENGINE R7)."""
        desk, settings = self._desk, self._desk.settings
        recently = max(settings.outage_after, _RECENT)
        if desk.now - self.answered_at > recently or not desk.writer.is_ready:
            return
        oldest_ms = time.time_ns() // 1_000_000 - int(settings.store_max_age * 1000)
        for shelf in desk.shelves:
            for topic, tally in list(shelf.journal.topics().items()):
                too_much = tally.bytes > settings.store_max_bytes // _HALF
                if shelf.waiting(topic) and (too_much or tally.oldest < oldest_ms):
                    self._retire(shelf, topic, oldest_ms, too_much=too_much)

    def _retire(self, shelf: Shelf, topic: str, oldest_ms: int, *, too_much: bool) -> None:
        for row in shelf.journal.read(topic, 0, _RETIRED + shelf.line(topic).out):
            if row.seq in shelf.held or not (too_much or row.accepted < oldest_ms):
                continue
            entry = self._hands.take(shelf, row)
            entry.why = Undelivered(
                self._last_error(shelf, row),
                "its topic holds half of the store" if too_much else "it waited for STORE_MAX_AGE",
                "unknown" if entry.maybe_sent else "not_delivered",
                entry.attempts,
            )
            self.write(entry)

    def _last_error(self, shelf: Shelf, row: Owed) -> str:
        """Why it failed last; why its topic takes nothing, if it was never sent."""
        breaker = self._desk.mind.breakers.get(row.topic, SILENT)
        return shelf.last_error(row) or ("_MSG_TIMED_OUT" if breaker == SILENT else breaker)

    def _park(self, errand: Errand, shelf: Shelf | None, ended: Ended) -> bool:
        desk, letter = self._desk, errand.letter
        assert letter is not None
        if shelf is None:
            self.in_memory -= 1
            if errand.entry is not None:
                desk.engine.lose(errand.entry)
            return True
        parked = shelf.journal.parked_bytes + len(letter.value)
        if parked > desk.settings.store_max_bytes // _PARKED:
            return False
        desk.engine.logger.error(
            f"letter {letter.letter_id} of event_id={letter.event_id!r} was refused by {letter.topic}: "
            f"{ended.kafka_error} ({ended.reason}). It waits for a person, in the store."
        )
        shelf.letters_parked.append(letter.row)
        return True
