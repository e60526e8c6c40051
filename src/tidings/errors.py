"""Every error tidings raises, in one tree.

TidingsError
├─ ConfigError (ValueError)     the settings are wrong; nothing was started
│  └─ DocumentError             a description of events cannot be compared, or a promise in it is broken
├─ BrokersUnavailable           Kafka could not be reached
├─ PublishError                 not accepted: nothing was taken, the caller still has the event
│  ├─ InvalidEvent (ValueError) │ InvalidTopic (ValueError) │ EventTooLarge (ValueError)
│  ├─ QueueFull │ StoreFull │ StoreUnavailable │ RateLimited │ BulkheadFull
│  └─ PublisherClosed │ PublisherFailed
├─ DeliveryError                accepted, then dead-lettered or lost
└─ ConsumeError                 a consumed record could not be handled
   ├─ DecodeError
   └─ HandlerError

Each class has a stable ``code`` for logs and alerts, ``retriable`` (may the same call succeed later?)
and ``hint``, one line about what to do.
"""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar, Literal

Certainty = Literal["not_delivered", "unknown"]


class TidingsError(Exception):
    """The base of all errors raised by tidings."""

    code: ClassVar[str] = "TIDINGS_ERROR"
    retriable: ClassVar[bool] = False
    hint: ClassVar[str] = ""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} [{self.code}] {self.hint}".rstrip() if message else f"[{self.code}] {self.hint}"


class ConfigError(TidingsError, ValueError):
    """The configuration is wrong. Names every wrong setting at once, never a secret's value."""

    code = "KAFKA_INVALID_CONFIG"
    hint = "Correct the named settings and start again."


class DocumentError(ConfigError):
    """An AsyncAPI document that cannot be read or compared, or that breaks what was promised."""

    hint = "Write the file anew with tidings.events.asyncapi.write(path, document), if that is wanted."


class BrokersUnavailable(TidingsError):
    """No broker answered."""

    code = "KAFKA_BROKERS_UNAVAILABLE"
    retriable = True
    hint = "Check KAFKA_BROKERS and the network; events already accepted stay accepted."


class PublishError(TidingsError):
    """The event was not accepted: nothing was taken and the caller still has it.

    ``shed`` is the event's priority where there was room, but none to spare for it (SHEDDING), else None.
    """

    code = "KAFKA_PUBLISH_FAILED"
    shed: str | None = None


class InvalidEvent(PublishError, ValueError):
    """The event, its key or its headers cannot be put on the wire as they are."""

    code = "KAFKA_INVALID_EVENT"
    hint = "Nothing was taken. Correct the named field."


class InvalidTopic(PublishError, ValueError):
    """Kafka would refuse a topic of this name."""

    code = "KAFKA_INVALID_TOPIC"
    hint = "Nothing was taken. Kafka takes 1 to 249 of a-z A-Z 0-9 . _ - and neither '.' nor '..'."


class EventTooLarge(PublishError, ValueError):
    """Key, value and headers together are larger than MAX_EVENT_BYTES, or than the client takes."""

    code = "KAFKA_EVENT_TOO_LARGE"
    hint = "Nothing was taken. Send a reference to the data, or raise MAX_EVENT_BYTES and the topic's limit."


class QueueFull(PublishError):
    """The send queue was full for as long as the call was allowed to wait (MAX_BLOCK)."""

    code = "KAFKA_QUEUE_FULL"
    retriable = True
    hint = (
        "Nothing was taken. Kafka is away or slower than the publishers: try later, or raise QUEUE_MESSAGES."
    )


class StoreFull(PublishError):
    """The local store has no room left (STORE_MAX_BYTES)."""

    code = "KAFKA_STORE_FULL"
    retriable = True
    hint = "Nothing was taken. Kafka has been away for long: try later, or raise STORE_MAX_BYTES."


class StoreUnavailable(PublishError):
    """The local store cannot be written."""

    code = "KAFKA_STORE_FAILED"
    retriable = True
    hint = "Nothing was taken. Check STORE_DIR: space, permissions, the disk."


class RateLimited(PublishError):
    """The publisher is above its RATE_LIMIT."""

    code = "KAFKA_RATE_LIMITED"
    retriable = True
    hint = "Nothing was taken. Try later, or raise RATE_LIMIT."


class BulkheadFull(PublishError):
    """The topic has as many events under way as BULKHEAD allows."""

    code = "KAFKA_BULKHEAD_FULL"
    retriable = True
    hint = "Nothing was taken. Try later, or raise BULKHEAD."


class PublisherClosed(PublishError):
    """The publisher was closed."""

    code = "KAFKA_CLOSED"
    hint = "Nothing was taken. Publish before close(), or make a new Publisher."


class PublisherFailed(PublishError):
    """The publisher's engine has stopped for good."""

    code = "KAFKA_FAILED"
    hint = "Nothing was taken. See the CRITICAL log of tidings for the cause; make a new Publisher."


class DeliveryError(TidingsError):
    """An accepted event was dead-lettered or lost.

    ``kafka_error`` is Kafka's or librdkafka's name for the reason (``_MSG_TIMED_OUT``), ``certainty`` says
    whether Kafka may have the event all the same, ``letter_id`` names its letter, if there is one, and
    ``attempts`` counts the times it was handed to the Kafka client.
    """

    code = "KAFKA_SEND_FAILED"
    hint = "With a letter_id the event is a letter: see tidings.Replay. Without one it is gone from here."

    def __init__(
        self,
        message: str,
        *,
        kafka_error: str,
        certainty: Certainty,
        attempts: int,
        event_id: str | None = None,
        topic: str | None = None,
        letter_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kafka_error = kafka_error
        self.certainty = certainty
        self.attempts = attempts
        self.event_id = event_id
        self.topic = topic
        self.letter_id = letter_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied with its fields: errors cross process boundaries, in task queues and pools."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class ConsumeError(TidingsError):
    """A consumed record could not be handled."""

    code = "KAFKA_CONSUME_FAILED"


class DecodeError(ConsumeError):
    """The bytes of a record are not an event."""


class HandlerError(ConsumeError):
    """A handler failed."""
