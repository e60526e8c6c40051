"""Storms of log lines, knowing an outage by its silence, and naming what Kafka's errors say: no waiting."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.kafka.outcomes import certainty_of
from tidings.publishing.silence import Silence
from tidings.publishing.storms import Storm
from tidings.publishing.voice import Voice


class Lines(logging.Logger):
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("lines")
        self.lines: list[tuple[int, str]] = []
        self.fields: list[dict[str, Any]] = []

    def _log(self, level: int, msg: object, *_: object, extra: Any = None, **__: object) -> None:
        self.lines.append((level, str(msg)))
        self.fields.append(extra)


def _counted(lines: Lines) -> int:
    """How many occurrences the lines speak of."""
    return sum(fields.get("count", 1) for fields in lines.fields)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)) | st.floats(0, 30), max_size=30))
def test_a_storm_speaks_of_every_occurrence(steps: list[tuple[int, int] | float]) -> None:
    """A step is so many occurrences of so many topics, or time that passes before a tick."""
    lines, now, happened = Lines(), 0.0, 0
    storm = Storm(Voice(lines), logging.CRITICAL, "thing")
    for step in steps:
        if isinstance(step, tuple):
            for number in range(step[0]):
                storm.record("it", event_id=str(happened), topic=str(number % (step[1] + 1)))
                happened += 1
        else:
            now += step
            storm.tick(now)
    storm.flush()
    assert _counted(lines) == happened
    assert {level for level, _ in lines.lines} <= {logging.CRITICAL}
    assert len(lines.lines) <= 41 * (now / 10 + 2)


def test_the_first_is_told_at_once_and_those_like_it_are_a_count() -> None:
    lines = Lines()
    storm = Storm(Voice(lines), logging.ERROR, "thing")
    storm.tick(0.0)
    for number in range(1000):
        storm.record(f"number {number}", event_id=str(number), topic="t", error="E", correlation_id=None)
    storm.tick(9.9)
    assert lines.lines == [(logging.ERROR, "thing: number 0")]
    assert lines.fields == [{"event_id": "0", "topic": "t", "error": "E"}]
    storm.tick(10.0)
    named = [str(number) for number in range(1, 21)]
    assert lines.fields[1:] == [{"topic": "t", "error": "E", "count": 999, "event_ids": named}]
    words = " ".join(f"event_id={name}" for name in named)
    assert lines.lines[1:] == [(logging.ERROR, f"thing: 999 more: topic=t error=E {words} and 979 not named")]


def test_what_goes_on_is_no_news_and_what_comes_again_is() -> None:
    lines = Lines()
    storm = Storm(Voice(lines), logging.ERROR, "thing")
    storm.record("one")
    for number in range(1, 4):
        storm.record("two")
        storm.tick(10.0 * number)
    storm.tick(40.0)
    storm.record("three")
    assert [line for _, line in lines.lines] == ["thing: one", *["thing: 1 more"] * 3, "thing: three"]


def test_one_kind_does_not_hide_another_and_kinds_are_bounded() -> None:
    lines = Lines()
    storm = Storm(Voice(lines), logging.ERROR, "thing")
    for number in range(1000):
        storm.record(f"number {number}", topic=f"t{number}" * 1000, event_id="x" * 10**6)
    storm.flush()
    assert [line for _, line in lines.lines[:20]] == [f"thing: number {number}" for number in range(20)]
    assert lines.fields[20]["count"] == 980
    assert len(lines.lines[20][1]) < 6000


def test_a_storm_from_many_threads_is_counted_exactly() -> None:
    lines = Lines()
    storm = Storm(Voice(lines), logging.ERROR, "thing")

    def record() -> None:
        for _ in range(2000):
            storm.record("x")

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    storm.flush()
    assert _counted(lines) == 16_000


def test_a_logger_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(logging.Logger):
        def _log(self, *_: object, **__: object) -> None:
            raise OSError("disk full")

    storm = Storm(Voice(Broken("broken")), logging.CRITICAL, "event lost")
    thread = threading.Thread(target=storm.record, args=("event_id=1",))
    with caplog.at_level(logging.ERROR, "tidings"):
        thread.start()
        thread.join()
    assert "disk full" in caplog.text
    assert "event_id=1" in caplog.text


ticks = st.lists(st.tuples(st.floats(0, 3600), st.integers(0, 2), st.booleans()), max_size=50)


@given(ticks)
def test_silence_is_the_time_without_an_acknowledgement(steps: list[tuple[float, int, bool]]) -> None:
    silence, now, delivered, expected = Silence(), 100.0, 0, 0.0
    silence.tick(now, 0, idle=True)
    for passed, acknowledged, idle in steps:
        now += passed
        delivered += acknowledged
        before = silence.seconds
        silence.tick(now, delivered, idle=idle)
        expected = 0.0 if acknowledged or idle else expected + min(passed, 0.5)
        assert silence.seconds == pytest.approx(expected)
        assert silence.seconds - before <= 0.5 + 1e-6, "a suspended machine is not an outage"


def test_the_first_tick_is_no_silence() -> None:
    silence = Silence()
    silence.tick(1e9, 0, idle=False)
    assert silence.seconds == 0


@pytest.mark.parametrize(
    ("kafka_error", "certainty"),
    [
        ("_MSG_TIMED_OUT", "unknown"),
        ("_PURGE_INFLIGHT", "unknown"),
        ("_TRANSPORT", "unknown"),
        ("UNKNOWN", "unknown"),
        ("MSG_SIZE_TOO_LARGE", "not_delivered"),
        ("TOPIC_AUTHORIZATION_FAILED", "not_delivered"),
        ("_UNKNOWN_PARTITION", "not_delivered"),
    ],
)
def test_certainty(kafka_error: str, certainty: str) -> None:
    assert certainty_of(kafka_error) == certainty
