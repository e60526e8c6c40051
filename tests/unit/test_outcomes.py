"""The table of outcomes: every error librdkafka knows is classed, once, as the design says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import combinations

import pytest

from tidings.kafka.outcomes import TABLE, Outcome, answered, certainty_of, classify
from tidings.testing.librdkafka import error_codes

DESIGN = {
    Outcome.SUSPECT: (
        "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD INVALID_TIMESTAMP TOPIC_EXCEPTION "
        "POLICY_VIOLATION UNSUPPORTED_* INVALID_REQUEST INVALID_REQUIRED_ACKS _INVALID_ARG "
        "_INVALID_DIFFERENT_RECORD"
    ),
    Outcome.HOLD: (
        "TOPIC_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED UNKNOWN_TOPIC_OR_PART _UNKNOWN_TOPIC "
        "_UNKNOWN_PARTITION SASL_AUTHENTICATION_FAILED SECURITY_DISABLED"
    ),
    Outcome.AGAIN: (
        "_MSG_TIMED_OUT _TRANSPORT _TIMED_OUT REQUEST_TIMED_OUT NOT_ENOUGH_REPLICAS "
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND _PURGE_* THROTTLING_QUOTA_EXCEEDED FENCED_LEADER_EPOCH "
        "UNKNOWN_LEADER_EPOCH UNKNOWN_TOPIC_ID NETWORK_EXCEPTION UNKNOWN _BAD_MSG"
    ),
    Outcome.FATAL: "_FATAL OUT_OF_ORDER_SEQUENCE_NUMBER UNKNOWN_PRODUCER_ID _FENCED _GAPLESS_GUARANTEE",
}
"""The rows of the design, as written there."""

KNOWN = sorted(error_codes())


def rows_of(name: str) -> list[Outcome]:
    return [row for row, text in DESIGN.items() if any(fnmatchcase(name, each) for each in text.split())]


def test_librdkafka_was_asked() -> None:
    assert len(KNOWN) > 150
    assert {"_MSG_TIMED_OUT", "MSG_SIZE_TOO_LARGE", "UNSUPPORTED_VERSION", "_FATAL"} <= set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_every_error_is_classed_once_and_as_the_design_says(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) <= 1
    assert classify(name) is (rows[0] if rows else Outcome.AGAIN)
    assert [row for row, names in TABLE.items() if name in names] == rows


def test_the_table_holds_no_name_that_librdkafka_does_not_have() -> None:
    assert set().union(*TABLE.values()) <= set(KNOWN)


def test_no_name_stands_in_two_rows() -> None:
    assert set(TABLE) == set(Outcome)
    for one, other in combinations(TABLE, 2):
        assert not TABLE[one] & TABLE[other]


@pytest.mark.parametrize("name", ["ERR_55555?", "", "NO_SUCH_THING", "msg_size_too_large"])
def test_an_unlisted_name_is_sent_again_and_kafka_may_have_it(name: str) -> None:
    assert classify(name) is Outcome.AGAIN
    assert not answered(name)
    assert certainty_of(name) == "unknown"


@pytest.mark.parametrize("name", KNOWN)
def test_a_clear_no_is_certain_and_nothing_that_is_sent_again_is_one(name: str) -> None:
    if answered(name):
        assert certainty_of(name) == "not_delivered"
        assert classify(name) in {Outcome.SUSPECT, Outcome.HOLD}
    if classify(name) in {Outcome.AGAIN, Outcome.FATAL} and name != "_QUEUE_FULL":
        assert certainty_of(name) == "unknown"


@pytest.mark.parametrize(
    ("name", "broker_answered", "certainty"),
    [
        ("MSG_SIZE_TOO_LARGE", True, "not_delivered"),
        ("INVALID_RECORD", True, "not_delivered"),
        ("_INVALID_DIFFERENT_RECORD", True, "not_delivered"),  # a broker refused the batch for a neighbour
        ("TOPIC_AUTHORIZATION_FAILED", True, "not_delivered"),
        ("UNKNOWN_TOPIC_OR_PART", True, "not_delivered"),
        ("CLUSTER_AUTHORIZATION_FAILED", False, "unknown"),  # said to the client, about no record
        ("SASL_AUTHENTICATION_FAILED", False, "unknown"),
        ("_UNKNOWN_PARTITION", False, "not_delivered"),  # the client asked nobody
        ("_INVALID_ARG", False, "not_delivered"),
        ("_QUEUE_FULL", False, "not_delivered"),
        ("NOT_ENOUGH_REPLICAS", False, "unknown"),  # an earlier attempt may have been appended
        ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", False, "unknown"),
        ("_PURGE_QUEUE", False, "unknown"),
        ("_MSG_TIMED_OUT", False, "unknown"),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", False, "unknown"),
    ],
)
def test_what_is_known_of_the_record(name: str, broker_answered: bool, certainty: str) -> None:
    assert answered(name) is broker_answered
    assert certainty_of(name) == certainty
