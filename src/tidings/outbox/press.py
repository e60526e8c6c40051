"""The press: hands a row's record to the publisher, or the letter of what the publisher refuses for good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidings.errors import BulkheadFull, PublisherClosed, PublisherFailed, PublishError
from tidings.letters.letter import DeadLetter
from tidings.letters.naming import dlq_topic
from tidings.outbox.drafting import read
from tidings.outbox.flight import Flight
from tidings.outbox.rows import Row
from tidings.publishing.entry import Delivery, Pair

if TYPE_CHECKING:
    from tidings.publishing.publisher import Publisher


class NoRoom(Exception):
    """The publisher takes nothing now, and may later; ``of_topic``: of this topic, others may have room."""

    def __init__(self, error: PublishError) -> None:
        super().__init__(str(error))
        self.of_topic = isinstance(error, BulkheadFull)


class Unpublishable(Exception):
    """Neither the event nor a letter of it can be sent: a person has to look at the row."""


class Press:
    """Hands rows to a publisher, and has what comes of it in ``flight``. One thread."""

    def __init__(self, publisher: Publisher, flight: Flight) -> None:
        self._publisher = publisher
        self._flight = flight

    def publish(self, row: Row) -> None:
        """Have the event of this row sent, or its letter.

        Raises NoRoom and Unpublishable; PublisherClosed or PublisherFailed when that is the end of it.
        """
        headers: Sequence[Pair] = ()
        try:
            headers = read(row.headers)
            self._flight.add(row, self._produce(row, row.topic, row.value, headers))
        except (PublisherClosed, PublisherFailed):
            raise
        except PublishError as error:
            if error.retriable:
                raise NoRoom(error) from None
            self._flight.add(row, self._send_letter(row, headers, error), is_letter=True)

    def _produce(self, row: Row, topic: str, value: bytes | None, headers: Sequence[Pair]) -> Delivery:
        delivery = self._publisher.produce(topic, value, row.key, headers=headers, event_id=row.event_id)
        if isinstance(error := delivery.error, PublishError):  # ON_REJECT=log
            raise error
        return delivery

    def _send_letter(self, row: Row, headers: Sequence[Pair], refusal: PublishError) -> Delivery:
        settings = self._publisher._settings
        try:
            letter = DeadLetter.of_record(
                row.topic,
                row.value,
                row.key,
                [*headers, ("event_id", row.event_id.encode())],
                event_id=row.event_id,
                attempts=row.attempts,
                error_code=refusal.code,
                reason=str(refusal),
                certainty="unknown" if row.attempts else "not_delivered",
                client_id=settings.client_id,
                first_attempt_ms=row.created_at,
                last_attempt_ms=time.time_ns() // 1_000_000,
            )
            topic = dlq_topic(settings.dlq_topic, row.topic)
            return self._produce(row, topic, letter.encode(), [("content-type", b"application/json")])
        except (PublisherClosed, PublisherFailed):
            raise
        except (PublishError, ValueError) as error:  # ValueError: a topic that is none
            if isinstance(error, PublishError) and error.retriable:
                raise NoRoom(error) from None
            raise Unpublishable(f"{refusal} Nor can its letter be sent: {error}") from None
