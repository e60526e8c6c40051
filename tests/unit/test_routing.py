"""Routing: which topic an event type goes to, and which names Kafka would refuse."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings import InvalidEvent, InvalidTopic
from tidings.events.routing import Router, check_topic

LEGAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
topics = st.text(LEGAL, min_size=1, max_size=249).filter(lambda name: name not in {".", ".."})


def _router(topic_map: dict[str, str] | None = None, logical: dict[str, str] | None = None) -> Router:
    return Router("default-events", topic_map or {}, logical or {})


@given(topics)
def test_legal_names_pass(name: str) -> None:
    assert check_topic(name) == name


@given(st.text(max_size=300))
def test_every_other_name_is_refused(name: str) -> None:
    legal = bool(re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name)) and name not in {".", ".."}
    if legal:
        check_topic(name)
    else:
        with pytest.raises(InvalidTopic) as raised:
            check_topic(name)
        assert len(str(raised.value)) < 2000
        str(raised.value).encode()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a b", "a/b", "ü", "a\n", "\n", "a\x00", "a\ud800", "x" * 250, "x" * 10**6, "٣"],
)
def test_names_kafka_refuses(name: str) -> None:
    _refused_everywhere(name)


@pytest.mark.parametrize("name", [None, 5, b"a", ["a"], {}])
def test_what_is_no_name_at_all(name: object) -> None:
    _refused_everywhere(name)


def _refused_everywhere(name: object) -> None:
    with pytest.raises(InvalidTopic):
        check_topic(name)
    with pytest.raises(InvalidTopic):
        _router().resolve(name)  # type: ignore[arg-type]
    with pytest.raises(InvalidTopic):
        _router().map("a", name)  # type: ignore[arg-type]


def test_the_longest_name_and_names_of_dots_pass() -> None:
    for name in ("x" * 249, "...", ".a", "-", "_"):
        assert check_topic(name) == name


def test_the_order_of_what_is_said() -> None:
    router = _router({"user.created": "configured", "user.*": "pattern", "user.created.*": "longer"})
    assert router.topic_for("order.placed") == "default-events"
    assert router.topic_for("order.placed", "declared") == "declared"
    assert router.topic_for("user.deleted", "declared") == "pattern"
    assert router.topic_for("user.created.late", "declared") == "longer"
    assert router.topic_for("user.created", "declared") == "configured"
    router.map("user.created", "mapped")
    assert router.topic_for("user.created", "declared") == "mapped"
    router.map("user.*", "mapped-pattern")
    assert router.topic_for("user.created") == "mapped"
    assert router.topic_for("user.deleted") == "mapped-pattern"


def test_logical_names_are_resolved_wherever_a_topic_is_named() -> None:
    logical = {"orders": "prod.orders.v1", "users": "prod.users.v1"}
    router = Router("orders", {"user.*": "users"}, logical)
    assert router.topic_for("anything") == "prod.orders.v1"
    assert router.topic_for("user.created") == "prod.users.v1"
    assert router.topic_for("anything", "users") == "prod.users.v1"
    assert router.resolve("orders") == "prod.orders.v1"
    assert router.resolve("prod.orders.v1") == "prod.orders.v1"
    router.map("order.*", "orders")
    assert router.topic_for("order.placed") == "prod.orders.v1"


def test_a_logical_name_of_an_impossible_topic_is_refused() -> None:
    with pytest.raises(InvalidTopic):
        _router(logical={"orders": "a b"}).resolve("orders")


@pytest.mark.parametrize("event_type", [None, 5, "", b"a", ["user.*"]])
def test_a_mapping_of_something_else_is_refused_and_harms_no_other(event_type: object) -> None:
    router = _router()
    with pytest.raises(InvalidEvent):
        router.map(event_type, "topic")  # type: ignore[arg-type]
    assert router.topic_for("order.placed") == "default-events"


@given(
    st.dictionaries(st.text("ab.*?[", min_size=1, max_size=6), topics, max_size=6), st.text("ab.", max_size=8)
)
def test_any_pattern_gives_some_topic(patterns: dict[str, str], event_type: str) -> None:
    router = _router(patterns)
    topic = router.topic_for(event_type, "declared")
    assert topic in {*patterns.values(), "declared"}
    if event_type in patterns:
        assert topic == patterns[event_type]


def test_remembering_names_is_bounded() -> None:
    router = _router()
    for number in range(20_000):
        assert router.resolve(f"topic-{number}") == f"topic-{number}"
    assert len(router._resolved) <= 10_000
