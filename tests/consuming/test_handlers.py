"""Registering handlers: what the annotation says, and every way to get it wrong."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypedDict

import pydantic
import pytest

from support.events import OrderPlaced, UserCreated
from support.events import registry as events
from tidings import ConfigError, Consumer, Manager, Message, Publisher, event
from tidings.consuming.handlers import Handler
from tidings.settings import Settings
from tidings.testing import InMemoryTransport


class Plain(pydantic.BaseModel):
    name: str


class Typed(TypedDict):
    name: str


@dataclasses.dataclass
class Unreadable:
    callback: Callable[[], None]


def make(**options: Any) -> Consumer:
    return Consumer(brokers="localhost:9092", group_id="tests", **options)


def registered(consumer: Consumer, name: str = "order.placed") -> Handler:
    return consumer._handlers.by_type[name]


def test_the_annotation_says_what_a_handler_gets() -> None:
    consumer = make()

    @consumer.on(OrderPlaced)
    def data(order: OrderPlaced) -> None: ...

    @consumer.on("a.dict")
    async def as_json(data: dict[str, Any]) -> None: ...

    @consumer.on("a.message")
    def message(message: Message) -> None: ...  # type: ignore[type-arg]

    @consumer.on("a.typed.message")
    def typed(message: Message[Plain]) -> None: ...

    @consumer.on_batch("a.batch", most=7)
    async def batch(batch: list[Message[Typed]]) -> None: ...

    found = consumer._handlers.by_type
    assert (found["order.placed"].data_type, found["order.placed"].wants_message) == (OrderPlaced, False)
    assert (found["a.dict"].data_type, found["a.dict"].is_async) == (None, True)
    assert (found["a.message"].data_type, found["a.message"].wants_message) == (None, True)
    assert (found["a.typed.message"].data_type, found["a.typed.message"].wants_message) == (Plain, True)
    many = found["a.batch"]
    assert (many.data_type, many.is_batch, many.is_async, many.most) == (Typed, True, True, 7)
    assert not found["order.placed"].is_async
    assert data is not None, "the decorator gives the function back"


class Service:
    def method(self, order: OrderPlaced) -> None: ...

    async def __call__(self, order: OrderPlaced) -> None: ...


def with_more(first: int, order: OrderPlaced, *, retries: int = 3, **more: int) -> None: ...


@pytest.mark.parametrize(
    ("fn", "is_async"),
    [
        (Service().method, False),
        (Service(), True),
        (functools.partial(with_more, 1), False),
        (
            functools.partial(
                Service(),
            ),
            True,
        ),
    ],
)
def test_methods_partials_and_callable_objects_are_handlers(fn: Any, is_async: bool) -> None:
    consumer = make()
    consumer.on(OrderPlaced)(fn)
    assert (registered(consumer).data_type, registered(consumer).is_async) == (OrderPlaced, is_async)


def none() -> None: ...
def two(order: OrderPlaced, other: OrderPlaced) -> None: ...
def unannotated(order) -> None: ...  # type: ignore[no-untyped-def]
def keyword(*, order: OrderPlaced) -> None: ...
def undefined(order: NoSuchClass) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unreadable(order: Unreadable) -> None: ...
def union(order: OrderPlaced | UserCreated) -> None: ...
def another(user: UserCreated) -> None: ...
def listed(orders: list[OrderPlaced]) -> None: ...


@pytest.mark.parametrize(
    ("fn", "named"),
    [
        (none, "one argument, the event.*: none"),
        (two, "one argument, the event.*: order, other"),
        (unannotated, "annotate order"),
        (keyword, "one argument"),
        (undefined, "NoSuchClass"),
        (unreadable, "Unreadable"),
        (union, "no class"),
        (another, "annotation says"),
        (listed, "on_batch"),
        (3, "no function"),
    ],
)
def test_a_handler_that_cannot_be_called_is_an_error_that_names_it(fn: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named) as raised:
        make().on(OrderPlaced)(fn)
    assert getattr(fn, "__name__", "3") in str(raised.value)


def placed(order: OrderPlaced) -> None: ...
def also_placed(order: OrderPlaced) -> None: ...


def test_two_handlers_for_one_type_are_an_error_that_names_both() -> None:
    consumer = make()
    consumer.on(OrderPlaced)(placed)
    with pytest.raises(ConfigError, match=r"also_placed and .*placed are both for the event type"):
        consumer.on("order.placed")(also_placed)


def test_the_type_must_fit_the_class() -> None:
    with pytest.raises(ConfigError, match=r"declared as 'order\.placed'"):
        make().on("order.shipped")(placed)


def test_on_without_parentheses_is_an_error_at_once() -> None:
    for by in ("on", "on_batch"):
        with pytest.raises(ConfigError, match=rf"{by}\(.*lambda_for_plain\).*@consumer.{by}\("):
            getattr(make(), by)(lambda_for_plain)


@pytest.mark.parametrize("given", ["", "a\nb", Plain, 3])
def test_only_event_types_and_declared_classes_have_handlers(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"event type|@event class"):
        make().on(given)(lambda_for_plain)


def lambda_for_plain(data: dict[str, Any]) -> None: ...


def test_a_batch_handler_takes_a_list_of_a_sensible_length() -> None:
    with pytest.raises(ConfigError, match=r"list\[\.\.\.\]"):
        make().on_batch(OrderPlaced)(placed)
    for most in (0, 501, "5", True):
        with pytest.raises(ConfigError, match="500"):
            make().on_batch(OrderPlaced, most=most)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan"), "soon", timedelta(-1), True])
def test_a_timeout_is_a_time(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        make().on(OrderPlaced, timeout=timeout)


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ({"retries": "3"}, "retries='3'"),
        ({"retries": 1.5}, r"retries=1\.5"),
        ({"retries": True}, "retries=True"),
        ({"backoff": "soon"}, "backoff='soon'"),
        ({"backoff": "301s"}, "backoff"),
        ({"most": 5}, "most: no such term"),
    ],
)
def test_terms_that_are_none_are_refused(terms: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make().on(OrderPlaced, **terms)


@pytest.mark.parametrize("topics", [5, [5], [None]])
def test_topics_are_names(topics: Any) -> None:
    with pytest.raises(ConfigError, match="topics"):
        make(topics=topics)


@pytest.mark.parametrize("settings", ["orders", {"BROKERS": "localhost:9092"}, 5])
@pytest.mark.parametrize("make_one", [functools.partial(Consumer, group_id="g"), Publisher, Manager])
def test_its_first_argument_is_settings(settings: Any, make_one: Any) -> None:
    with pytest.raises(ConfigError, match=f"a Settings, not a {type(settings).__name__}: .*by name"):
        make_one(settings)


def test_a_topic_has_one_handler_and_a_legal_name() -> None:
    consumer = make()
    consumer.subscribe("plain", lambda_for_plain)
    with pytest.raises(ConfigError, match="both for the topic 'plain'"):
        consumer.subscribe("plain", lambda_for_plain)
    with pytest.raises(ConfigError, match="not a topic name"):
        consumer.subscribe("no topic!", lambda_for_plain)


def test_a_consumer_needs_a_group_handlers_and_legal_topics() -> None:
    with pytest.raises(ConfigError, match="KAFKA_GROUP_ID"):
        Consumer(brokers="localhost:9092")
    with pytest.raises(ConfigError, match="no handler"):
        make(topics="orders").start()
    with pytest.raises(ConfigError, match="not a topic name"):
        make(topics=["orders", "no topic!"])
    with pytest.raises(ConfigError, match="regular expression"):
        make(topics="^orders(")


def test_topics_are_those_given_or_those_of_the_handlers() -> None:
    @event("test.declared", topic="declared.home")
    class Declared(pydantic.BaseModel):
        name: str

    def declared(it: Message) -> None: ...  # type: ignore[type-arg]

    def subscribed(it: Any) -> None: ...

    consumer = make(topic="the-default")
    consumer.on(Declared)(declared)
    consumer.on("unknown.type")(lambda_for_plain)
    consumer.subscribe("plain", subscribed)
    assert consumer._topics([]) == ["plain", "declared.home", "the-default"]
    assert consumer._topics(["^orders.*", "plain"]) == ["^orders.*", "plain"]


@dataclasses.dataclass
class Own:
    """What a service reads of somebody else's event."""

    order_id: str


