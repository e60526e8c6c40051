"""The Kafka client: a confluent-kafka Producer as the engine's transport."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Producer

from tidings.kafka.config import alone, client_config
from tidings.kafka.diagnose import diagnose
from tidings.kafka.quiet import librdkafka_log
from tidings.kafka.refusals import refusal
from tidings.kafka.search import Search, find_in_kafka
from tidings.settings import Settings
from tidings.states import Health, HealthStatus

_CAUSE_FRESH = 60.0
"""Seconds for which librdkafka's last complaint may explain why Kafka is away."""


class KafkaClient:
    """Owns one Producer. ``produce`` is the Producer's own method: nothing stands on the hot path.

    librdkafka's log goes to ``tidings.kafka`` at DEBUG; each cause of trouble is one WARNING, until all
    have been quiet for a minute. ``careful``: every record travels in a batch of its own, so that a broker's
    answer is about that record. Raises ConfigError, and confluent_kafka.KafkaException for properties of
    CLIENT_CONFIG that librdkafka does not take.
    """

    refusal = staticmethod(refusal)

    def __init__(self, settings: Settings, logger: logging.Logger, *, careful: bool = False) -> None:
        self._settings = settings
        self._logger = logger
        self._complaint: tuple[str, str] | None = None
        self._complained = 0.0
        self._said: set[str] = set()
        config = alone(client_config(settings)) if careful else client_config(settings)
        self._producer = Producer(config | {"error_cb": self._on_error, "logger": librdkafka_log()})
        self.produce: Callable[..., None] = self._producer.produce

    def careful(self) -> Self:
        """A new client, with a Producer of its own, whose records travel alone; the caller closes it."""
        return type(self)(self._settings, self._logger, careful=True)

    def poll(self, timeout: float) -> int:
        served: int = self._producer.poll(timeout)
        return served

    def flush(self, timeout: float) -> int:
        left: int = self._producer.flush(timeout)
        return left

    def purge(self) -> None:
        self._producer.purge()

    def close(self) -> None:
        """Destroy the client: under 1 ms once purged; with unsent records, a message timeout."""
        self._producer.close()

    def __len__(self) -> int:
        return len(self._producer)

    def health(self, timeout: float) -> Health:
        """Ask the brokers for their metadata; if none answers, find out why."""
        end = time.monotonic() + timeout
        try:
            self._producer.list_topics(timeout=timeout / 2)  # naming a topic might create it
        except KafkaException as error:
            return self._ill(error.args[0], max(end - time.monotonic(), timeout / 4))
        self._complaint = None
        return Health(status=HealthStatus.HEALTHY, cause="healthy", message="Kafka answers.")

    def find(self, topic: str, event_id: str, since: datetime | int | None, timeout: float) -> Search:
        """Look for the record of ``topic`` with this event_id: see ``find_in_kafka``."""
        return find_in_kafka(self._settings, topic, event_id, since=since, timeout=timeout)

    def _ill(self, error: KafkaError, timeout: float) -> Health:
        last_error = self._fresh_complaint() or (error.name(), error.str())
        found = diagnose(self._settings, timeout=timeout, last_error=last_error)
        return Health(status=HealthStatus.UNHEALTHY, cause=str(found.cause), message=found.message)

    def _on_error(self, error: KafkaError) -> None:
        """librdkafka's error_cb: names a cause, decides nothing."""
        name = error.name()
        if self._fresh_complaint() is None:
            self._said.clear()
        self._complained = time.monotonic()
        if name != "_ALL_BROKERS_DOWN" or self._complaint is None:  # it says less than any other
            self._complaint = (name, error.str())
        if name not in self._said:
            self._said.add(name)
            self._logger.warning(f"Kafka client: {name}: {error.str()}")

    def _fresh_complaint(self) -> tuple[str, str] | None:
        return self._complaint if time.monotonic() - self._complained < _CAUSE_FRESH else None
