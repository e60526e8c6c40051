"""What a librdkafka error name means for the event it was reported for: the table, as data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tidings.errors import Certainty


class Outcome(StrEnum):
    """How a failure is treated.

    ``suspect``: a broker refused the batch, and perhaps not this event: it is sent again alone, and only
    that verdict dead-letters. ``hold``: an operator can repair it: the event waits and is tried again
    slowly. ``again``: sent again under the same event_id, without end. ``fatal``: the client has to be made
    anew, then as ``again``.
    """

    SUSPECT = "suspect"
    HOLD = "hold"
    AGAIN = "again"
    FATAL = "fatal"


TABLE: Final[Mapping[Outcome, frozenset[str]]] = MappingProxyType(
    {
        Outcome.SUSPECT: frozenset(
            {
                "MSG_SIZE_TOO_LARGE",
                "RECORD_LIST_TOO_LARGE",
                "INVALID_RECORD",
                "INVALID_TIMESTAMP",
                "TOPIC_EXCEPTION",
                "POLICY_VIOLATION",
                "UNSUPPORTED_ASSIGNOR",
                "UNSUPPORTED_COMPRESSION_TYPE",
                "UNSUPPORTED_ENDPOINT_TYPE",
                "UNSUPPORTED_FOR_MESSAGE_FORMAT",
                "UNSUPPORTED_SASL_MECHANISM",
                "UNSUPPORTED_VERSION",
                "INVALID_REQUEST",
                "INVALID_REQUIRED_ACKS",
                "_INVALID_ARG",
                "_INVALID_DIFFERENT_RECORD",
            }
        ),
        Outcome.HOLD: frozenset(
            {
                "TOPIC_AUTHORIZATION_FAILED",
                "CLUSTER_AUTHORIZATION_FAILED",
                "UNKNOWN_TOPIC_OR_PART",
                "_UNKNOWN_TOPIC",
                "_UNKNOWN_PARTITION",
                "SASL_AUTHENTICATION_FAILED",
                "SECURITY_DISABLED",
            }
        ),
        Outcome.AGAIN: frozenset(
            {
                "_MSG_TIMED_OUT",
                "_TRANSPORT",
                "_TIMED_OUT",
                "REQUEST_TIMED_OUT",
                "NOT_ENOUGH_REPLICAS",
                "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
                "_PURGE_QUEUE",
                "_PURGE_INFLIGHT",
                "THROTTLING_QUOTA_EXCEEDED",
                "FENCED_LEADER_EPOCH",
                "UNKNOWN_LEADER_EPOCH",
                "UNKNOWN_TOPIC_ID",
                "NETWORK_EXCEPTION",
                "UNKNOWN",
                "_BAD_MSG",
            }
        ),
        Outcome.FATAL: frozenset(
            {
                "_FATAL",
                "OUT_OF_ORDER_SEQUENCE_NUMBER",
                "UNKNOWN_PRODUCER_ID",
                "_FENCED",
                "_GAPLESS_GUARANTEE",
            }
        ),
    }
)
"""Every name that was seen or is to be expected. What is not listed is ``again``: no event is given up for a
code that nobody has thought about."""

_BY_NAME: Final = {name: outcome for outcome, names in TABLE.items() for name in names}

_ANSWERS: Final = (TABLE[Outcome.SUSPECT] - {"_INVALID_ARG"}) | {
    "TOPIC_AUTHORIZATION_FAILED",
    "UNKNOWN_TOPIC_OR_PART",
}
"""A broker's no to the record. None of ``again``: librdkafka repeats those by itself, and what was
NOT_ENOUGH_REPLICAS at last may have been appended before. The rest of ``hold`` is about the client."""

_NEVER_LEFT: Final = frozenset({"_INVALID_ARG", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "_QUEUE_FULL"})
"""The client's own no: no broker was asked, or the topic is gone with all that was in it."""


def classify(kafka_error: str) -> Outcome:
    """How a failure of this name is treated; ``again`` for every name that is not in the table."""
    return _BY_NAME.get(kafka_error, Outcome.AGAIN)


def answered(kafka_error: str) -> bool:
    """True for a broker's clear no to the record; False where a send ended without one (timeout, transport,
    purge), for what the client says by itself, and for names that nobody knows."""
    return kafka_error in _ANSWERS


def certainty_of(kafka_error: str) -> Certainty:
    """``not_delivered`` when a broker refused the event or it never left; ``unknown`` when Kafka may have
    it."""
    return "not_delivered" if answered(kafka_error) or kafka_error in _NEVER_LEFT else "unknown"
