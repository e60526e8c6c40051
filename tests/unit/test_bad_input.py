"""Bad input: a clear error for each, and nothing is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.books import LONG, MakePublisher, check_books, settle
from support.events import BrokenKey, OrderNoted, OrderPlaced, UserCreated, UserRenamed
from tidings import EventTooLarge, InvalidEvent, InvalidTopic, Publisher, PublishError, State
from tidings.testing.memory import InMemoryTransport

NAN = math.nan
SURROGATE = "\ud800"
Call = Callable[[Publisher], object]


def _cyclic() -> list[Any]:
    knot: list[Any] = []
    knot.append({"knot": knot})
    return knot


def _deep(depth: int = 50_000) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BAD_TOPICS: list[Any] = ["", ".", "..", "x" * 250, "a b", "a/b", "ü", "a\x00", SURROGATE, None, 5, b"orders"]
BAD_DATA: list[Any] = [
    object(),
    {"a": object()},
    {"a": NAN},
    {"a": [1, {"b": math.inf}]},
    {"a": SURROGATE},
    {SURROGATE: 1},
    {("a",): 1},
    {"a": OrderPlaced("o", NAN)},  # type: ignore[arg-type]
    {"a": 1j},
    _cyclic(),
    _deep(),
    lambda: 0,
    type,
]
BAD_TYPED: list[Any] = [
    OrderPlaced(5),  # type: ignore[arg-type]
    OrderPlaced("o", "x"),  # type: ignore[arg-type]
    OrderPlaced("o", NAN),  # type: ignore[arg-type]
    OrderPlaced(SURROGATE),
    OrderNoted(text={"a": [NAN]}),
    OrderNoted(text=object()),
    OrderNoted(text=_cyclic()),
    UserCreated(OrderPlaced("o"), "x"),  # type: ignore[arg-type]
    UserCreated({"id": 1}, NAN),
    UserCreated(None),
    UserRenamed.model_construct(name=5),
    UserRenamed.model_construct(score=1.0),
    UserRenamed(name="x", score=NAN),
    UserRenamed(name=SURROGATE),
    OrderNoted(key=1.5),
    OrderNoted(key=True),
    OrderNoted(key=SURROGATE),
    OrderNoted(key=["a"]),
    BrokenKey(),
    OrderPlaced,
    {"not": "declared"},
    None,
    5,
]
BAD_KEYS: list[Any] = [1.5, True, ["a"], object(), SURROGATE, 10**5000, ("a", "b")]
BAD_HEADERS: list[Any] = [
    {"": "x"},
    {"a\x00": "x"},
    {"a\n": "x"},
    {"a": "x\x00"},
    {"a": SURROGATE},
    {SURROGATE: "x"},
    {"a": 5},
    {5: "x"},
    {"event_id": "x"},
    {"Event_Id": "x"},
    {"tidings-x": "x"},
    "abc",
    [("a", "b", "c")],
    5,
]
BAD_IDS: list[Any] = [5, b"id", SURROGATE, ["a"], object()]
BAD_TIMES: list[Any] = [
    datetime(2026, 1, 1),
    "2026-01-01",
    1.5,
    True,
    0,
    -5,
    10**400,
]
BAD_PARTITIONS: list[Any] = [-1, 2**31, 10**5000, True, "0", 1.0]
OWN_HEADERS: list[Any] = ["event_type", "correlation_id", "content-type", "CONTENT-TYPE"]
BAD_TYPES: list[Any] = ["", "a\n", SURROGATE, "a\x00", 5, ["a"], {}, b"a", ("a",)]
NO_BYTES: list[Any] = ["text", 5, ["x"], {"a": 1}, OrderPlaced("o")]
GOOD = OrderPlaced("o")


def do(method: str, *args: Any, **kwargs: Any) -> Call:
    """The call of a publisher's method."""
    return lambda publisher: getattr(publisher, method)(*args, **kwargs)


def bad_topics(topic: Any) -> Iterator[Call]:
    yield do("produce", topic, b"x")
    yield do("publish_json", topic, {})
    if topic is not None:  # which is no argument
        yield do("publish", GOOD, topic=topic)
        yield do("send_message", topic, None, {})
        yield lambda publisher: publisher.sender(topic).send(None, b"x")


