"""Both relays on a log in memory: at least once, in order for each key, and no offset passes what is open."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.consuming import FakeClient, FakeRecord, Life, event_value, orders
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import ConsumeError, Message, Personal, Publisher, Reject, Retry, Stop, current_correlation_id
from tidings.testing.memory import InMemoryTransport

_LONG = 60.0


class Hidden(msgspec.Struct):
    email: Annotated[str, Personal]


class Seen:
    """What handlers were given, in order, and what they finished."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        """Number and attempt."""
        self.done: list[int] = []
        self.lock = threading.Lock()

    def by_key(self, keys: int = 10) -> dict[int, list[int]]:
        found = defaultdict(list)
        for number in self.done:
            found[number % keys].append(number)
        return found


def register(life: Life, kind: str, work: Callable[[Message[OrderPlaced]], Any], **options: Any) -> None:
    """``work`` as a sync handler, or as an async one, which awaits what it returns."""

    def sync(message: Message[OrderPlaced]) -> None:
        work(message)

    async def awaiting(message: Message[OrderPlaced]) -> None:
        if (awaitable := work(message)) is not None:
            await awaitable

    life.on(OrderPlaced, **options)(sync if kind == "threads" else awaiting)


def nap(kind: str, seconds: float) -> Any:
    """Sleep as a handler of this kind does."""
    return time.sleep(seconds) if kind == "threads" else asyncio.sleep(seconds)


async def until(event: threading.Event) -> None:
    """Wait on a loop for what a thread does."""
    while not event.is_set():  # noqa: ASYNC110 - set by a thread
        await asyncio.sleep(0.001)


class Checking(FakeClient):
    """Says when an offset was stored that passes something nobody has finished."""

    def __init__(self, records: list[FakeRecord], is_finished: Callable[[FakeRecord], bool], **options: Any):
        super().__init__(records, **options)
        self.is_finished = is_finished
        self.wrong: list[tuple[str, int, int]] = []

    def store(self, positions: Any) -> Any:
        for topic, partition, offset in (known := list(positions)):
            below = [it for it in self.log[topic, partition] if it.offset() < offset]
            if not all(map(self.is_finished, below)):
                self.wrong.append((topic, partition, offset))
        return super().store(known)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 400),
    keys=st.integers(1, 20),
    step=st.integers(1, 3),
    chunk=st.integers(1, 120),
    failing=st.sets(st.integers(0, 400), max_size=30),
    hopeless=st.sets(st.integers(0, 400), max_size=5),
    slow=st.sets(st.integers(0, 400), max_size=30),
    workers=st.integers(1, 6),
    seed=st.integers(0, 2**32),
)
def test_whatever_fails_or_is_slow_every_event_is_handled_or_a_letter_in_order(
    kind: str,
    count: int,
    keys: int,
    step: int,
    chunk: int,
    failing: set[int],
    hopeless: set[int],
    slow: set[int],
    workers: int,
    seed: int,
) -> None:
    seen, rng = Seen(), random.Random(seed)
    records = orders(count, keys, step=step) + orders(count // 2, keys, partition=1)
    finished: set[tuple[int, int]] = set()

    def is_finished(record: FakeRecord) -> bool:
        place = (record.partition(), record.offset())
        return place in finished or any((it.partition, it.offset) == place for it in life.writer.letters)

    client = Checking(records, is_finished, chunk=chunk)
    life = Life(client, workers=workers, retry_max=2)

    def work(message: Message[OrderPlaced]) -> Any:
        number = message.data.total
        with seen.lock:
            seen.begun.append((number, message.attempt))
        if number in hopeless or (number in failing and message.attempt == 1):
            raise RuntimeError(number)
        finished.add((message.partition, message.offset))
        if message.partition == 0:
            seen.done.append(number)
        return nap(kind, rng.random() * 0.012) if number in slow else None

    register(life, kind, work)
    life.run_to_the_end()
    assert not client.wrong
    assert set(range(count)) - set(seen.done) == {it for it in hopeless if it < count}
    for key, numbers in seen.by_key(keys).items():
        assert numbers == sorted(numbers), key
    assert len(seen.done) == len(set(seen.done)), "without a crash nothing is handled twice"
    letters = [it for it in hopeless if it < count] + [it for it in hopeless if it < count // 2]
    assert life.tally.dead_lettered == len(life.writer.letters) == len(letters)
    assert life.tally.handled == count + count // 2 - len(letters)
    assert client.closed is False


def test_a_key_that_is_stuck_holds_nobody_else(kind: str) -> None:
    seen, release = Seen(), threading.Event()
    life = Life(FakeClient(orders(200)))

    async def wait(number: int) -> None:
        await until(release)
        seen.done.append(number)

    def work(message: Message[OrderPlaced]) -> Any:
        number = message.data.total
        if number == 3:
            waiting = release.wait(_LONG) if kind == "threads" else until(release)
            seen.done.append(number)
            return None if waiting is True else waiting
        seen.done.append(number)
        return None

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    others = [number for number in range(200) if number % 10 != 3]
    assert wait_until(lambda: set(others) <= set(seen.done))
    assert [it for it in seen.done if it % 10 == 3] in ([], [3])
    assert wait_until(lambda: life.client.reached() == 3), "up to the one in work"
    release.set()
    assert wait_until(lambda: life.client.reached() == 200)
    assert seen.by_key()[3] == list(range(3, 200, 10))
    life.stop()


def test_a_key_that_waits_for_its_next_attempt_holds_nobody_else(kind: str) -> None:
    seen = Seen()
    life = Life(FakeClient(orders(100)))

    def work(message: Message[OrderPlaced]) -> Any:
        if message.data.total == 3 and message.attempt == 1:
            raise Retry(after=300)
        seen.done.append(message.data.total)

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: len(seen.done) == 90)
    assert not seen.by_key()[3]
    life.stop()
    assert life.client.reached() == 3
    assert life.tally.retried == 1


def test_slow_handlers_run_beside_each_other(kind: str) -> None:
    """All eight workers are at it at the same time: none of them ends before."""
    together, most = threading.Barrier(8), threading.Semaphore(0)
    waiting = [0]
    life = Life(FakeClient(orders(8, keys=8)), workers=8)

    async def meet() -> None:
        waiting[0] += 1
        while waiting[0] < 8:  # noqa: ASYNC110 - as plain as can be
            await asyncio.sleep(0.001)
        most.release()

    def work(_: Message[OrderPlaced]) -> Any:
        if kind == "loop":
            return meet()
        together.wait(_LONG)
        most.release()
        return None

    register(life, kind, work)
    life.run_to_the_end()
    assert all(most.acquire(blocking=False) for _ in range(8))


def test_records_without_a_key_have_no_order_and_wait_for_nobody(kind: str) -> None:
    release, seen = threading.Event(), Seen()
    records = [
        FakeRecord(event_value(event_id=str(n), order_id="o", total=n), None, offset=n) for n in range(50)
    ]
    life = Life(FakeClient(records))

    def work(message: Message[OrderPlaced]) -> Any:
        if message.data.total == 0:
            return release.wait(_LONG) and None if kind == "threads" else until(release)
        seen.done.append(message.data.total)
        return None

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: len(seen.done) == 49)
    release.set()
    assert wait_until(lambda: life.client.reached() == 50)
    life.stop()


def test_an_offset_waits_until_the_letter_is_in_kafka(kind: str) -> None:
    life = Life(FakeClient(orders(20)), retry_max=1)
    life.writer.down = True

    def work(message: Message[OrderPlaced]) -> None:
        if message.data.total == 5:
            raise ValueError("five")

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.tally.handled == 19 and life.letters.waiting == 1)
    assert wait_until(lambda: life.client.reached() == 5)
    assert wait_until(lambda: bool(life.letters.trouble))
    life.writer.down = False
    assert wait_until(lambda: life.client.reached() == 20)
    (letter,) = life.writer.letters
    assert (letter.origin, letter.topic, letter.partition, letter.offset) == ("consumer", "orders", 0, 5)
    assert (letter.group, letter.attempt_count, letter.error_code) == ("group", 2, "KAFKA_HANDLER_FAILED")
    assert "ValueError: five" in letter.failure_reason
    assert letter.key == b"o-5"
    assert letter.value == life.client.log["orders", 0][5].value()
    assert letter.first_attempt <= letter.last_attempt
    assert not life.letters.trouble
    life.stop()


def test_an_event_too_large_for_a_letter_is_told_by_its_place_and_holds_nobody_back(kind: str) -> None:
    records = orders(6)
    records[2] = FakeRecord(b"x" * 50_000, b"k", offset=2)
    life = Life(FakeClient(records), retry_max=1)
    life.writer.largest = 20_000

    def work(_: Message[OrderPlaced]) -> None:
        raise Reject

    register(life, kind, work)
    life.run_to_the_end()
    letters = {letter.offset: letter for letter in life.writer.letters}
    assert set(letters) == set(range(6))
    assert letters[2].value is None
    assert "too large for a letter: the event itself is at orders[0]@2" in letters[2].failure_reason
    assert letters[3].value == records[3].value()


def test_reject_is_a_letter_at_once_and_other_exceptions_are_not_tried_again(kind: str) -> None:
    life = Life(FakeClient(orders(3)), retry_max=5)
    seen = Seen()

    def work(message: Message[OrderPlaced]) -> None:
        seen.begun.append((message.data.total, message.attempt))
        if message.data.total == 0:
            raise Reject("a test order")
        if message.data.total == 1:
            raise KeyError("not worth it")

    register(life, kind, work, retry_on=ConnectionError)
    life.run_to_the_end()
    assert sorted(seen.begun) == [(0, 1), (1, 1), (2, 1)]
    codes = {letter.offset: letter.error_code for letter in life.writer.letters}
    assert codes == {0: "KAFKA_REJECTED", 1: "KAFKA_HANDLER_FAILED"}
    assert "a test order" in next(it.failure_reason for it in life.writer.letters if it.offset == 0)


def test_the_same_record_makes_the_same_letter(kind: str) -> None:
    ids = set()
    for _ in range(2):
        life = Life(FakeClient(orders(1)), retry_max=1)

        def work(_: Message[OrderPlaced]) -> None:
            raise Reject

        register(life, kind, work)
        life.run_to_the_end()
        ids.add(life.writer.letters[0].letter_id)
    assert len(ids) == 1


def test_stop_leaves_its_event_unfinished(kind: str) -> None:
    life = Life(FakeClient(orders(30)))

    def work(message: Message[OrderPlaced]) -> None:
        if message.data.total == 7:
            raise Stop

    register(life, kind, work)
    life.run_until(lambda: bool(life.halted))
    assert life.client.reached() == 7
    assert not life.writer.letters


def test_undecodable_records_become_letters_and_unknown_types_are_counted(kind: str) -> None:
    records = orders(4)
    records[1] = FakeRecord(b"\xff", b"o-1", offset=1, headers=[("event_id", b"the-id")])
    records[2] = FakeRecord(event_value("order.shipped"), b"o-2", offset=2)
    life = Life(FakeClient(records))
    register(life, kind, lambda _: None)
    life.run_to_the_end()
    (letter,) = life.writer.letters
    assert (letter.offset, letter.error_code, letter.value) == (1, "KAFKA_UNDECODABLE", b"\xff")
    assert (letter.event_id, letter.event_encoding) == ("the-id", "base64")
    tally = life.tally
    assert (tally.handled, tally.skipped, tally.undecodable, tally.failed) == (2, 1, 1, 0)


def test_the_correlation_id_of_the_event_is_in_force_and_nothing_else_stays(kind: str) -> None:
    leak: ContextVar[int] = ContextVar("leak", default=-1)
    seen: list[tuple[str | None, int]] = []
    life = Life(FakeClient(orders(50, keys=50)))

    async def later(number: int) -> None:
        await asyncio.sleep(0)
        seen.append((current_correlation_id(), leak.get()))
        leak.set(number)

    def work(message: Message[OrderPlaced]) -> Any:
        number = message.data.total
        if kind == "loop" and number % 2:
            return later(number)
        seen.append((current_correlation_id(), leak.get()))
        leak.set(number)
        return None

    register(life, kind, work)
    life.run_to_the_end()
    assert sorted(seen) == sorted((f"c-0-{number}", -1) for number in range(50))


@pytest.mark.parametrize("durability", ["memory"])
def test_an_offset_waits_for_what_its_handler_published(kind: str, durability: str) -> None:
    transport = InMemoryTransport()
    life = Life(FakeClient(orders(20)))
    with Publisher(transport=transport, durability=durability) as publisher:
        transport.down()

        async def publish(number: int) -> None:
            await asyncio.sleep(0)
            publisher.publish({"n": number}, event_type="a.result", topic="results")

        def work(message: Message[OrderPlaced]) -> Any:
            number = message.data.total
            if number in (4, 9):
                if kind == "loop":
                    return publish(number)
                publisher.publish({"n": number}, event_type="a.result", topic="results")
            return None

        register(life, kind, work)
        life.start()
        life.client.change("assigned", ("orders", 0))
        assert wait_until(lambda: life.tally.handled == 20)
        assert wait_until(lambda: life.client.reached() == 4)
        transport.up()
        assert wait_until(lambda: life.client.reached() == 20)
        life.stop()
    correlated = {record.json()["correlation_id"] for record in transport.records}
    assert correlated == {"c-0-4", "c-0-9"}


def test_what_was_published_by_an_attempt_that_failed_holds_nothing(kind: str) -> None:
    transport = InMemoryTransport()
    life = Life(FakeClient(orders(2)))
    with Publisher(transport=transport, durability="memory") as publisher:
        transport.down()

        def work(message: Message[OrderPlaced]) -> None:
            if message.attempt == 1:
                publisher.publish({}, event_type="a.result", topic="results")
                raise RuntimeError

        register(life, kind, work)
        life.run_to_the_end()
        transport.up()


def test_a_partition_that_is_revoked_finishes_what_is_in_hand_and_no_more(kind: str) -> None:
    seen, in_hand, release = Seen(), threading.Event(), threading.Event()
    life = Life(FakeClient(orders(300, keys=3)))

    async def wait(number: int) -> None:
        await until(release)
        seen.done.append(number)

    def work(message: Message[OrderPlaced]) -> Any:
        number = message.data.total
        if number == 10:
            in_hand.set()
            if kind == "loop":
                return wait(number)
            release.wait(_LONG)
        seen.done.append(number)
        return None

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert in_hand.wait(_LONG)
    threading.Timer(0.1, release.set).start()
    life.client.change("revoked", ("orders", 0))
    assert 10 in seen.done, "it was waited for"
    assert 13 not in seen.done, "the next of its key was not begun"
    at_revoke = len(seen.done)
    stored = life.client.reached()
    assert stored is not None
    assert stored >= 11
    assert not life.holdings.tenures
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.reached() == 300)
    life.stop()
    assert set(seen.done) == set(range(300))
    assert len(seen.done) >= 300
    assert at_revoke < 300


def test_a_revoked_partition_waits_for_its_letters(kind: str) -> None:
    life = Life(FakeClient(orders(5)))
    life.writer.down = True

    def work(message: Message[OrderPlaced]) -> None:
        if message.data.total == 2:
            raise Reject

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.tally.handled == 4 and life.letters.waiting == 1)

    def repair() -> None:
        life.writer.down = False

    threading.Timer(0.1, repair).start()
    life.client.change("revoked", ("orders", 0))
    assert life.client.reached() == 5
    assert [letter.offset for letter in life.writer.letters] == [2]
    life.stop()


def test_a_lost_partition_stores_nothing_and_its_keys_keep_their_order(kind: str) -> None:
    seen, in_hand, release = Seen(), threading.Event(), threading.Event()
    life = Life(FakeClient(orders(30, keys=1)))

    async def wait(number: int) -> None:
        await until(release)
        seen.done.append(number)

    def work(message: Message[OrderPlaced]) -> Any:
        number = message.data.total
        if number == 0 and not in_hand.is_set():
            in_hand.set()
            if kind == "loop":
                return wait(number)
            release.wait(_LONG)
        seen.done.append(number)
        return None

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert in_hand.wait(_LONG)
    life.client.change("lost", ("orders", 0))
    life.client.change("assigned", ("orders", 0))
    stored_before = list(life.client.stored.get(("orders", 0), []))
    assert set(stored_before) <= {0}
    assert not seen.done, "the handler of the old tenure still has the key"
    release.set()
    assert wait_until(lambda: life.client.reached() == 30)
    life.stop()
    assert seen.done == [0, *range(30)]


def test_seeking_begins_again_there(kind: str) -> None:
    seen = Seen()
    life = Life(FakeClient(orders(30)))
    register(life, kind, lambda message: seen.done.append(message.data.total))
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.reached() == 30)
    life.polling.ask(lambda: life.polling.seek(("orders", 0), 20)).result(_LONG)
    assert wait_until(lambda: len(seen.done) == 40)
    life.polling.ask(lambda: life.polling.rewind(0)).result(_LONG)
    assert wait_until(lambda: len(seen.done) == 70)
    for place, offset, words in [(("orders", 9), 0, "not assigned"), (("orders", 0), -5, "no offset")]:
        with pytest.raises(ConsumeError, match=words):
            life.polling.ask(partial(life.polling.seek, place, offset)).result(_LONG)
    life.stop()
    with pytest.raises(ConsumeError, match="closed"):
        life.polling.ask(partial(life.polling.seek, ("orders", 0), 20)).result(_LONG)


def test_a_full_window_holds_back_then_pauses_and_resumes(kind: str) -> None:
    release, seen = threading.Event(), Seen()
    life = Life(FakeClient(orders(12_000, keys=4)))

    def work(message: Message[OrderPlaced]) -> Any:
        if message.data.total == 0:
            return release.wait(_LONG) and None if kind == "threads" else until(release)
        seen.done.append(message.data.total)
        return None

    register(life, kind, work)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.paused == {("orders", 0)})
    held = life.holdings.tenures["orders", 0].watermark.count
    assert 10_000 <= held < 10_500
    release.set()
    assert wait_until(lambda: life.client.reached() == 12_000)
    assert not life.client.paused
    assert life.client.pauses == 1
    life.stop()


def test_what_a_handler_raises_is_told_without_what_the_event_hides(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    value = event_value("user.hidden", email="someone@example.org")
    life = Life(FakeClient([FakeRecord(value, b"k")]), retry_max=1)

    def fail(message: Message[Hidden]) -> None:
        raise ValueError(f"cannot write to {message.data.email}")

    async def fail_async(message: Message[Hidden]) -> None:
        fail(message)

    chosen = fail if kind == "threads" else fail_async
    life.on("user.hidden")(chosen)
    life.run_to_the_end()
    (letter,) = life.writer.letters
    assert "cannot write to ***" in letter.failure_reason
    assert "someone" not in letter.failure_reason
    assert "someone" not in caplog.text
    assert "cannot write to ***" in caplog.text


def test_what_retention_removed_unread_is_counted_and_other_gaps_are_not(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    life = Life(FakeClient(orders(10, step=3)))
    life.client.stored["orders", 0] = [6]
    register(life, kind, lambda _: None)
    life.start()
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.reached() == 28)
    assert life.tally.expired_unread == 0, "gaps"
    life.client.change("revoked", ("orders", 0))
    life.client.log["orders", 0][:] = orders(5, first=20, step=3)
    life.client.change("assigned", ("orders", 0))
    assert wait_until(lambda: life.client.reached() == 73)
    life.stop()
    assert life.tally.expired_unread == 60 - 28
    assert "offsets 28 to 59" in caplog.text
