"""The pure parts of the guards: the token bucket and the bulkhead, by property."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tidings.publishing.guards.bucket import TokenBucket
from tidings.publishing.guards.bulkhead import Bulkhead

rates = st.floats(0.01, 1e6)
bursts = st.integers(1, 1000)


@given(rates, bursts, st.lists(st.tuples(st.floats(0, 10), st.integers(1, 20)), max_size=50))
def test_never_more_than_the_burst_and_the_rate_together(
    rate: float, burst: int, visits: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst)
    now, taken = 1000.0, [(1000.0, 0)]
    for pause, tries in visits:
        now += pause
        for _ in range(tries):
            if not bucket.take(now):
                taken.append((now, taken[-1][1] + 1))
    for at, before in taken[:-1]:
        most = burst + (now - at) * rate
        assert taken[-1][1] - before <= most * (1 + 1e-6) + 1


@given(rates, bursts, st.integers(0, 2000), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_who_waits_as_long_as_told_is_let_in(rate: float, burst: int, before: int, share: float) -> None:
    bucket = TokenBucket(rate, burst)
    for _ in range(before):
        bucket.take(0.0)
    due = bucket.take(0.0, share)
    if due:
        assert bucket.take(due * 0.99 - 1e-3 / rate, share), "not before"
        assert not bucket.take(due, share)


@given(bursts, st.sampled_from([0.5, 0.8, 0.95]))
def test_a_share_leaves_the_rest_for_others(burst: int, share: float) -> None:
    bucket = TokenBucket(0.01, burst)
    taken = sum(not bucket.take(0.0, share) for _ in range(burst + 1))
    assert max(1, burst * share - 1e-6) <= taken <= burst * share + 1
    assert taken + sum(not bucket.take(0.0) for _ in range(burst + 1)) == burst


def test_a_clock_that_stands_still_fills_nothing() -> None:
    bucket = TokenBucket(1000, 2)
    assert [bool(bucket.take(5.0)) for _ in range(4)] == [False, False, True, True]
    assert bucket.take(4.0), "and one that goes back takes nothing away"
    assert not bucket.take(5.001)


class Entry(msgspec.Struct):
    topic: str
    ended: bool = False


CAPS = {"a": 3, "b": 100, "*": 2}


class Crowd(RuleBasedStateMachine):
    """Entries that come and end in any order, and what a count of those that have not ended says."""

    def __init__(self) -> None:
        super().__init__()
        self.bulkhead = Bulkhead(CAPS)
        self.entries: list[Entry] = []
        self.now = 0.0

    def live(self) -> Counter[str]:
        return Counter(entry.topic for entry in self.entries if not entry.ended)

    @rule(topic=st.sampled_from(["a", "b", "c", "d"]), count=st.integers(1, 60))
    def come(self, topic: str, count: int) -> None:
        for _ in range(count):
            self.now += 1.0
            has_room = self.bulkhead.has_room(topic, self.now)
            assert has_room == (self.live()[topic] < CAPS.get(topic, CAPS["*"]))
            if has_room:
                self.entries.append(Entry(topic))
                self.bulkhead.add(self.entries[-1])

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), count=st.integers(1, 50))
    def end(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            data.draw(st.sampled_from(self.entries)).ended = True

    @rule(number=st.integers(0, 10**6))
    def a_topic_is_made_up(self, number: int) -> None:
        topic = f"made-up-{number}"
        if self.bulkhead.has_room(topic, self.now):
            self.bulkhead.add(Entry(topic, ended=True))

    @invariant()
    def it_counts_what_has_not_ended(self) -> None:
        assert +Counter(self.bulkhead.under_way()) == self.live()


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)


def test_what_has_ended_is_soon_forgotten() -> None:
    bulkhead = Bulkhead({"*": 10_000})
    for number in range(50_000):
        assert bulkhead.has_room("t", number)
        bulkhead.add(Entry("t", ended=True))
        assert bulkhead.has_room(f"made-up-{number}", number)
        bulkhead.add(Entry(f"made-up-{number}", ended=True))
    held = [len(line.entries) for line in bulkhead._lines.values()]
    assert sum(held) < 1000
    assert len(held) < 1000


def test_a_full_line_is_not_looked_at_by_everybody() -> None:
    bulkhead = Bulkhead({"*": 10_000})
    entries = [Entry("t") for _ in range(10_000)]
    for entry in entries:
        bulkhead.add(entry)
    assert not bulkhead.has_room("t", 1.0)
    entries[5000].ended = True
    assert not bulkhead.has_room("t", 1.0), "not again so soon: a look at 10,000 is 0.2 ms"
    assert bulkhead.has_room("t", 1.01)


@pytest.mark.parametrize(("caps", "topic", "cap"), [({"a": 1}, "b", None), ({"a": 1, "*": 5}, "b", 5)])
def test_other_topics(caps: dict[str, int], topic: str, cap: int | None) -> None:
    bulkhead = Bulkhead(caps)
    assert bulkhead.cap_of(topic) == cap
    for _ in range(100):
        if bulkhead.has_room(topic, 0.0):
            bulkhead.add(Entry(topic))
    assert bulkhead.under_way() == ({} if cap is None else {topic: cap})