def bad_data(data: Any) -> Iterator[Call]:
    yield do("publish", data, event_type="a.b")
    yield do("publish_json", "t", data)
    yield do("send_message", "t", None, data)


def bad_keys(key: Any) -> Iterator[Call]:
    yield do("publish", GOOD, key=key)
    yield do("produce", "t", b"x", key)
    yield do("publish_json", "t", {}, key=key)
    yield do("send_message", "t", key, b"x")


def bad_headers(headers: Any) -> Iterator[Call]:
    yield do("publish", GOOD, headers=headers)
    yield do("produce", "t", b"x", headers=headers)
    yield do("publish_json", "t", 1, headers=headers)


def bad_ids(event_id: Any) -> Iterator[Call]:
    yield do("publish", GOOD, event_id=event_id)
    yield do("publish", GOOD, correlation_id=event_id)
    yield do("produce", "t", b"x", event_id=event_id)
    yield do("publish_json", "t", 1, event_id=event_id)
    yield do("publish_json", "t", 1, correlation_id=event_id)


def bad_types(event_type: Any) -> Iterator[Call]:
    yield do("publish", {}, event_type=event_type)
    yield do("publish", GOOD, event_type=event_type)


def bad_times(moment: Any) -> Iterator[Call]:
    yield do("publish", GOOD, timestamp=moment)
    yield do("produce", "t", b"x", timestamp=moment)


KINDS: list[tuple[str, type[PublishError], Callable[[Any], Iterable[Call]], list[Any]]] = [
    ("topic", InvalidTopic, bad_topics, BAD_TOPICS),
    ("data", InvalidEvent, bad_data, BAD_DATA),
    ("typed", InvalidEvent, lambda event: [do("publish", event)], BAD_TYPED),
    ("key", InvalidEvent, bad_keys, BAD_KEYS),
    ("headers", InvalidEvent, bad_headers, BAD_HEADERS),
    ("own", InvalidEvent, lambda name: [do("publish", GOOD, headers={name: "x"})], OWN_HEADERS),
    ("id", InvalidEvent, bad_ids, BAD_IDS),
    ("type", InvalidEvent, bad_types, BAD_TYPES),
    ("time", InvalidEvent, bad_times, BAD_TIMES),
    ("partition", InvalidEvent, lambda n: [do("produce", "t", b"x", partition=n)], BAD_PARTITIONS),
    ("value", InvalidEvent, lambda value: [do("produce", "t", value)], NO_BYTES),
]
CALLS = [
    (f"{name}-{number}-{way}", error, call)
    for name, error, ways, values in KINDS
    for number, value in enumerate(values)
    for way, call in enumerate(ways(value))
]


SHARED = InMemoryTransport()


@pytest.fixture(scope="module")
def shared() -> Iterator[Publisher]:
    """One publisher for all: a refusal must leave it as it was."""
    with Publisher(transport=SHARED, service="tests") as publisher:
        yield publisher
        check_books(publisher)


@pytest.mark.parametrize(("error", "call"), [(e, c) for _, e, c in CALLS], ids=[name for name, _, _ in CALLS])
def test_a_clear_error_and_nothing_is_taken(shared: Publisher, error: type[PublishError], call: Call) -> None:
    before = check_books(shared)
    SHARED.clear()
    with pytest.raises(PublishError) as raised:
        call(shared)
    assert type(raised.value) is error
    message = str(raised.value)
    message.encode()
    assert "Nothing was taken." in message
    assert len(message) < 3000
    after = check_books(shared)
    assert after.rejected == sum(after.rejected_by.values()) == before.rejected + 1
    same = {"rejected": before.rejected, "rejected_by": before.rejected_by}
    assert msgspec.structs.replace(after, **same) == before
    shared.publish(GOOD).wait(LONG)
    assert len(SHARED.records) == 1, "nothing but the good one, and the publisher goes on"