def own(it: Own) -> None: ...
def own_message(it: Message[Own]) -> None: ...
def own_list(it: list[Own]) -> None: ...


@pytest.mark.parametrize("fn", [lambda_for_plain, own, own_message, own_list])
def test_by_its_name_a_type_is_read_where_it_is_sent(fn: Any) -> None:
    logical: dict[str, Any] = {"audit_topic": "who-did-what", "topics": {"who-did-what": "prod.audit"}}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({}, "order.placed", "orders"),
        ({"topic_map": {"order.*": "mapped"}}, "order.placed", "mapped"),
        ({}, "user.registered", "user-events"),  # of the catalogue
        ({"topic_map": {"user.registered": "mapped"}}, "user.registered", "mapped"),
        (logical, "audit.recorded", "prod.audit"),
        ({}, "never.declared", "default-events"),
    ]
    for fields, event_type, topic in cases:
        settings = Settings(brokers="localhost:9092", **fields)
        consumer = Consumer(settings, group_id="g", registry=events)
        (consumer.on_batch if fn is own_list else consumer.on)(event_type)(fn)
        with Publisher(settings, transport=InMemoryTransport(), registry=events) as publisher:
            assert consumer._topics([]) == [topic] == [publisher.topic_for(event_type)]


def test_a_class_of_any_registry_is_read_where_it_is_declared_to_go() -> None:
    consumer = make()
    consumer.on(OrderPlaced)(lambda_for_plain)
    assert consumer._topics([]) == ["orders"]


