"""The record that a consumer's letter is about, read once more from where the consumer had read it."""

from __future__ import annotations

import time

from confluent_kafka import Consumer

from tidings.kafka.reading import bounds, reader, scan
from tidings.kafka.survey import as_taken
from tidings.kafka.taken import TakenLetter
from tidings.settings import Settings

_GROUP = "tidings-replay-origins"
"""No group is joined and nothing committed; the client wants a name all the same."""


class Origins:
    """Looks records up by their place. One thread; the client is made when it is first needed."""

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._settings = settings
        self._timeout = timeout
        self._consumer: Consumer | None = None

    def find(self, topic: str, partition: int, offset: int) -> TakenLetter | None:
        """The record at this place; None where retention, compaction or a person has removed it.

        Raises BrokersUnavailable, and ConsumeError when the topic may not be read.
        """
        if self._consumer is None:
            self._consumer = reader(self._settings, _GROUP)
        consumer = self._consumer
        low, high = bounds(consumer, topic, self._timeout).get(partition, (0, 0))
        if not low <= offset < high:
            return None
        spans = {partition: (offset, offset + 1)}
        return next(map(as_taken, scan(consumer, topic, spans, time.monotonic() + self._timeout)), None)

    def close(self) -> None:
        """Let go of the client."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