def test_with_on_reject_log_none_of_it_raises(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(on_reject="log")
    for count, (name, error, call) in enumerate(CALLS, start=1):
        delivery: Any = call(publisher)
        assert delivery.state is State.REJECTED, name
        assert type(delivery.error) is error, name
        with pytest.raises(error):
            delivery.wait(LONG)
        assert publisher.stats().rejected == count
    assert check_books(publisher).accepted == 0
    assert not transport.records


LIMIT = 2000


@pytest.mark.parametrize(
    "call",
    [
        lambda p: p.publish({"a": "x" * LIMIT}, event_type="a.b"),
        lambda p: p.publish(GOOD, key="x" * LIMIT),
        lambda p: p.publish(GOOD, key=b"x" * LIMIT),
        lambda p: p.publish(GOOD, headers={"a": "x" * LIMIT}),
        lambda p: p.publish(GOOD, headers={"x" * LIMIT: None}),
        lambda p: p.publish(GOOD, headers=[("a", b"x" * 100)] * 20),
        lambda p: p.publish(GOOD, correlation_id="x" * 1000),  # in the value and in a header
        lambda p: p.publish(GOOD, event_id="x" * 1000),
        lambda p: p.publish(GOOD, event_type="x" * LIMIT),
        lambda p: p.publish(OrderPlaced("x" * LIMIT)),
        lambda p: p.publish(OrderPlaced("x" * 1000)),  # in the value and as the key
        lambda p: p.produce("t", b"x" * LIMIT),
        lambda p: p.produce("t", None, "x" * LIMIT),
        lambda p: p.produce("t", b"x" * 1000, b"x" * 1000),
        lambda p: p.produce("t", b"", headers={"a": b"x" * LIMIT}),
        lambda p: p.produce("t", b"", event_id="x" * LIMIT),
        lambda p: p.publish_json("t", "x" * LIMIT),
        lambda p: p.publish_json("t", 1, correlation_id="x" * LIMIT),
        lambda p: p.send_message("t", None, "x" * LIMIT),
    ],
)
def test_too_large_by_whatever_part(
    make_publisher: MakePublisher, transport: InMemoryTransport, call: Call
) -> None:
    publisher = make_publisher(max_event_bytes=LIMIT)
    with pytest.raises(EventTooLarge, match=f"MAX_EVENT_BYTES is {LIMIT}"):
        call(publisher)
    stats = check_books(publisher)
    assert (stats.accepted, stats.rejected) == (0, 1)
    assert not transport.records


UNLIMITED, LIMITED = InMemoryTransport(), InMemoryTransport()


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Publisher, Publisher]]:
    """A publisher that takes everything, and one that takes LIMIT bytes."""
    with (
        Publisher(transport=UNLIMITED, service="s") as unlimited,
        Publisher(transport=LIMITED, service="s", max_event_bytes=LIMIT) as limited,
    ):
        yield unlimited, limited


sizes = st.none() | st.integers(0, 900)


@settings(deadline=None)
@given(st.integers(0, 1200), st.integers(0, 1200), sizes, sizes, sizes)
def test_the_limit_is_exact(
    both: tuple[Publisher, Publisher],
    data: int,
    key: int,
    header: int | None,
    correlated: int | None,
    named: int | None,
) -> None:
    """What is accepted is within MAX_EVENT_BYTES as encoded, what is refused would be beyond it."""
    arguments: dict[str, Any] = {
        "event_type": "a.b",
        "key": "k" * key,
        "headers": None if header is None else {"h": "x" * header},
        "correlation_id": None if correlated is None else "c" * correlated,
        "event_id": None if named is None else "i" * named,
    }
    unlimited, limited = both
    UNLIMITED.clear()
    unlimited.publish("x" * data, **arguments).wait(LONG)
    (record,) = UNLIMITED.records
    size = len(record.value or b"") + len(record.key or b"")
    size += sum(len(name) + len(content or b"") for name, content in record.headers)
    LIMITED.clear()
    if size > LIMIT:
        with pytest.raises(EventTooLarge):
            limited.publish("x" * data, **arguments)
    else:
        limited.publish("x" * data, **arguments).wait(LONG)
    assert len(LIMITED.records) == (size <= LIMIT)


def test_what_the_client_refuses_as_too_large(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(transport=InMemoryTransport(max_message_bytes=1000))
    with pytest.raises(EventTooLarge):
        publisher.produce("t", b"x" * 2000)
    assert check_books(publisher).accepted == 0


def test_a_partition_the_topic_does_not_have_is_lost_and_says_so(publisher: Publisher) -> None:
    delivery = publisher.produce("t", b"x", partition=1000)
    settle(publisher)
    assert delivery.state is State.LOST
    assert "_UNKNOWN_PARTITION" in str(delivery.error)
