"""What a librdkafka error name says about the event it was reported for."""

from __future__ import annotations

from typing import Final

from tidings.errors import Certainty

MAY_HAVE_IT: Final = frozenset(
    {
        "_MSG_TIMED_OUT",
        "_TIMED_OUT",
        "_TRANSPORT",
        "_PURGE_INFLIGHT",
        "_PURGE_QUEUE",
        "_FATAL",
        "REQUEST_TIMED_OUT",
        "NETWORK_EXCEPTION",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "OUT_OF_ORDER_SEQUENCE_NUMBER",
        "UNKNOWN_PRODUCER_ID",
        "UNKNOWN",
    }
)
"""Ends without a broker's clear answer: of the ids that failed so, some were in the topic all the same."""


def certainty_of(kafka_error: str) -> Certainty:
    """``unknown`` when Kafka may have the event, ``not_delivered`` when a broker refused it."""
    return "unknown" if kafka_error in MAY_HAVE_IT else "not_delivered"
