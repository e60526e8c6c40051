"""Storms of log lines, knowing an outage by its silence, and naming what Kafka's errors say: no waiting."""

from __future__ import annotations

import logging
import threading

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

    def _log(self, level: int, msg: object, *_: object, **__: object) -> None:
        self.lines.append((level, str(msg)))


def _counted(lines: list[tuple[int, str]]) -> int:
    """How many occurrences the lines speak of."""
    total = 0
    for _, line in lines:
        said = line.removeprefix("thing: ")
        total += int(said.split()[0]) if "more, not named" in said else 1
    return total


@given(st.lists(st.integers(0, 60) | st.floats(0, 30).map(lambda seconds: -seconds - 0.001), max_size=30))
def test_a_storm_speaks_of_every_occurrence(steps: list[float]) -> None:
    """A positive step is that many occurrences, a negative one is time that passes before a tick."""
    lines, now, happened = Lines(), 0.0, 0
    storm = Storm(Voice(lines), logging.CRITICAL, "thing")
    for step in steps:
        if step >= 0:
            for _ in range(int(step)):
                storm.record(f"number {happened}")
                happened += 1
        else:
            now -= step
            storm.tick(now)
    storm.flush()
    assert _counted(lines.lines) == happened
    assert {level for level, _ in lines.lines} <= {logging.CRITICAL}
    assert len(lines.lines) <= 21 * (now / 10 + 2)


def test_the_first_twenty_are_named_and_the_rest_counted() -> None:
    lines = Lines()
    storm = Storm(Voice(lines), logging.ERROR, "thing")
    storm.tick(0.0)
    for number in range(1000):
        storm.record(f"number {number}")
    storm.tick(9.9)
    assert [line for _, line in lines.lines] == [f"thing: number {number}" for number in range(20)]
    storm.tick(10.0)
    assert lines.lines[20:] == [(logging.ERROR, "thing: 980 more, not named one by one")]
    storm.record("again")
    assert lines.lines[21:] == [(logging.ERROR, "thing: again")]


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
    assert _counted(lines.lines) == 16_000


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
