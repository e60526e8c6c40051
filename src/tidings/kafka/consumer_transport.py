"""Kafka as a consumer's transport."""

from __future__ import annotations

import logging
from collections.abc import Callable

from confluent_kafka import KafkaException

from tidings.errors import ConfigError
from tidings.kafka.client import KafkaClient
from tidings.kafka.consumer_client import ConsumerClient
from tidings.kafka.diagnose import Cause, diagnose
from tidings.kafka.writing import LETTER_TIMEOUT, Writer
from tidings.settings import Settings
from tidings.states import Health, HealthStatus


class KafkaConsumerTransport:
    """Makes a consumer's clients of Kafka."""

    def __init__(self, settings: Settings, logger: logging.Logger) -> None:
        self._settings = settings
        self._logger = logger
        self._last_words = ""

    def member(self, group: str, told: Callable[[str, bool], None]) -> ConsumerClient:
        """A member of this group. Raises ConfigError."""

        def remember(words: str, is_blocking: bool) -> None:
            self._last_words = words
            told(words, is_blocking)

        try:
            return ConsumerClient(self._settings, group, remember)
        except KafkaException as error:
            words = self._masked(error.args[0].str())
        raise ConfigError(f"CLIENT_CONFIG: librdkafka refuses it: {words}")

    def letter_writer(self) -> Writer:
        """A client without a store."""
        return Writer(KafkaClient(self._settings, self._logger), LETTER_TIMEOUT)

    def health(self, timeout: float) -> Health:
        """What a look at the brokers from outside of librdkafka finds."""
        name, _, text = self._last_words.partition(": ")
        found = diagnose(self._settings, timeout=timeout, last_error=(name, text))
        answers = found.cause is Cause.REACHABLE
        status = HealthStatus.HEALTHY if answers else HealthStatus.UNHEALTHY
        return Health(status=status, cause=str(found.cause), message=found.message)

    def _masked(self, words: str) -> str:
        """Without the raw values, one of which may be a secret."""
        for value in self._settings.client_config.values():
            if isinstance(value, str) and value:
                words = words.replace(value, "…")
        return words
