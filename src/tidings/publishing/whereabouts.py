"""Where is event X? Asked of what is in flight, the stores on this disk, the letters, and Kafka itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tidings.errors import DecodeError
from tidings.letters.errors import JournalError
from tidings.letters.letter import DeadLetter
from tidings.letters.naming import dlq_topic
from tidings.states import Whereabouts

if TYPE_CHECKING:
    from tidings.kafka.search import Found
    from tidings.publishing.engine import Engine
    from tidings.settings import Settings

_PATIENCE = 30.0


class Search:
    """One search, with a deadline; what could not be asked is said in the answer."""

    def __init__(
        self, engine: Engine, settings: Settings, event_id: str, since: datetime | int | None, timeout: float
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._event_id = event_id
        self._at = partial(Whereabouts, event_id=event_id)
        self._id_bytes = event_id.encode()
        self._since = since
        self._deadline = time.monotonic() + timeout
        self._unasked: list[str] = []

    def run(self, topics: Iterable[str]) -> Whereabouts:
        """The nearest place first. An event that is in Kafka and was a letter once is delivered."""
        if here := self._in_flight() or self._in_stores():
            return here
        letter: Whereabouts | None = None
        for topic in topics:
            if found := self._in_kafka(topic):
                return self._at(
                    place="delivered",
                    message=f"Kafka has it: {topic}, partition {found.partition}, offset {found.offset}.",
                    topic=topic,
                    partition=found.partition,
                    offset=found.offset,
                )
            letters = dlq_topic(self._settings.dlq_topic, topic)
            if letter is None and (found := self._in_kafka(letters)):
                letter = self._lettered(found, letters)
        return letter or self._lost() or self._nowhere()

    def _in_flight(self) -> Whereabouts | None:
        for entry in self._engine.ledger.open_entries():
            if entry._event_id != self._id_bytes or entry.ended:
                continue
            reason = None if entry.why is None else f"{entry.why.kafka_error}: {entry.why.reason}"
            if entry.waiting and entry.on_disk:
                return self._at(
                    place="stored",
                    message="It waits in the store of this process.",
                    topic=entry.topic,
                    reason=reason,
                )
            return self._at(
                place="in_flight", message="It is on its way to Kafka.", topic=entry.topic, reason=reason
            )
        return None

    def _in_stores(self) -> Whereabouts | None:
        housing = self._engine.keeper.housing
        if housing is None:
            return None
        from tidings.letters.finding import find  # noqa: PLC0415 - a publisher without a store needs no sqlite3

        for path in housing.files():
            try:
                found = find(path, self._id_bytes, max(self._deadline - time.monotonic(), 0.1))
            except (JournalError, TimeoutError) as error:
                self._unasked.append(f"the store {path.name} ({error})")
                continue
            if found is None:
                continue
            if found.letter_id is not None:
                return self._at(
                    place="dead_lettered",
                    message=f"Its letter waits in the store {path.name}: {found.reason}.",
                    topic=found.topic,
                    reason=found.reason,
                    letter_id=found.letter_id,
                )
            if self._is_owed(path, found.seq):
                reason = found.reason or None
                return self._at(
                    place="stored",
                    message=f"It waits in the store {path.name}.",
                    topic=found.topic,
                    reason=reason,
                )
        return None

    def _is_owed(self, path: Path, seq: int) -> bool:
        """What is over stays on disk until its group is written anew; the owner of the file knows."""
        keeper = self._engine.keeper
        for shelf in keeper.desk.shelves:
            if shelf.journal.path == path and keeper.is_at_work:
                return keeper.ask(partial(keeper.still_owes, shelf, seq), _PATIENCE)
        return True

    def _in_kafka(self, topic: str) -> Found | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._unasked.append(f"the topic {topic} (there was no time left)")
            return None
        search = self._engine.start().find(topic, self._event_id, self._since, left)
        if not search.answered:
            self._unasked.append(f"the topic {topic} ({search.message})")
        return search.found

    def _lettered(self, found: Found, topic: str) -> Whereabouts:
        place = f"{topic}, partition {found.partition}, offset {found.offset}"
        try:
            letter = DeadLetter.decode(found.value)
        except DecodeError as error:
            return self._at(place="dead_lettered", message=f"Its letter is at {place}. {error}", topic=topic)
        return self._at(
            place="dead_lettered",
            message=f"Its letter is at {place}: {letter.failure_reason}.",
            topic=letter.topic,
            reason=letter.error_code,
            letter_id=letter.letter_id,
        )

    def _lost(self) -> Whereabouts | None:
        lost = self._engine.lost.get(self._id_bytes)
        if lost is None:
            return None
        topic, reason = lost
        return self._at(place="lost", message=f"It is gone: {reason}.", topic=topic, reason=reason)

    def _nowhere(self) -> Whereabouts:
        unasked = f" Not asked: {'; '.join(self._unasked)}." if self._unasked else ""
        return self._at(
            place="not_found",
            message=f"It was never accepted here, or has expired; the two look the same.{unasked}",
        )
