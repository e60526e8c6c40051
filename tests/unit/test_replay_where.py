"""The filter of a replay: patterns by field, times, predicates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from support.replaying import letter
from tidings.letters.where import Filter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
IT = letter(7, topic="orders.eu", last_attempt_ms=NOON_MS, reason="Broker: too large [10]")


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        (None, True),
        ({}, True),
        ({"error_code": "MSG_SIZE_TOO_LARGE"}, True),
        ({"error_code": "MSG_*"}, True),
        ({"error_code": "msg_*"}, False),
        ({"error_code": "MSG"}, False),
        ({"reason": "*too large*"}, True),
        ({"reason": "*too small*"}, False),
        ({"topic": "orders.?u"}, True),
        ({"topic": ["payments", "orders.*"]}, True),
        ({"topic": ("payments", "users")}, False),
        ({"event_type": "order.*"}, True),
        ({"event_id": "e-7"}, True),
        ({"letter_id": IT.letter_id}, True),
        ({"origin": "consumer"}, False),
        ({"topic": "orders.*", "error_code": "INVALID_*"}, False),
        ({"since": NOON}, True),
        ({"until": NOON}, True),
        ({"since": NOON_MS + 1}, False),
        ({"until": NOON_MS - 1}, False),
        ({"since": "2026-01-01T13:00:00+01:00"}, True),
        ({"since": "2026-01-01T12:00:01Z"}, False),
        ({"since": 0, "until": NOON, "topic": "*"}, True),
        (lambda it: it.attempt_count == 3, True),
        (lambda it: it.attempt_count > 3, False),
    ],
)
def test_what_matches(where: Any, matches: bool) -> None:
    assert Filter(where)(IT) is matches


def test_an_event_without_a_type_matches_only_a_pattern_for_nothing() -> None:
    untyped = letter(1, headers=[])
    assert not Filter({"event_type": "order.*"})(untyped)
    assert Filter({"event_type": "*"})(untyped)


@pytest.mark.parametrize(
    ("where", "everything"),
    [
        (None, True),
        ({}, True),
        ({"topic": "*"}, True),
        ({"topic": "*", "reason": ["a", "*"]}, True),
        ({"topic": "*", "reason": "a"}, False),
        ({"since": 0}, False),
        (lambda it: True, False),  # nobody can know before looking
    ],
)
def test_what_takes_everything(where: Any, everything: bool) -> None:
    assert Filter(where).takes_everything is everything


def test_a_filter_in_words() -> None:
    assert str(Filter(None)) == "every letter"
    assert str(Filter({"topic": ["b", "a"], "since": NOON})) == "topic=a|b, since=2026-01-01T12:00:00+00:00"
    assert str(Filter(bool)) == "predicate bool"
