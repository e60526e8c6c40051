"""Slips of the application: each costs its own event a letter, and no worker, no other event."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from support.books import LONG
from support.processes import wait_until
from tidings import ConsumeError, Consumer, DeadLetter, HealthStatus, Publisher, Registry, Reject
from tidings.consuming.fate import Fate
from tidings.testing.memory import InMemoryTransport

registry = Registry()
COUNT = 40
SLIPS = {3, 17, 18, 30}


class Mute(Exception):
    """str() of it raises; also as what a Reject was given."""

    def __str__(self) -> str:
        raise SystemExit


@registry.event("page.turned", topic="pages", key="number")
class PageTurned(msgspec.Struct):
    number: int


@registry.event("page.torn", topic="pages", key="number")
class PageTorn(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number in SLIPS:
            raise asyncio.CancelledError if self.number % 2 else KeyError(self.number)


def _consumer(transport: InMemoryTransport, cls: type, form: str, work: Any) -> Consumer:
    consumer = Consumer(
        transport=transport,
        topics="pages",
        group_id="g",
        registry=registry,
        retry_max=1,
        workers=2,
        on_outage="letter",
    )
    add: Any = consumer.on_batch if "batch" in form else consumer.on

    def handle(given: Any) -> None:
        for each in given if isinstance(given, list) else [given]:
            work(each.number)

    async def handle_async(given: Any) -> None:
        await asyncio.sleep(0)
        handle(given)

    chosen = handle_async if "async" in form else handle
    chosen.__annotations__["given"] = list[cls] if "batch" in form else cls  # type: ignore[valid-type]
    add(cls)(chosen)
    return consumer


def _letters(transport: InMemoryTransport) -> dict[int, DeadLetter]:
    found = [
        DeadLetter.decode(record.value) for record in transport.records if record.topic == "dead-letters"
    ]
    return {msgspec.json.decode(letter.value or b"")["data"]["number"]: letter for letter in found}


def _publish(transport: InMemoryTransport, event_type: str) -> None:
    with Publisher(transport=transport) as publisher:
        for number in range(COUNT):
            publisher.publish({"number": number}, event_type=event_type, topic="pages", key=str(number))


@pytest.mark.parametrize("form", ["sync", "async", "sync batch", "async batch"])
@pytest.mark.parametrize("error", [Mute(), Reject(Mute())], ids=["raised", "rejected"])
def test_an_exception_without_a_text(form: str, error: Exception) -> None:
    transport, done = InMemoryTransport(), list[int]()

    def work(number: int) -> None:
        if number in SLIPS:
            raise error
        done.append(number)

    _publish(transport, "page.turned")
    with _consumer(transport, PageTurned, form, work) as consumer:
        assert wait_until(lambda: len(_letters(transport)) == len(SLIPS), LONG)
        assert wait_until(lambda: consumer.stats().handled == COUNT - len(SLIPS), LONG)
    assert set(done) == set(range(COUNT)) - SLIPS
    letters = _letters(transport)
    assert letters.keys() == SLIPS
    words = f"{type(error).__name__}: its text cannot be made"
    assert all(words in letter.failure_reason for letter in letters.values())


@pytest.mark.parametrize("form", ["sync", "async", "sync batch", "async batch"])
def test_a_class_that_raises_when_it_is_made(form: str) -> None:
    transport, done = InMemoryTransport(), list[int]()
    _publish(transport, "page.torn")
    with _consumer(transport, PageTorn, form, done.append) as consumer:
        assert wait_until(lambda: len(_letters(transport)) == len(SLIPS), LONG)
        assert wait_until(lambda: consumer.stats().handled == COUNT - len(SLIPS), LONG)
    assert set(done) == set(range(COUNT)) - SLIPS
    assert _letters(transport).keys() == SLIPS


@pytest.mark.parametrize("form", ["sync", "async"])
def test_a_worker_that_fails_ends_the_consumer_which_says_so(
    form: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect of our own: what is not finished is read again, and nothing stands still in silence."""

    def failed(*_: object) -> None:
        raise AssertionError("a defect")

    def work(_: int) -> None:
        raise ValueError

    monkeypatch.setattr(Fate, "failed", failed)
    transport = InMemoryTransport()
    _publish(transport, "page.turned")
    consumer = _consumer(transport, PageTurned, form, work)
    consumer.start()
    assert wait_until(lambda: consumer.health().cause == "failed", LONG)
    assert consumer.health().status is HealthStatus.UNHEALTHY
    assert consumer.close(0).handled == 0
    assert "A worker of the consumer failed" in caplog.text


@pytest.mark.parametrize("wait", [lambda it: it, lambda it: asyncio.wait_for(it, LONG), asyncio.gather])
def test_a_handler_that_awaits_aclose_begins_the_end_and_finishes(wait: Any) -> None:
    transport = InMemoryTransport()
    _publish(transport, "page.turned")
    consumer = Consumer(transport=transport, topics="pages", group_id="g", registry=registry, workers=1)
    done: list[int] = []

    @consumer.on(PageTurned)
    async def handle(page: PageTurned) -> None:
        await wait(consumer.aclose())
        done.append(page.number)

    report = consumer.run()
    assert report.handled == len(done) > 0
    assert consumer.stats().failed == 0


def test_what_is_asked_of_a_closed_consumer_or_makes_no_sense_is_an_error() -> None:
    transport = InMemoryTransport()
    consumer = _consumer(transport, PageTurned, "sync", [].append)
    with consumer:
        for offset in (-5, 1 << 63):
            with pytest.raises(ConsumeError, match="no offset"):
                consumer.seek("pages", 0, offset)
        consumer.rewind(0)
        with pytest.raises(ConsumeError, match="timestamp"):
            consumer.rewind("2026-01-01")  # type: ignore[arg-type]
    with pytest.raises(ConsumeError, match="closed"):
        consumer.seek("pages", 0, 0)
