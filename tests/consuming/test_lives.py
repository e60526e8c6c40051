"""Events that kill their process: the count of lives in the commit's metadata (ENGINE C7)."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.consuming import FakeClient, Life, orders
from support.events import OrderPlaced
from support.processes import wait_until
from tidings import Message
from tidings.consuming import marking
from tidings.consuming.lives import CAREFUL_FROM, Lives
from tidings.consuming.outage import Outage

PLACE = ("orders", 0)


def prepared(count: int, lives: int, alone: int = 0, at: int = 0) -> FakeClient:
    """A log, and what the last process wrote down."""
    client = FakeClient(orders(count, keys=20))
    client.stored[PLACE] = [at]
    client.metadata[PLACE] = Lives(lives, alone, "another").text
    return client


class Seen:
    """What a handler was called with, and with how many others at a time."""

    def __init__(self, life: Life, kind: str) -> None:
        self.offsets: list[int] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

        def work(message: Message[OrderPlaced]) -> None:
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            self.offsets.append(message.offset)
            with self._lock:
                self._now -= 1

        async def work_async(message: Message[OrderPlaced]) -> None:
            work(message)

        life.on(OrderPlaced)(work if kind == "threads" else work_async)


@given(lives=st.integers(0, 999_999), alone=st.integers(0, 999), by=st.from_regex(r"\A[0-9a-f-]{1,36}\Z"))
def test_what_is_written_down_is_read_again(lives: int, alone: int, by: str) -> None:
    written = Lives(lives, alone, by)
    assert Lives.read(written.text) == (written if lives else Lives())


@given(st.one_of(st.none(), st.text()))
def test_anything_else_in_the_metadata_counts_as_no_life(text: str | None) -> None:
    assert Lives.read(text) == Lives()


def test_the_same_process_begins_no_new_life() -> None:
    first = Lives(2, 1, "me")
    assert first.begun("me").lives == 2
    assert first.begun("you").lives == 3
    assert first.alone_with("me", 2).alone == 1
    assert first.alone_with("you", 3).alone == 2
    assert not Lives(3, 2, "me").is_deadly("me"), "who asks is alive"
    assert Lives(3, 2, "me").is_deadly("you")


def test_a_life_is_written_down_before_its_first_event_and_progress_clears_it(kind: str) -> None:
    client = prepared(100, 1)
    life = Life(client)
    marked_at_first: list[int] = []

    def work(message: Message[OrderPlaced]) -> None:
        marked_at_first.append(len(client.marks))

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.run_to_the_end()
    ((place, offset, text),) = client.marks
    assert (place, offset, Lives.read(text).lives) == (PLACE, 0, 2)
    assert min(marked_at_first) == 1
    assert client.metadata[PLACE] == ""


def test_after_two_deaths_events_are_handled_one_at_a_time_each_after_its_mark(kind: str) -> None:
    client = prepared(60, CAREFUL_FROM - 1)
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert seen.most == 1
    assert seen.offsets == list(range(60))
    written = [(offset, Lives.read(text).alone) for _, offset, text in client.marks]
    assert written[::2] == [(offset, 1) for offset in range(60)]
    assert written[1::2] == [(offset + 1, 0) for offset in range(60)], "who is killed later did not die of it"
    assert client.metadata[PLACE] == ""
    assert not life.writer.letters


def test_what_has_killed_twice_alone_becomes_a_letter_and_nothing_else_does(kind: str) -> None:
    client = prepared(30, 4, alone=2, at=7)
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert seen.offsets == list(range(8, 30))
    (letter,) = life.writer.letters
    assert (letter.offset, letter.error_code, letter.attempt_count) == (7, "KAFKA_HANDLER_CRASHED", 2)


def test_one_death_alone_may_have_been_a_deploy(kind: str) -> None:
    client = prepared(30, 3, alone=1, at=7)
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert seen.offsets == list(range(7, 30))
    assert Lives.read(client.marks[0][2]).alone == 2
    assert not life.writer.letters


def test_an_event_that_is_gone_condemns_no_other(kind: str) -> None:
    client = prepared(30, 4, alone=2, at=7)
    del client.log[PLACE][7]
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert seen.offsets == list(range(8, 30))
    assert not life.writer.letters


def test_care_ends_after_as_many_events_as_were_fetched_ahead(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "_SPAN", 20)
    client = prepared(200, 5)
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert sum(text != "" for _, _, text in client.marks) == 20
    assert sorted(seen.offsets) == list(range(200))


def test_other_partitions_wait_while_one_event_is_handled_alone(kind: str) -> None:
    client = prepared(20, 3)
    client.log[("orders", 1)] = orders(50, partition=1)
    life = Life(client)
    seen = Seen(life, kind)
    life.run_to_the_end()
    assert len(seen.offsets) == 70
    assert seen.most == 1 or kind == "threads"  # afterwards two threads may work


def test_leaving_in_order_is_no_death() -> None:
    client = prepared(10, 1)
    life = Life(client)
    begun, goes_on = threading.Event(), threading.Event()

    def work(message: Message[OrderPlaced]) -> None:
        begun.set()
        goes_on.wait(60)

    life.on(OrderPlaced)(work)
    life.start()
    client.change("assigned", PLACE)
    assert begun.wait(60)
    life.polling.stop(0.05)
    assert life.polling.join(60)
    goes_on.set()
    life.stop()
    assert [Lives.read(text).lives for _, _, text in client.marks] == [2, 1]
    assert client.stored[PLACE][-1] == 0


def test_without_an_answer_events_wait_only_where_somebody_died(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marking, "_PATIENCE", 0.05)
    for lives in (0, 2):
        client = prepared(10, lives)
        client.takes_marks = False
        life = Life(client)
        seen = Seen(life, kind)
        life.start()
        client.change("assigned", PLACE)
        try:
            if lives:
                assert wait_until(lambda client=client: len(client.marks) > 3)  # type: ignore[misc]
                assert not seen.offsets
                client.takes_marks = True
            assert wait_until(lambda seen=seen: len(seen.offsets) == 10)  # type: ignore[misc]
        finally:
            life.stop()


def test_after_a_death_little_is_fetched_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(orders(5000, keys=3000), chunk=100)
    client.stored[PLACE], client.metadata[PLACE] = [0], Lives(1, 0, "another").text
    life = Life(client, workers=2)
    goes_on = threading.Event()

    @life.on(OrderPlaced)
    def work(message: Message[OrderPlaced]) -> None:
        if message.offset == 0:
            goes_on.wait(60)

    life.start()
    client.change("assigned", PLACE)
    try:
        assert wait_until(lambda: client.pauses > 0)
        assert life.holdings.tenures[PLACE].watermark.count <= 600
        goes_on.set()
        assert wait_until(lambda: client.reached() == 5000)
    finally:
        life.stop()


def test_a_probe_that_is_taken_away_is_not_waited_for() -> None:
    outage = Outage()
    outage.begin(100.0)
    outage.probe_at = 400.0  # one is under way, and may take so long
    outage.probe_again(101.0)
    assert outage.probe_at == 102.0
    outage.probe_again(101.5)
    assert outage.probe_at == 102.0


def test_who_is_killed_while_outputs_or_letters_are_on_their_way_has_not_died_of_their_event(
    kind: str,
) -> None:
    client = prepared(3, 3, alone=1)
    life = Life(client, retry_max=1)
    life.writer.down = True

    def work(message: Message[OrderPlaced]) -> None:
        raise RuntimeError

    async def work_async(message: Message[OrderPlaced]) -> None:
        work(message)

    life.on(OrderPlaced)(work if kind == "threads" else work_async)
    life.start()
    client.change("assigned", PLACE)
    try:
        assert wait_until(lambda: Lives.read(client.metadata[PLACE]).lives == 4 and len(client.marks) > 1)
        assert [Lives.read(text).alone for _, _, text in client.marks] == [2, 0]
        life.writer.down = False
        assert wait_until(lambda: client.reached() == 3)
    finally:
        life.stop()
    assert {letter.error_code for letter in life.writer.letters} == {"KAFKA_HANDLER_FAILED"}


def test_an_event_with_a_mark_goes_first_though_another_partition_has_something_new() -> None:
    client = prepared(1, 3)
    other = ("orders", 1)
    client.log[other] = orders(1, partition=1)
    client.stored[other], client.metadata[other] = [0], Lives(3, 0, "another").text
    client.takes_marks = False
    client.paused.add(PLACE)
    life = Life(client)
    seen = Seen(life, "threads")
    life.start()
    client.change("assigned", PLACE, other)
    try:
        assert wait_until(lambda: len(client.marks) == 1)
        client.paused.discard(PLACE)
        assert wait_until(lambda: bool(life.holdings.tenures[PLACE].life.waiting))
        client.takes_marks = True
        client._commit(*client.marks[0])
        assert wait_until(lambda: len(seen.offsets) == 2)
    finally:
        life.stop()
    assert [place for place, _, text in client.marks if text] == [other, PLACE]


def test_a_condemned_event_stays_condemned_while_its_letter_waits(kind: str) -> None:
    client = prepared(3, 4, alone=2)
    life = Life(client)
    life.writer.down = True
    seen = Seen(life, kind)
    life.start()
    client.change("assigned", PLACE)
    try:
        assert wait_until(lambda: life.letters.waiting == 1)
        assert wait_until(lambda: len(client.marks) > 0)
        assert min(Lives.read(text).alone for _, _, text in client.marks) >= 2
        life.writer.down = False
        assert wait_until(lambda: client.reached() == 3)
    finally:
        life.stop()
    assert min(seen.offsets) == 1
    assert len(life.writer.letters) == 1
