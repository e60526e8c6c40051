"""Topics that are not there, or may not be read: asked for once, since not every group protocol tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException

_AFTER = 5.0
"""Seconds until it is asked, and asked again where no broker answers."""
_ASK = 1.0


class Absent:
    """Looks for the topics of a subscription, on the polling thread. With KIP-848 a group waits for one that
    does not exist without a word (12 s watched; the classic protocol reports UNKNOWN_TOPIC_OR_PART).

    ``told`` gets each fault, with True where nothing else is read either.
    """

    def __init__(self, consumer: Consumer, topics: Sequence[str], told: Callable[[str, bool], None]) -> None:
        self._consumer = consumer
        self._left = [topic for topic in topics if not topic.startswith("^")]
        self._told = told
        self._due = time.monotonic() + _AFTER

    def look(self) -> None:
        """Ask, when it is time; never longer than a second."""
        if not self._left or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _AFTER
        end = time.monotonic() + _ASK
        try:
            while self._left and (budget := end - time.monotonic()) > 0:
                topic = self._left[-1]
                found = self._consumer.list_topics(topic, budget).topics.get(topic)
                if found is not None and found.error is not None:
                    is_blocking = not self._consumer.assignment()
                    self._told(f"{found.error.name()}: {topic}: {found.error.str()}", is_blocking)
                self._left.pop()
        except KafkaException:  # nobody answers, which others tell
            return
