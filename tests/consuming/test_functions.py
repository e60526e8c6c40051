"""Functions of every kind as handlers: one whose body has not run never counts as handled."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from support.books import LONG
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import ConfigError, Consumer, Publisher
from tidings.testing import InMemoryTransport

ran: list[str] = []


@pytest.fixture(autouse=True)
def _afresh() -> None:
    ran.clear()


def plain(order: OrderPlaced) -> None:
    ran.append("plain")


async def coroutine(order: OrderPlaced) -> None:
    ran.append("async")


def generator(order: OrderPlaced) -> Iterator[int]:
    ran.append("generator")
    yield 1


async def async_generator(order: OrderPlaced) -> AsyncIterator[int]:
    ran.append("async generator")
    yield 1


class Generates:
    def __call__(self, order: OrderPlaced) -> Iterator[int]:
        yield 1


class LazyQuery:
    def __await__(self) -> Iterator[None]:
        ran.append("query")
        yield


def passing(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator written for plain functions."""

    def wrapper(order: OrderPlaced) -> Any:
        return fn(order)

    return wrapper


@contextlib.contextmanager
def timed() -> Iterator[None]:
    yield


async def returns_a_coroutine(order: OrderPlaced) -> Any:
    return coroutine(order)


def returns_a_query(order: OrderPlaced) -> Any:
    return LazyQuery()


def listed(orders: list[OrderPlaced]) -> Any:
    return coroutine(orders[0])


def consumed(
    fn: Any, *, batch: bool = False, events: int = 1, **terms: Any
) -> tuple[Consumer, InMemoryTransport]:
    """What becomes of events with this handler; the consumer is closed."""
    kafka = InMemoryTransport()
    consumer = Consumer(transport=kafka, topics="orders", group_id="g", retry_backoff=0.001)
    (consumer.on_batch if batch else consumer.on)(OrderPlaced, **terms)(fn)
    with Publisher(transport=kafka) as publisher:
        for number in range(events):
            publisher.publish(OrderPlaced(f"o-{number}", 1)).wait(LONG)
    with consumer:
        assert wait_until(lambda: consumer.stats().handled + consumer.stats().dead_lettered == events, LONG)
    return consumer, kafka


@pytest.mark.parametrize("fn", [generator, async_generator, functools.partial(generator), Generates()])
def test_a_generator_is_no_handler(fn: Any) -> None:
    consumer = Consumer(transport=InMemoryTransport(), topics="orders", group_id="g")
    with pytest.raises(ConfigError, match="is a generator"):
        consumer.on(OrderPlaced)(fn)


@pytest.mark.parametrize(
    ("fn", "terms", "words"),
    [
        (passing(coroutine), {}, "returned a coroutine"),
        (passing(coroutine), {"dedup": "1h"}, "returned a coroutine"),
        (passing(generator), {}, "returned a generator"),
        (passing(async_generator), {}, "returned a generator"),
        (returns_a_query, {}, "returned a LazyQuery"),
        (returns_a_coroutine, {}, "returned a coroutine"),
        (returns_a_coroutine, {"dedup": "1h"}, "returned a coroutine"),
        (listed, {"batch": True}, "returned a coroutine"),
    ],
)
def test_what_is_returned_and_never_run_is_a_letter_at_once(
    fn: Any, terms: dict[str, Any], words: str
) -> None:
    consumer, kafka = consumed(fn, events=2, **terms)
    assert consumer.stats().handled == 0
    letters = kafka.events("dead-letters")
    assert [(it["error_code"], it["attempt_count"]) for it in letters] == [("KAFKA_REJECTED", 1)] * 2
    assert all(words in it["failure_reason"] for it in letters)
    assert ran == []


def as_async(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def wrapper(order: OrderPlaced) -> Any:
        return fn(order)

    return wrapper


def marked(order: OrderPlaced) -> Any:
    return coroutine(order)


marked._is_coroutine = object()  # type: ignore[attr-defined]  # what asgiref does before Python 3.12


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (sync_to_async(plain), "plain"),
        (as_async(plain), "plain"),
        (timed()(coroutine), "async"),
        (timed()(plain), "plain"),
        (marked, "async"),
        (functools.partial(functools.partial(coroutine)), "async"),
        (as_async(functools.partial(plain)), "plain"),
    ],
)
def test_wrapped_functions_run(fn: Any, expected: str) -> None:
    consumer, _ = consumed(fn)
    assert (consumer.stats().handled, ran) == (1, [expected])


def test_what_a_handler_returns_otherwise_is_its_own_affair() -> None:
    kafka = InMemoryTransport()
    with Publisher(transport=kafka) as publisher:

        def sends(order: OrderPlaced) -> Any:
            return publisher.publish_json("bills", 1)

        def sends_many(order: OrderPlaced) -> Any:
            return publisher.publish_batch([OrderPlaced("a", 1), OrderPlaced("b", 1)], topic="bills")

        async def starts(order: OrderPlaced) -> Any:
            return asyncio.ensure_future(coroutine(order))

        for fn in (sends, as_async(sends), sends_many, as_async(sends_many), starts, lambda_of(order=3)):
            assert consumed(fn)[0].stats().handled == 1
    assert len(kafka.events("bills")) == 6


def lambda_of(**result: int) -> Callable[[OrderPlaced], Any]:
    def fn(order: OrderPlaced) -> Any:
        return result

    return fn
