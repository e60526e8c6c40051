"""What stands behind an exception of confluent-kafka: the KafkaError, where there is one."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException


def refusal(error: Exception) -> KafkaError | None:
    """The KafkaError behind an exception of produce() or poll(); None if it is not the client's."""
    if isinstance(error, BufferError):
        return KafkaError(KafkaError._QUEUE_FULL)
    if isinstance(error, KafkaException):
        fault: KafkaError = error.args[0]
        return fault
    return None
