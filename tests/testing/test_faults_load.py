"""The load program, on the embedded broker: what it says agrees with what is there, whichever way it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidings.testing import EmbeddedBroker
from tidings.testing.faults import Load, Verdict, judge, mark_of, read_records

_TOPIC = "load"


@pytest.fixture
def load(tidings_embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Load]:
    env = {
        "KAFKA_BROKERS": tidings_embedded_broker.bootstrap_servers,
        "KAFKA_SERVICE": "load",
        "KAFKA_STORE_DIR": str(tmp_path / "store"),
    }
    with Load(tmp_path / "ledger", _TOPIC, env, rate=500) as load:
        yield load


def verdict(load: Load) -> Verdict:
    return judge(load.lives, read_records(load.env["KAFKA_BROKERS"], [_TOPIC], mark_of))


def test_it_publishes_and_stops_and_starts_again(load: Load) -> None:
    for _ in range(2):
        load.start()
        load.wait_until(lambda life: len(life.told) > 300)
        assert load.stop() == 0, load.log_tail()
    found = verdict(load)
    assert found.ok, found
    assert found.lives == 2
    assert found.delivered > 600
    assert found.order_violations == 0
    for life in load.lives:
        assert life.safe == life.accepted.keys()
        assert {state for state, _ in life.told.values()} == {"delivered"}
        workers = {key.split(".")[1] for key, _ in life.keys.values()}
        assert workers == {"0", "1", "2"}  # two threads and a loop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(load: Load, number: signal.Signals) -> None:
    load.start()
    load.wait_until(lambda life: len(life.told) > 50)
    load.signal(number)
    assert load.wait() == 0, load.log_tail()
    assert load.lives[0].closed is not None
    assert verdict(load).ok


def test_it_can_leave_without_closing(load: Load) -> None:
    load.start()
    load.wait_until(lambda life: len(life.told) > 50)
    assert load.leave() == 0, load.log_tail()
    (life,) = load.lives
    assert life.closed is None
    assert life.owed() == set(life.accepted)
    assert verdict(load).missing == 0


def test_it_drains_and_goes_on(load: Load) -> None:
    load.start()
    load.wait_until(lambda life: len(life.told) > 50)
    load.drain()
    before = len(load.lives[0].accepted)
    load.set_rate(500)
    load.wait_until(lambda life: len(life.accepted) > before + 100)
    assert load.stop() == 0
    assert verdict(load).ok


def test_it_crashes_where_it_is_told(load: Load) -> None:
    load.crash = "tidings.testing.faults.ledger:Ledger.accepted:after:100"
    load.start()
    assert load.wait() == -signal.SIGKILL
    (life,) = load.lives
    assert 97 <= len(life.accepted) <= 110  # other threads were in between, each with one
    assert life.killed is not None


def test_it_ends_with_whoever_started_it(load: Load) -> None:
    load.start()
    load.wait_until(lambda life: len(life.told) > 5)
    assert load._process is not None
    assert load._process.stdin is not None
    load._process.stdin.close()  # as when this process had been killed
    assert load._process.wait(30) != 0
