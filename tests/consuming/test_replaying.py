"""A consumer's letters straight to its handlers: what these get, and what becomes of the letters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced, registry
from support.letterpile import BORN, Pile, given_up
from support.processes import wait_until
from support.replaying import MemorySender, letter
from tidings import (
    ConfigError,
    Consumer,
    Message,
    Publisher,
    Reject,
    Replay,
    Retry,
    Stop,
    current_correlation_id,
)
from tidings.kafka.taken import TakenLetter
from tidings.letters.replay_report import ReplayReport
from tidings.testing import InMemoryTransport

Seen = list[Message[OrderPlaced]]


@pytest.fixture
def consumer() -> Consumer:
    return make()


def make(**settings: Any) -> Consumer:
    given = {"topics": "orders", "group_id": "billing", "retry_backoff": 0.001, "retry_max": 2, **settings}
    return Consumer(brokers="in-memory.invalid:9092", registry=registry, **given)


def replay(consumer: Consumer, pile: Pile, **options: Any) -> Replay:
    return Replay(source=pile, consumer=consumer, **{"all": True, **options})


def run(consumer: Consumer, pile: Pile, **options: Any) -> ReplayReport:
    report = replay(consumer, pile, **options).run()
    assert report.matched == report.replayed + report.failed + report.parked
    return report


def listen(consumer: Consumer, kind: str, do: Callable[[Message[OrderPlaced]], object]) -> None:
    """Register a handler, sync or async."""
    if kind == "threads":

        @consumer.on(OrderPlaced)
        def handle(message: Message[OrderPlaced]) -> None:
            do(message)

        return

    @consumer.on(OrderPlaced)
    async def ahandle(message: Message[OrderPlaced]) -> None:
        await asyncio.sleep(0)
        do(message)


def test_a_handler_gets_the_event_as_it_was_read(consumer: Consumer, kind: str) -> None:
    seen: list[tuple[Message[OrderPlaced], str | None]] = []
    listen(consumer, kind, lambda message: seen.append((message, current_correlation_id())))
    pile = Pile(it := given_up(7))
    report = run(consumer, pile, who="ada")
    assert (report.replayed, report.stopped) == (1, "")
    ((message, correlation_id),) = seen
    assert message.data == OrderPlaced("o-1", 7)
    assert (message.topic, message.partition, message.offset, message.attempt) == ("orders", 2, 7, 1)
    assert (message.key, message.value, message.headers) == (it.key, it.value, it.record_headers)
    assert (message.event_id, correlation_id) == ("e-7", "c-e-7")
    assert message.record_timestamp == datetime.fromtimestamp(BORN / 1000, UTC)
    assert pile.actions == ["started", "handled", "finished"]
    assert pile.notes[1]["letter_id"] == it.letter_id
    assert (pile.notes[1]["who"], pile.notes[1]["attempts"], pile.notes[1]["name"]) == ("ada", 1, "billing")
    assert run(consumer, pile).duplicates == 1
    assert len(seen) == 1, "what is handled is not handled again"


def test_letters_of_other_groups_and_of_publishers_stay(consumer: Consumer) -> None:
    seen: list[str | None] = []
    listen(consumer, "threads", lambda message: seen.append(message.event_id))
    pile = Pile(given_up(0), given_up(1, group="mailing"), letter(2))
    report = run(consumer, pile)
    assert (report.replayed, report.skipped, seen) == (1, 2, ["e-0"])
    assert "group=billing" in report.message
    assert run(consumer, pile, where=lambda _: True).skipped == 2
    plan = replay(consumer, pile, where={"group": "mail*"}).dry_run()
    assert (plan.matched, seen) == (1, ["e-0"]), "a dry run calls nobody"
    assert run(consumer, pile, where={"group": "*"}).replayed == 1
    assert seen == ["e-0", "e-1"]
    assert pile.waiting == 1


def test_every_letter_of_the_group_has_to_be_meant(consumer: Consumer) -> None:
    listen(consumer, "threads", lambda _: None)
    pile = Pile(*map(given_up, range(5)))
    with pytest.raises(ConfigError, match="limit=…, or all=True"):
        run(consumer, pile, all=False)
    assert run(consumer, pile, limit=2, all=False).replayed == 2
    assert run(consumer, pile, where={"event_id": "e-4"}, all=False).replayed == 1


def test_a_key_keeps_its_order_and_others_go_on(consumer: Consumer, kind: str) -> None:
    lock, seen = threading.Lock(), list[int]()
    meanwhile = threading.Event()

    def note(number: int) -> None:
        with lock:
            seen.append(number)
        if number % 3:
            meanwhile.set()

    if kind == "threads":

        @consumer.on(OrderPlaced)
        def handle(order: OrderPlaced) -> None:
            if order.total == 0:
                assert meanwhile.wait(LONG)
            note(order.total)

    else:

        @consumer.on(OrderPlaced)
        async def ahandle(order: OrderPlaced) -> None:
            if order.total == 0:
                assert await asyncio.to_thread(meanwhile.wait, LONG)
            note(order.total)

    assert run(consumer, Pile(*map(given_up, range(40)))).replayed == 40
    for key in range(3):
        assert [it for it in seen if it % 3 == key] == list(range(key, 40, 3))
    assert seen[0] != 0


def test_retries_are_the_handlers_and_what_fails_stays(consumer: Consumer, kind: str) -> None:
    attempts: list[int] = []

    def fail(message: Message[OrderPlaced]) -> None:
        attempts.append(message.attempt)
        if message.data.total == 0 or message.attempt < 3:
            raise RuntimeError(f"no {message.data.total}")

    listen(consumer, kind, fail)
    pile = Pile(given_up(0), given_up(3))
    report = run(consumer, pile)
    assert (report.replayed, report.failed, report.stopped) == (1, 1, "")
    assert attempts == [1, 2, 3, 1, 2, 3]
    assert "RuntimeError: no 0 (test_replaying.py" in report.problems[0]
    assert (pile.waiting, pile.actions) == (1, ["started", "handled", "finished"])


def test_what_is_rejected_is_parked_with_the_new_reason(consumer: Consumer) -> None:
    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        raise Reject("there is no such order")

    pile = Pile(it := given_up(0))
    report = run(consumer, pile)
    assert (report.parked, report.failed) == (1, 0)
    (parked,) = pile.parked
    assert "there is no such order" in parked.failure_reason
    assert (parked.error_code, parked.replay_count) == ("KAFKA_REJECTED", 1)
    assert parked.attempt_count == it.attempt_count + 1
    assert (parked.value, parked.letter_id, parked.first_attempt) == (
        it.value,
        it.letter_id,
        it.first_attempt,
    )
    assert parked.last_attempt >= it.last_attempt
    assert (pile.waiting, pile.actions) == (0, ["started", "parked", "finished"])


def test_what_cannot_be_parked_stays_and_what_was_handled_beside_it_is_settled(consumer: Consumer) -> None:
    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        if order.total == 0:
            raise Reject("no")

    pile = Pile(given_up(0), given_up(1))
    pile.failing = "park"
    report = run(consumer, pile)
    assert (report.replayed, report.failed, report.parked) == (1, 1, 0)
    assert "the parked topic is away" in report.stopped
    assert pile.waiting == 1


def test_stop_and_long_pauses_end_it(consumer: Consumer) -> None:
    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        if order.total == 0:
            raise Retry(after=300)
        raise Stop

    pile = Pile(*map(given_up, range(40)))
    report = run(consumer, pile, patience=5)
    assert "Stop" in report.stopped
    assert (report.replayed, pile.waiting) == (0, 40)
    assert report.considered <= 16


def test_what_no_handler_can_be_given_stays(consumer: Consumer) -> None:
    listen(consumer, "threads", lambda _: None)
    strange = given_up(3, value=b'{"event_type": "user.created", "data": {}}')
    wrong = given_up(4, value=b'{"event_type": "order.placed", "data": {"order_id": 5}}')
    pile = Pile(given_up(1, value=b"\xff\x00"), given_up(2, value=None), strange, wrong)
    report = run(consumer, pile)
    assert (report.failed, pile.waiting, report.stopped) == (4, 4, "")
    problems = dict(enumerate(report.problems))
    assert "UTF-8" in problems[0] or "JSON" in problems[0]
    assert "no handler" in problems[1]
    assert "no handler" in problems[2]
    assert "order_id" in problems[3]


def test_a_batch_handler_gets_a_list_of_one(consumer: Consumer) -> None:
    seen: list[list[int]] = []

    @consumer.on_batch(OrderPlaced)
    def handle(orders: list[OrderPlaced]) -> None:
        seen.append([order.total for order in orders])

    assert run(consumer, Pile(given_up(0), given_up(3))).replayed == 2
    assert seen == [[0], [3]]


def test_what_a_handler_publishes_is_delivered_first(consumer: Consumer, kind: str) -> None:
    transport = InMemoryTransport()
    with Publisher(transport=transport, registry=registry, durability="memory") as publisher:
        transport.down()
        listen(consumer, kind, lambda message: publisher.produce("billed", b"x"))
        pile = Pile(given_up(0))
        report = run(consumer, pile, patience=0.1)
        assert (report.failed, pile.waiting) == (1, 1)
        assert "not in Kafka yet" in report.problems[0]
        transport.up()
        assert publisher.flush(LONG)
        assert run(consumer, pile).replayed == 1
        assert len(transport.records) == 2


def test_a_sync_handler_that_hangs_keeps_its_key_and_nothing_else(consumer: Consumer) -> None:
    let_go, seen = threading.Event(), list[int]()

    @consumer.on(OrderPlaced, timeout=0.1)
    def handle(order: OrderPlaced) -> None:
        if order.total == 0:
            assert let_go.wait(LONG)
            return
        seen.append(order.total)

    pile = Pile(*map(given_up, range(40)))
    try:
        report = run(consumer, pile)
        assert (report.replayed, report.failed, report.stopped) == (26, 14, "")
        assert sorted(seen) == [it for it in range(40) if it % 3]
        assert "Its thread cannot be stopped" in report.problems[0]
        assert "it was not begun: a handler still runs" in report.problems[1]
    finally:
        let_go.set()
    assert run(consumer, pile).replayed == 14


def test_one_without_a_key_that_hangs_holds_nothing_back(consumer: Consumer) -> None:
    let_go = threading.Event()

    @consumer.on(OrderPlaced, timeout=0.1)
    def handle(order: OrderPlaced) -> None:
        if order.total == 0:
            assert let_go.wait(LONG)

    try:
        report = run(consumer, Pile(*(given_up(number, key=None) for number in range(40))))
        assert (report.replayed, report.failed) == (39, 1)
    finally:
        let_go.set()


def test_an_async_handler_that_takes_too_long_is_cancelled_and_tried_again(consumer: Consumer) -> None:
    seen: list[str] = []

    @consumer.on(OrderPlaced, timeout=0.05)
    async def handle(message: Message[OrderPlaced]) -> None:
        if message.attempt == 1:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
        if message.attempt == 2:
            raise asyncio.CancelledError
        seen.append("handled")

    assert run(consumer, Pile(given_up(0))).replayed == 1
    assert seen == ["cancelled", "handled"]


def test_in_a_coroutine_async_handlers_run_on_its_loop(consumer: Consumer) -> None:
    request: ContextVar[str] = ContextVar("request", default="")
    loops, requests = set[Any](), set[str]()

    @consumer.on(OrderPlaced)
    async def handle(order: OrderPlaced) -> None:
        loops.add(asyncio.get_running_loop())
        requests.add(request.get())

    async def main() -> ReplayReport:
        request.set("r-1")
        report = await replay(consumer, Pile(*map(given_up, range(5)))).arun()
        assert loops == {asyncio.get_running_loop()}
        return report

    assert asyncio.run(main()).replayed == 5
    assert requests == {"r-1"}


def test_cancelled_it_stops_after_the_letters_in_flight(consumer: Consumer) -> None:
    begun, handled = list[int](), list[int]()
    has_begun = asyncio.Event()

    @consumer.on(OrderPlaced)
    async def handle(order: OrderPlaced) -> None:
        begun.append(order.total)
        has_begun.set()
        await asyncio.sleep(0.02)
        handled.append(order.total)

    pile = Pile(*map(given_up, range(200)))

    async def main() -> None:
        work = asyncio.create_task(replay(consumer, pile).arun())
        await has_begun.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert begun == handled
        assert pile.actions[-1] == "finished"

    asyncio.run(main())
    done = len(handled)
    assert 0 < done == 200 - pile.waiting <= 16
    assert run(consumer, pile).replayed == 200 - done
    assert sorted(handled) == list(range(200)), "each of them once"


def test_an_event_that_was_left_out_is_fetched_for_its_handler(consumer: Consumer) -> None:
    seen: list[int] = []
    listen(consumer, "threads", lambda message: seen.append(message.data.total))
    whole = given_up(5)
    pile = Pile(short := given_up(5, event_left_out=True))
    assert short.value is None
    report = run(consumer, pile)
    assert "no more at orders[2]@5" in report.problems[0]
    assert (report.failed, pile.waiting) == (1, 1)
    place = ("orders", 2, 5)
    pile.origins[place] = TakenLetter("", whole.value, b"another", whole.record_headers, 2, 5)
    assert run(consumer, pile).failed == 1, "another record has its place"
    pile.failing = "origin"
    assert "nobody answers" in run(consumer, pile).stopped
    pile.failing = ""
    pile.origins[place] = TakenLetter("", whole.value, whole.key, whole.record_headers, 2, 5)
    assert (run(consumer, pile).replayed, seen) == (1, [5])


def test_a_group_of_any_name_has_a_name_for_its_replayers() -> None:
    consumer = make(group_id="any group at all: *")
    listen(consumer, "threads", lambda _: None)
    it = replay(consumer, Pile(given_up(0, group="any group at all: *")))
    assert it.name.startswith("group-")
    assert it.run().replayed == 1


def test_who_is_to_get_the_letters_has_to_be_said(consumer: Consumer) -> None:
    pile = Pile(given_up(0))
    with pytest.raises(ConfigError, match="give a publisher"):
        Replay(source=pile, all=True)
    with pytest.raises(ConfigError, match="give a publisher"):
        Replay(source=pile, all=True, publisher=MemorySender(), consumer=consumer)
    with pytest.raises(ConfigError, match="has no handler"):
        run(consumer, pile)
    assert pile.notes == []


def test_told_to_stop_it_begins_nothing_more(consumer: Consumer) -> None:
    pile = Pile(*(given_up(3 * number) for number in range(20)))
    it = replay(consumer, pile)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        it.stop()

    report = it.run()
    assert (report.considered, report.replayed, report.failed) == (1, 1, 0)
    assert (report.stopped, report.problems, pile.waiting) == ("it was told to.", (), 19)
    assert it.run().replayed == 1


def test_async_handlers_have_a_loop_that_ends_with_the_run(consumer: Consumer) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @consumer.on(OrderPlaced)
    async def handle(order: OrderPlaced) -> None:
        loops.append(asyncio.get_running_loop())

    assert run(consumer, Pile(given_up(0))).replayed == 1
    assert wait_until(loops[0].is_closed)


def test_handlers_that_take_too_long_together_end_the_run(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or other replayers would be given the partitions, and the letters with them."""
    monkeypatch.setattr("tidings.consuming.replaying._BEGUN_WITHIN", 0.0)
    listen(consumer, "threads", lambda _: None)
    pile = Pile(*map(given_up, range(40)))
    report = run(consumer, pile)
    assert "took longer than" in report.stopped
    assert (report.considered, pile.waiting) == (0, 40)


def test_when_handlers_hang_with_every_key_the_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.consuming.calling._GRACE", 0.05)
    consumer, let_go = make(workers=2), asyncio.Event()

    @consumer.on(OrderPlaced, timeout=0.05)
    async def handle(order: OrderPlaced) -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue  # it must not do that

    pile = Pile(*map(given_up, range(40)))

    async def main() -> ReplayReport:
        try:
            return await replay(consumer, pile).arun()
        finally:
            let_go.set()

    report = asyncio.run(main())
    assert "was cancelled after 0.05 s" in report.stopped
    assert (report.considered, report.failed, pile.waiting) == (2, 2, 40)
