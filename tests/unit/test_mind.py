"""The keeper's mind, by itself: a thousand outages a second, no threads, no Kafka."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidings.kafka.outcomes import TABLE, Outcome
from tidings.publishing.mind import (
    LOST_REPORT,
    BreakerChanged,
    Decision,
    Do,
    Failure,
    Look,
    Mind,
    Policy,
    Probe,
    Rebuild,
)

NAMES = sorted({name for names in TABLE.values() for name in names} | {LOST_REPORT, "NOBODY_KNOWS"})
TOPICS = ["a", "b", "c"]


def mind(**policy: Any) -> Mind:
    return Mind(Policy(**{"stores": True, **policy}), random.Random(0))


def failure(kafka_error: str, **more: Any) -> Failure:
    return Failure(**{"entry": None, "topic": "a", "kafka_error": kafka_error, **more})


def decide(of: Mind, what: Failure, now: float = 0.0) -> Decision:
    (decision,) = [action for action in of.step(now, [what]) if isinstance(action, Decision)]
    return decision


failures = st.builds(
    Failure,
    entry=st.none(),
    topic=st.sampled_from(TOPICS),
    kafka_error=st.sampled_from(NAMES),
    careful=st.booleans(),
    suspect=st.booleans(),
    answers=st.integers(0, 5),
    resends=st.integers(0, 10_000),
    age=st.floats(0, 1e6),
    has_timestamp=st.booleans(),
)


@given(failures, st.booleans())
def test_every_failure_gets_one_decision_and_a_bounded_delay(what: Failure, stores: bool) -> None:
    decision = decide(mind(stores=stores), what)
    assert decision.failure is what
    assert 0 <= decision.delay <= 30


@given(failures)
def test_with_a_store_nothing_is_lost_and_only_an_answer_dead_letters(what: Failure) -> None:
    decision = decide(mind(), what)
    assert decision.do in {Do.WAIT, Do.EXAMINE, Do.LETTER}
    if decision.do is Do.LETTER:
        assert what.careful
        assert what.kafka_error in TABLE[Outcome.SUSPECT]
        assert what.answers >= 3


@pytest.mark.parametrize("name", sorted(TABLE[Outcome.SUSPECT]))
def test_a_suspect_gets_as_many_answers_as_retry_max(name: str) -> None:
    of = mind(retry_max=3)
    first = decide(of, failure(name))
    assert (first.do, first.delay) == (Do.EXAMINE, 0.0)
    again = failure(name, careful=True, suspect=True)
    done = []
    for _ in range(3):
        done.append(decide(of, again).do)
    assert done == [Do.EXAMINE, Do.EXAMINE, Do.LETTER]


def test_a_timeout_of_a_suspect_burns_no_answer() -> None:
    what = failure("_MSG_TIMED_OUT", careful=True, suspect=True, answers=2)
    assert decide(mind(), what).do is Do.EXAMINE
    assert what.answers == 2


def test_a_refused_timestamp_is_left_out_once_before_anything_counts() -> None:
    of = mind(retry_max=1)
    decision = decide(of, failure("INVALID_TIMESTAMP", careful=True, suspect=True, has_timestamp=True))
    assert (decision.do, decision.without_timestamp, decision.failure.answers) == (Do.EXAMINE, True, 0)
    assert decide(of, failure("INVALID_TIMESTAMP", careful=True, suspect=True)).do is Do.LETTER


def test_memory_mode_gives_up_after_retry_max_or_twice_the_timeout() -> None:
    of = mind(stores=False, retry_max=2, delivery_timeout=10)
    assert decide(of, failure("_MSG_TIMED_OUT", resends=1)).do is Do.RESEND
    assert decide(of, failure("_MSG_TIMED_OUT", resends=2)).do is Do.LOSE
    assert decide(of, failure("_MSG_TIMED_OUT", age=20.0)).do is Do.LOSE
    lost_report = decide(of, failure(LOST_REPORT, resends=9))
    assert (lost_report.do, lost_report.delay) == (Do.RESEND, 0.0), "that was not Kafka's doing"


def test_an_operators_mistake_opens_the_breaker_and_an_acknowledgement_closes_it() -> None:
    of = mind()
    assert BreakerChanged("a", "TOPIC_AUTHORIZATION_FAILED") in of.step(
        0.0, [failure("TOPIC_AUTHORIZATION_FAILED")] * 3
    )
    assert (of.is_open("a"), of.is_open("b")) == (True, False)
    assert of.step(1.0, [], {"a": Look(acked=True)}) == [BreakerChanged("a", "")]
    assert of.breakers == {}


def silent(of: Mind, start: float, seconds: float, look: Mapping[str, Look]) -> list[Any]:
    """Steps of 250 ms in which the looks stay the same."""
    actions: list[Any] = []
    for tick in range(int(seconds * 4)):
        actions += of.step(start + tick / 4, [], look)
    return actions


def test_silence_opens_the_breaker_and_another_partition_keeps_it_closed() -> None:
    of = mind(outage_after=10)
    assert silent(of, 0.0, 5, {"a": Look(in_client=True, oldest=9.0)}) == []
    assert silent(of, 5.0, 5, {"a": Look(in_client=True, oldest=11.0, acked=True)}) == []
    assert silent(of, 10.0, 5, {"a": Look(in_client=True, oldest=11.0)}) == [BreakerChanged("a", "silent")]


def test_what_the_client_has_is_the_probe_and_else_one_row_at_a_time() -> None:
    of = mind(backoff=1.0, backoff_max=2.0)
    of.opened("a", "silent")
    assert silent(of, 0.0, 60, {"a": Look(in_client=True, waiting=True)}) == []
    assert silent(of, 60.0, 60, {"a": Look(waiting=True, probing=True)}) == []
    probes = silent(of, 120.0, 60, {"a": Look(waiting=True)})
    assert set(map(type, probes)) == {Probe}
    assert 25 < len(probes) < 200, "every second on average, full jitter up to two"


def test_a_fatal_client_is_rebuilt_once_a_step() -> None:
    of = mind()
    causes = [failure("_FATAL"), failure("_FENCED")]
    assert [a for a in of.step(0.0, causes) if isinstance(a, Rebuild)] == [Rebuild("_FATAL")]
    assert not any(isinstance(a, Rebuild) for a in of.step(50.0, causes)), "it is being rebuilt"
    of.rebuilt()
    times: list[float] = []
    now = 50.0
    while len(times) < 8:
        of.doomed("_FATAL")
        if any(isinstance(a, Rebuild) for a in of.step(now, [])):
            times.append(now)
            of.rebuilt()
        now += 0.25
    gaps = [round(later - sooner) for sooner, later in itertools.pairwise(times)]
    assert gaps == [2, 4, 8, 16, 32, 60, 60]


@given(st.integers(0, 10_000))
def test_back_off_is_full_jitter_within_its_bound(times: int) -> None:
    of = mind(backoff=0.1, backoff_max=30.0)
    most = min(30.0, 0.1 * 2.0 ** min(times, 32))
    delays = [of.back_off(times) for _ in range(20)]
    assert all(0 <= delay <= most for delay in delays)
    assert len(set(delays)) > 1


class Outages(RuleBasedStateMachine):
    """Events of three topics through random outages: a model of Kafka, a model of the keeper, and the mind.

    Whatever happens, each event is in one place, and once Kafka is well again everything ends: delivered, or,
    if it is poison, as a letter.
    """

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.mind = Mind(Policy(stores=True, retry_max=2), random.Random(seed))
        self.now = 0.0
        self.number = 0
        self.poison: set[int] = set()
        self.down: dict[str, str] = {}
        self.client: dict[int, tuple[str, float]] = {}
        self.store: dict[int, tuple[str, float]] = {}
        self.alone: dict[int, tuple[str, float, Failure | None]] = {}
        self.delivered: set[int] = set()
        self.letters: set[int] = set()
        self.probing: set[str] = set()

    @rule(topic=st.sampled_from(TOPICS), poison=st.booleans(), count=st.integers(1, 5))
    def publish(self, topic: str, poison: bool, count: int) -> None:
        for _ in range(count):
            self.number += 1
            if poison:
                self.poison.add(self.number)
            if self.mind.is_open(topic):
                self.store[self.number] = topic, 0.0
            else:
                self.client[self.number] = topic, self.now

    @rule(topic=st.sampled_from(TOPICS), error=st.sampled_from(["", "_MSG_TIMED_OUT", *TABLE[Outcome.HOLD]]))
    def goes_down(self, topic: str, error: str) -> None:
        self.down[topic] = error

    @rule(topic=st.sampled_from(TOPICS))
    def comes_up(self, topic: str) -> None:
        self.down.pop(topic, None)

    @rule(ticks=st.integers(1, 200))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def tick(self) -> None:
        self.now += 0.25
        acked: set[str] = set()
        failed: list[Failure] = []
        for number, (topic, since) in list(self.client.items()):
            if topic not in self.down and number not in self.poison:
                del self.client[number]
                self.delivered.add(number)
                acked.add(topic)
            elif topic in self.down and not self.down[topic] and self.now - since < 120:
                continue  # it says nothing
            else:
                del self.client[number]
                name = (self.down[topic] or "_MSG_TIMED_OUT") if topic in self.down else "INVALID_RECORD"
                failed.append(failure(name, entry=number, topic=topic))
        for number, (topic, due, before) in list(self.alone.items()):
            if self.now < due:
                continue
            del self.alone[number]
            self.probing.discard(topic)
            if topic not in self.down and number not in self.poison:
                self.delivered.add(number)
                acked.add(topic)
                continue
            name = (self.down[topic] or "_MSG_TIMED_OUT") if topic in self.down else "INVALID_RECORD"
            answers = before.answers if before else 0
            failed.append(
                failure(
                    name, entry=number, topic=topic, careful=True, suspect=before is not None, answers=answers
                )
            )
        looks = {topic: self.look(topic, acked) for topic in TOPICS}
        for action in self.mind.step(self.now, failed, looks):
            self.act(action)
        self.drain()

    def look(self, topic: str, acked: set[str]) -> Look:
        ages = [self.now - since for its, since in self.client.values() if its == topic]
        return Look(
            oldest=max(ages, default=0.0),
            in_client=bool(ages),
            acked=topic in acked,
            waiting=any(its == topic for its, _ in self.store.values()),
            probing=topic in self.probing,
        )

    def act(self, action: Any) -> None:
        if isinstance(action, Probe):
            number = min(n for n, (topic, _) in self.store.items() if topic == action.topic)
            del self.store[number]
            self.alone[number] = action.topic, self.now, None
            self.probing.add(action.topic)
        elif isinstance(action, Decision):
            what, number = action.failure, action.failure.entry
            if action.do is Do.WAIT:
                self.store[number] = what.topic, self.now + action.delay
            elif action.do is Do.EXAMINE:
                self.alone[number] = what.topic, self.now + action.delay, what
            else:
                assert action.do is Do.LETTER
                assert number in self.poison, "time and operators dead-letter nothing"
                self.letters.add(number)

    def drain(self) -> None:
        for number, (topic, due) in list(self.store.items()):
            if not self.mind.is_open(topic) and self.now >= due:
                del self.store[number]
                self.client[number] = topic, self.now

    @invariant()
    def each_event_is_in_one_place(self) -> None:
        places = [*self.client, *self.store, *self.alone, *self.delivered, *self.letters]
        assert sorted(places) == list(range(1, self.number + 1))
        assert not self.delivered & self.poison

    def teardown(self) -> None:
        if not hasattr(self, "down"):
            return
        self.down.clear()
        for _ in range(2000):
            if len(self.delivered) + len(self.letters) == self.number:
                break
            self.tick()
        assert len(self.delivered) + len(self.letters) == self.number, "something waits for ever"
        assert self.letters == self.poison & set(range(1, self.number + 1))


TestOutages = Outages.TestCase
TestOutages.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
