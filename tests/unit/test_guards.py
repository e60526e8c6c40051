"""Guards, by the public API: rate limit, bulkhead, shedding and the breaker. Nothing accepted is dropped."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.books import LONG, MakePublisher, check_books, doom, settle
from support.events import OrderPlaced
from support.processes import wait_until
from support.scripts import TESTS, run_script
from tidings import (
    BulkheadFull,
    ConfigError,
    Delivery,
    InvalidEvent,
    Publisher,
    PublisherClosed,
    PublishError,
    QueueFull,
    RateLimited,
    Registry,
    State,
    StoreFull,
)
from tidings.settings import Settings
from tidings.signals import BreakerChanged, Rejected, Signal
from tidings.testing.memory import InMemoryTransport

event = Registry().event


@event("guard.low", topic="orders", priority="low")
class Low(msgspec.Struct):
    text: str = ""


@event("guard.normal", topic="orders")
class Normal(msgspec.Struct):
    text: str = ""


@event("guard.high", topic="orders", priority="high")
class High(msgspec.Struct):
    text: str = ""


CALLS: dict[str, Callable[[Publisher], Delivery | None]] = {
    "publish": lambda publisher: publisher.publish(Normal()),
    "publish with options": lambda publisher: publisher.publish(Normal(), key="k"),
    "publish a dict": lambda publisher: publisher.publish({"a": 1}, event_type="a.b", topic="orders"),
    "produce": lambda publisher: publisher.produce("orders", b"x"),
    "publish_json": lambda publisher: publisher.publish_json("orders", 1),
    "sender": lambda publisher: publisher.sender("orders").send(None, b"x"),
}
GUARDS: dict[str, tuple[dict[str, Any], type[PublishError]]] = {
    "rate": ({"rate_limit": 0.01, "rate_burst": 3}, RateLimited),
    "bulkhead": ({"bulkhead": 3}, BulkheadFull),
    "shedding": ({"shedding": True, "queue_messages": 3}, QueueFull),
}


def publish_one(kind: type[msgspec.Struct]) -> Callable[[Publisher], Delivery]:
    return lambda publisher: publisher.publish(kind())


def call_until_refused(publisher: Publisher, call: Callable[[Publisher], object]) -> int:
    """How many were taken before one was refused."""
    for taken in range(1000):
        try:
            call(publisher)
        except PublishError:
            return taken
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("options", "error"), GUARDS.values(), ids=GUARDS)
def test_every_call_passes_every_guard(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    options: dict[str, Any],
    error: type[PublishError],
    call: Callable[[Publisher], object],
) -> None:
    transport.down()
    publisher = make_publisher(max_block=0.0, **options)
    assert call_until_refused(publisher, call) == 3
    with pytest.raises(error) as raised:
        call(publisher)
    stats = check_books(publisher)
    assert (stats.accepted, stats.in_flight, stats.rejected) == (3, 3, 2)
    assert stats.rejected_by == {error.code: 2}
    assert stats.shed == ({"normal": 2} if error is QueueFull else {})
    assert raised.value.shed == ("normal" if error is QueueFull else None)
    transport.up()
    assert settle(publisher).delivered == 3


@pytest.mark.parametrize(("options", "error"), GUARDS.values(), ids=GUARDS)
def test_on_reject_log(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    error: type[PublishError],
) -> None:
    transport.down()
    publisher = make_publisher(max_block=0.0, on_reject="log", **options)
    heard: list[Signal] = []
    publisher.listen(heard.append, Rejected)
    with caplog.at_level(logging.ERROR, "tidings.publisher"):
        deliveries = [publisher.publish(Normal(), event_id=f"e-{number}") for number in range(5)]
    assert [delivery.state for delivery in deliveries] == [State.ACCEPTED] * 3 + [State.REJECTED] * 2
    assert isinstance(deliveries[3].error, error)
    assert "event_id=e-3" in caplog.messages[0]
    assert wait_until(
        lambda: [signal.code for signal in heard if isinstance(signal, Rejected)] == [error.code] * 2
    )
    transport.up()
    assert settle(publisher).delivered == 3


@pytest.mark.parametrize(("options", "error"), GUARDS.values(), ids=GUARDS)
def test_a_batch_is_refused_event_by_event(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    options: dict[str, Any],
    error: type[PublishError],
) -> None:
    transport.down()
    publisher = make_publisher(max_block=0.0, **options)
    batch = publisher.publish_batch([Normal(), object(), Normal(), Normal(), Normal(), Normal()])
    assert {index: type(why) for index, why in batch.rejected.items()} == {
        1: InvalidEvent,
        4: error,
        5: error,
    }
    transport.up()
    assert settle(publisher).delivered == 3


def test_a_thread_waits_for_its_turn(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(rate_limit=200, rate_burst=1, max_block=LONG)
    threads = [
        threading.Thread(target=lambda: [publisher.publish(Normal()) for _ in range(10)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    stats = settle(publisher)
    assert (stats.delivered, stats.rejected) == (40, 0)


def test_nobody_waits_in_vain(make_publisher: MakePublisher) -> None:
    """The next token comes in 1,000 s: MAX_BLOCK of ten minutes would not do."""
    publisher = make_publisher(rate_limit=0.001, rate_burst=1, max_block=600.0)
    publisher.publish(Normal())
    with pytest.raises(RateLimited, match="try in"):
        publisher.publish(Normal())


def test_a_thread_waits_for_a_place(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher(bulkhead=2, max_block=LONG)
    transport.down()
    for _ in range(2):
        publisher.publish(Normal())
    thread = threading.Thread(target=lambda: publisher.publish(Normal()))
    thread.start()
    publisher.produce("other", b"x")
    assert publisher.stats().under_way == {"orders": 2, "other": 1}
    transport.up()
    thread.join(LONG)
    assert settle(publisher).delivered == 4


def test_a_running_loop_never_waits_but_apublish_does(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(bulkhead=3, rate_limit=200, rate_burst=10, max_block=LONG)

    async def main() -> None:
        transport.down()
        assert call_until_refused(publisher, CALLS["publish"]) == 3  # not after LONG seconds
        waiting = [asyncio.create_task(publisher.apublish(Normal(), key="k")) for _ in range(20)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await publisher.apublish(Normal(), max_block=0.01)
        waiting.pop().cancel()
        transport.up()
        receipts = [await delivery for delivery in await asyncio.gather(*waiting)]
        assert {receipt.state for receipt in receipts} == {State.DELIVERED}
        with pytest.raises(InvalidEvent):
            await publisher.apublish(object())

    asyncio.run(main())
    stats = settle(publisher)
    assert (stats.accepted, stats.delivered) == (22, 22)
    assert stats.rejected_by == {"KAFKA_BULKHEAD_FULL": 2, "KAFKA_INVALID_EVENT": 1}, "not each try of a wait"


def test_apublish_waits_for_the_queue_too(make_publisher: MakePublisher) -> None:
    transport = InMemoryTransport(queue_messages=1)
    publisher = make_publisher(transport=transport, max_block=LONG)

    async def main() -> None:
        transport.down()
        publisher.publish(Normal())
        task = asyncio.create_task(publisher.apublish(Normal()))
        with pytest.raises(QueueFull):
            publisher.publish(Normal())
        transport.up()
        assert (await (await task)).state is State.DELIVERED

    asyncio.run(main())


@pytest.mark.parametrize("guard", [{"bulkhead": 1}, {"rate_limit": 0.002, "rate_burst": 1}])
def test_close_ends_the_waiting(
    make_publisher: MakePublisher, transport: InMemoryTransport, guard: dict[str, Any]
) -> None:
    publisher = make_publisher(max_block=600.0, **guard)
    transport.down()
    publisher.publish(Normal())
    errors: list[PublishError] = []

    def publish() -> None:
        try:
            publisher.publish(Normal())
        except PublishError as error:
            errors.append(error)

    thread = threading.Thread(target=publish)
    thread.start()
    assert publisher.close(0.05).lost == 1
    thread.join(LONG)
    assert [type(error) for error in errors] == [PublisherClosed]


# -- the bulkhead


def test_a_slow_topic_leaves_room_for_others(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(
        bulkhead={"slow": 5}, topics={"sluggish": "slow"}, queue_messages=10, max_block=0.0
    )
    transport.down()
    assert call_until_refused(publisher, lambda publisher: publisher.produce("sluggish", b"x")) == 5
    for _ in range(50):
        publisher.produce("quick", b"x")
    assert publisher.stats().under_way == {"slow": 5}
    transport.up()
    assert settle(publisher).delivered == 55


def _delivered(transport: InMemoryTransport) -> None:
    transport.up()


def _dead_lettered(transport: InMemoryTransport) -> None:
    transport.fail_always(lambda record: record.topic == "orders", "MSG_SIZE_TOO_LARGE")
    transport.up()


def _lost(transport: InMemoryTransport) -> None:
    doom(transport, 3)
    transport.up()


@pytest.mark.parametrize(
    ("end", "term"), [(_delivered, "delivered"), (_dead_lettered, "dead_lettered"), (_lost, "lost")]
)
def test_every_end_gives_the_place_back(
    make_publisher: MakePublisher,
    transport: InMemoryTransport,
    end: Callable[[InMemoryTransport], None],
    term: str,
) -> None:
    publisher = make_publisher(bulkhead=3, max_block=0.0)
    for turn in range(1, 4):
        transport.down()
        assert call_until_refused(publisher, CALLS["publish"]) == 3
        end(transport)
        assert getattr(settle(publisher), term) == 3 * turn
        assert publisher.stats().under_way == {"orders": 0}


def test_what_the_store_has_gives_its_place_back(
    make_publisher: MakePublisher, transport: InMemoryTransport, tmp_path: Path
) -> None:
    publisher = make_publisher(
        bulkhead=3, durability="write-ahead", store_dir=tmp_path, max_block=LONG, outage_after=0.1
    )
    transport.fail_always(lambda record: True, "TOPIC_AUTHORIZATION_FAILED")
    for _ in range(20):
        publisher.publish(Normal())
    assert wait_until(lambda: publisher.stats().stored == 20)
    assert wait_until(lambda: publisher.stats().under_way == {"orders": 0})
    transport.clear_faults()
    assert settle(publisher).delivered == 20


def test_while_the_breaker_is_open_the_store_takes_more(
    make_publisher: MakePublisher, transport: InMemoryTransport, tmp_path: Path
) -> None:
    publisher = make_publisher(
        bulkhead=3, durability="spill", store_dir=tmp_path, max_block=0.0, outage_after=0.1
    )
    publisher.publish(Normal()).wait(LONG)
    transport.down()
    assert call_until_refused(publisher, CALLS["publish"]) == 3
    assert wait_until(lambda: publisher.stats().breakers == {"orders": "silent"})
    for _ in range(20):
        publisher.publish(Normal())
    assert wait_until(lambda: publisher.stats().stored == 20)
    assert publisher.stats().under_way == {"orders": 3}
    transport.up()
    assert settle(publisher).delivered == 24


def test_a_refused_event_takes_no_place(make_publisher: MakePublisher) -> None:
    transport = InMemoryTransport(queue_messages=2)
    publisher = make_publisher(transport=transport, bulkhead=3, max_block=0.0)
    transport.down()
    for _ in range(5):
        assert call_until_refused(publisher, CALLS["publish"]) in {2, 0}
    assert publisher.stats().under_way == {"orders": 2}
    assert publisher.stats().rejected_by == {"KAFKA_QUEUE_FULL": 5}
    transport.up()


def test_never_more_than_the_cap_with_eight_threads(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(bulkhead=5, max_block=LONG, rate_limit=1e6)
    most, produce = [0], transport.produce

    def watched(*record: Any) -> None:
        most[0] = max(
            most[0], len(transport)
        )  # without this one: another thread may be between its door and here
        produce(*record)

    transport.produce = watched  # type: ignore[method-assign,assignment]
    threads = [
        threading.Thread(target=lambda: [publisher.publish(Normal()) for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        transport.down()
        wait_until(lambda: len(transport) >= 5 or publisher.stats().accepted == 1600, 1.0)
        transport.up()
    for thread in threads:
        thread.join(LONG)
    assert most[0] < 5
    stats = settle(publisher)
    assert (stats.delivered, stats.rejected, stats.under_way) == (1600, 0, {"orders": 0})


def test_a_forked_child_has_all_places_and_tokens() -> None:
    run_script(str(TESTS / "unit" / "programs" / "guards_fork.py"))


# -- load shedding


def test_lower_priorities_are_refused_first(make_publisher: MakePublisher) -> None:
    transport = InMemoryTransport(queue_messages=100)
    publisher = make_publisher(transport=transport, shedding=True, queue_messages=100, max_block=0.0)
    transport.down()
    for kind, taken in ((Low, 81), (Low, 0), (Normal, 15), (Low, 0), (Normal, 0), (High, 4), (High, 0)):
        assert call_until_refused(publisher, publish_one(kind)) == taken
    assert publisher.stats().shed == {"low": 3, "normal": 2}
    assert publisher.stats().rejected_by == {"KAFKA_QUEUE_FULL": 7}
    with pytest.raises(QueueFull, match="100% of the queue is used, and events of low priority"):
        publisher.publish(Low(), key="k")
    transport.up()
    assert settle(publisher).delivered == 100, "never what was accepted"


def test_large_events_use_the_queue_up_by_their_bytes(
    make_publisher: MakePublisher, transport: InMemoryTransport
) -> None:
    publisher = make_publisher(shedding=True, queue_bytes=2_000_000, max_event_bytes=200_000, max_block=0.0)
    transport.down()
    taken = call_until_refused(publisher, lambda publisher: publisher.publish(Low("x" * 20_000)))
    assert 80 <= taken <= 200, "the mean size is known after some"
    publisher.publish(High())
    transport.up()


def test_the_rate_is_kept_for_higher_ones(make_publisher: MakePublisher) -> None:
    publisher = make_publisher(shedding=True, rate_limit=0.001, rate_burst=100, max_block=0.0)
    for kind, taken in ((Low, 81), (Normal, 15), (High, 4)):
        assert call_until_refused(publisher, publish_one(kind)) == taken
    stats = publisher.stats()
    assert (stats.shed, stats.rejected_by) == ({"low": 1, "normal": 1}, {"KAFKA_RATE_LIMITED": 3})


def test_a_store_that_fills_up_is_kept_for_higher_ones(
    make_publisher: MakePublisher, transport: InMemoryTransport, tmp_path: Path
) -> None:
    publisher = make_publisher(
        shedding=True,
        durability="write-ahead",
        store_dir=tmp_path,
        store_max_bytes="4MiB",
        queue_bytes="1MiB",
        intake_bytes="512KiB",
        max_event_bytes=200_000,
        max_block=0.2,
    )
    transport.down()

    def fill(kind: type[Low | Normal]) -> StoreFull:
        """Until the store is why one is refused: the intake may be full for a moment before."""
        while True:
            try:
                publisher.publish(kind("x" * 20_000)).wait_safe(LONG)
            except QueueFull:
                continue
            except StoreFull as error:
                return error

    assert fill(Low).shed == "low"
    publisher.publish(Normal("x" * 20_000)).wait_safe(LONG)
    refused = fill(Normal)
    assert refused.shed == "normal"
    assert "of the store is used, and events of normal priority are refused above 95%" in str(refused)
    publisher.publish(High("x" * 20_000)).wait_safe(LONG)
    transport.up()
    stats = settle(publisher)
    assert stats.delivered == stats.accepted


def test_without_shedding_priorities_count_for_nothing(make_publisher: MakePublisher) -> None:
    transport = InMemoryTransport(queue_messages=20)
    publisher = make_publisher(transport=transport, queue_messages=20, max_block=0.0)
    transport.down()
    assert call_until_refused(publisher, publish_one(Low)) == 20
    transport.up()


def test_an_unknown_priority_is_refused_at_the_declaration() -> None:
    with pytest.raises(ConfigError, match="'urgent' is none of low, normal, high"):
        event("a.b", priority="urgent")(type("A", (msgspec.Struct,), {}))  # type: ignore[arg-type]


# -- the breaker


def test_an_open_breaker_is_seen(make_publisher: MakePublisher, transport: InMemoryTransport) -> None:
    publisher = make_publisher(retry_max=1000)
    heard: list[Signal] = []
    publisher.listen(heard.append, BreakerChanged)
    transport.fail_always(lambda record: record.topic == "orders", "TOPIC_AUTHORIZATION_FAILED")
    publisher.publish(Normal())
    publisher.produce("other", b"x").wait(LONG)
    assert wait_until(lambda: publisher.stats().breakers == {"orders": "TOPIC_AUTHORIZATION_FAILED"})
    transport.clear_faults()
    assert wait_until(lambda: not (publisher.publish(Normal()).wait(LONG) and publisher.stats().breakers))
    assert wait_until(
        lambda: (
            heard == [BreakerChanged("orders", "TOPIC_AUTHORIZATION_FAILED"), BreakerChanged("orders", "")]
        )
    )


# -- off, and settings


def test_guards_that_are_off_are_not_there(make_publisher: MakePublisher) -> None:
    publisher = make_publisher()
    append = publisher._engine.ledger.arrivals.append
    assert all(door == append for door in publisher._engine.guards.doors.values())


def test_a_disabled_publisher_has_no_guards() -> None:
    with Publisher.disabled(bulkhead=1, rate_limit=0.01, shedding=True) as publisher:
        for _ in range(10):
            assert publisher.publish(OrderPlaced("o")).state is State.DISCARDED
            publisher.produce("t", b"x")
        assert (publisher.stats().discarded, publisher.stats().rejected_by) == (20, {})


@pytest.mark.parametrize(
    ("given", "caps"),
    [
        (500, {"*": 500}),
        (" 500 ", {"*": 500}),
        ("orders=5,*=7", {"orders": 5, "*": 7}),
        ('{"orders": 5}', {"orders": 5}),
        ({"orders": "5", "*": 7}, {"orders": 5, "*": 7}),
    ],
)
def test_bulkhead_is_a_number_or_a_map(given: object, caps: dict[str, int]) -> None:
    assert Settings(brokers="a:1", bulkhead=given).bulkhead == caps


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bulkhead": 0}, "bulkhead: 0 is not a number of events from 1"),
        ({"bulkhead": "orders=many"}, "'many' is not a number of events"),
        ({"bulkhead": True}, "True is not a number of events"),
        ({"bulkhead": {"a b": 1}}, "bulkhead: 'a b' is not a topic name"),
        ({"bulkhead": {"o": 1, "orders": 2}, "topics": {"o": "orders"}}, "'o' and its topic 'orders'"),
        ({"rate_limit": 0}, "rate_limit: must be from 0.001"),
        ({"rate_burst": 5}, "rate_burst: has no effect, since KAFKA_RATE_LIMIT is not set"),
    ],
)
def test_settings_that_cannot_be_right(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Settings(brokers="a:1", **wrong)
    assert words in str(raised.value)