def test_settings_give_the_defaults_of_a_handler() -> None:
    consumer = make(retry_max=7, retry_backoff="2s", retry_backoff_max="1h", handler_timeout="9s")
    consumer.on(OrderPlaced)(placed)
    handler = registered(consumer)
    assert (handler.policy.repeats, handler.policy.backoff, handler.policy.backoff_max) == (7, 2.0, 300.0)
    assert handler.timeout == 9.0
    consumer.on("another.type", retries=0, backoff=0.5, retry_on=OSError, timeout=1)(lambda_for_plain)
    policy = registered(consumer, "another.type").policy
    assert (policy.repeats, policy.backoff, policy.on) == (0, 0.5, (OSError,))
    consumer.on("one.more", backoff="100ms", timeout=timedelta(minutes=1))(lambda_for_plain)
    assert registered(consumer, "one.more").policy.backoff == 0.1
    assert registered(consumer, "one.more").timeout == 60.0


@pytest.mark.parametrize(
    ("dlq_topic", "topics"),
    [
        ("dead-letters", "dead-letters"),
        ("dead-letters", "^.*"),
        ("dlq.{topic}", "dlq.orders"),
        ("x.{topic}", "^x"),
    ],
)
def test_its_own_letters_are_no_source_of_a_consumer(dlq_topic: str, topics: str) -> None:
    with pytest.raises(ConfigError, match="dead-letter topic"):
        Consumer(brokers="in-memory.invalid:9092", group_id="g", topics=topics, dlq_topic=dlq_topic)


def test_letters_may_be_consumed_where_their_own_letters_go_elsewhere() -> None:
    where: dict[str, Any] = {
        "brokers": "in-memory.invalid:9092",
        "group_id": "g",
        "dlq_topic": "letters-of-letters",
    }
    for topics in ("dead-letters", "^dead.*", "^orders-"):
        assert Consumer(topics=topics, **where)
