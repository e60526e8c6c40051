"""The errors of the testing brokers: the embedded one and the real Kafka.

TidingsError
├─ EmbeddedBrokerError      the embedded broker is not running, or refused a command
├─ RealKafkaUnavailable     this machine cannot run Kafka: no Java, no jars
└─ RealKafkaError           Kafka was started and failed; the message ends with the tails of its logs
"""

from __future__ import annotations

from tidings.errors import TidingsError


class EmbeddedBrokerError(TidingsError):
    """The embedded broker is not running, could not be started, or refused a command."""

    code = "KAFKA_TEST_EMBEDDED"
    hint = "The embedded broker is librdkafka's mock cluster, for development and tests only."


class RealKafkaUnavailable(TidingsError):
    """A real Kafka cannot be run here. The message is one line that says what is missing."""

    code = "KAFKA_TEST_UNAVAILABLE"
    hint = "Install tidings[realkafka], or set JAVA_HOME and KAFKA_HOME, or KAFKA_TEST_BROKERS=host:port."


class RealKafkaError(TidingsError):
    """A real Kafka was started and failed. The message ends with the tails of its nodes' logs."""

    code = "KAFKA_TEST_FAILED"

    def __str__(self) -> str:
        # The code and the hint stand in front: the log tails are long, and what is last is read first.
        return f"[{self.code}] {Exception.__str__(self)}"
