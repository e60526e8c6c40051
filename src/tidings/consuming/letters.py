"""Letters of a consumer: written on a thread of their own, and finished when Kafka has acknowledged them."""

from __future__ import annotations

import hashlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from tidings.consuming.bell import Bell
from tidings.consuming.holdings import Holdings
from tidings.consuming.message import Record, place_of
from tidings.consuming.places import Chunk
from tidings.consuming.tally import Tally
from tidings.errors import BrokersUnavailable, DeliveryError, TidingsError
from tidings.letters.letter import DeadLetter
from tidings.letters.naming import dlq_topic
from tidings.publishing.threads import NativeThread, native_lock

_BATCH = 100
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 30.0
_TOO_LARGE = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"})


_SHORT = "[too large for a letter: the event itself is at {place}, until retention removes it] "


class NewLetter(msgspec.Struct, eq=False):
    """A record that was given up, and why."""

    chunk: Chunk
    record: Record
    code: str
    reason: str
    attempts: int
    first_ms: int
    last_ms: int
    is_short: bool = False
    """Kafka does not take a letter with the whole event: it says where the event is."""


class LetterWriter(Protocol):
    """Writes records and returns when Kafka has them all; raises DeliveryError or BrokersUnavailable."""

    def write(self, records: Sequence[Any]) -> None: ...
    def close(self) -> None: ...


class Letters:
    """Writes letters, again and again until Kafka has them: no offset passes a letter that is not there.

    The thread and the client start with the first letter. Any thread puts; bounded by the window.
    """

    def __init__(
        self,
        holdings: Holdings,
        tally: Tally,
        connect: Callable[[], LetterWriter],
        new_record: Callable[[str, bytes | None, bytes, list[tuple[str, bytes | None]]], Any],
        *,
        group: str,
        dlq: str,
        client_id: str,
        logger: logging.Logger,
    ) -> None:
        self.trouble = ""
        """Why letters cannot be written at the moment; empty as a rule."""
        self._holdings = holdings
        self._tally = tally
        self._connect = connect
        self._new_record = new_record
        self._group = group
        self._dlq = dlq
        self._client_id = client_id
        self._logger = logger
        self._waiting: deque[NewLetter] = deque()
        self._bell = Bell()
        self._thread: NativeThread | None = None
        self._starting = native_lock()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Letters that Kafka does not have yet."""
        return len(self._waiting)

    def put(self, letter: NewLetter) -> None:
        """Have it written; its record is suspended until then."""
        self._waiting.append(letter)
        with self._starting:
            if self._thread is None:
                self._thread = NativeThread(self._run, "tidings-letters")
                self._thread.start()
        self._bell.ring()

    def stop(self, timeout: float) -> None:
        """End the thread within ``timeout`` seconds; what is not written is read again by whoever is next."""
        self._stopping = True
        self._bell.ring()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        writer: LetterWriter | None = None
        failures, most = 0, _BATCH
        while not self._stopping:
            if not self._waiting:
                self._bell.wait(None)
                continue
            batch = [self._waiting[number] for number in range(min(most, len(self._waiting)))]
            try:
                writer = writer or self._connect()
                writer.write([self._record(each) for each in batch])
            except Exception as error:
                failures += 1
                most = 1  # one that is refused must not hold the others back
                if len(batch) == 1 and getattr(error, "kafka_error", "") in _TOO_LARGE:
                    batch[0].is_short = True
                if writer is not None:  # or what it still holds would be written too, beside the next attempt
                    writer.close()
                    writer = None
                self._say(error, failures)
                self._bell.wait(random.random() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**failures))  # noqa: S311
                continue
            failures, most = 0, min(_BATCH, 2 * most)
            self._written(batch)
        if writer is not None:
            writer.close()

    def _written(self, batch: Sequence[NewLetter]) -> None:
        if self.trouble:
            self.trouble = ""
            self._logger.info("Letters are written again.")
        for each in batch:
            self._waiting.popleft()
            self._tally.dead_lettered += 1
            self._holdings.resolve(each.chunk, each.record.offset())

    def _say(self, error: Exception, failures: int) -> None:
        known = isinstance(error, TidingsError) and not isinstance(error, BrokersUnavailable)
        self.trouble = error.kafka_error if isinstance(error, DeliveryError) else type(error).__name__
        if failures == 1 or (failures & (failures - 1)) == 0:
            self._logger.log(
                logging.ERROR if known else logging.WARNING,
                f"{len(self._waiting)} letters wait, and with them the offsets of their events: {error}",
            )

    def _record(self, new: NewLetter) -> Any:
        record = new.record
        topic, partition, offset = record.topic(), record.partition(), record.offset()
        headers = record.headers() or []
        kind, stamped = record.timestamp()
        event_id = next((content for name, content in headers if name == "event_id" and content), None)
        letter = DeadLetter.of_record(
            topic,
            record.value(),
            record.key(),
            headers,
            event_id=event_id.decode(errors="replace") if event_id is not None else None,
            attempts=new.attempts,
            error_code=new.code,
            reason=_SHORT.format(place=place_of(record)) + new.reason if new.is_short else new.reason,
            certainty="not_delivered",
            client_id=self._client_id,
            first_attempt_ms=new.first_ms or new.last_ms,
            last_attempt_ms=new.last_ms,
            letter_id=letter_id(self._group, topic, partition, offset),
            origin="consumer",
            partition=partition,
            offset=offset,
            group=self._group,
            record_timestamp=stamped if kind else None,
            event_left_out=new.is_short,
        )
        about: list[tuple[str, bytes | None]] = [("content-type", b"application/json")]
        if event_id is not None:
            about.append(("event_id", event_id))
        return self._new_record(dlq_topic(self._dlq, topic), record.key(), letter.encode(), about)


def letter_id(group: str, topic: str, partition: int, offset: int) -> str:
    """The id of the letter of a record: the same whenever it is given up again, by whichever consumer of the
    group, so that a crash between letter and commit is a duplicate that can be recognised."""
    name = "\0".join((group, topic, str(partition), str(offset)))
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
