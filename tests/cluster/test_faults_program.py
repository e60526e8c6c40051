"""The program is killed, ended, paused or left, its clock is wrong, or it may keep no more."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.conftest import RATE, Kept, MakeTrial
from tidings.testing import RealKafka
from tidings.testing.faults import Proxies, Trial, Verdict, nodes, stores

WRITE_AHEAD = {"KAFKA_DURABILITY": "write-ahead"}
KILLS = 200
SIDE_BY_SIDE = 3
CRASH_POINTS = [
    "tidings.letters.journal:Journal.commit:before",
    "tidings.letters.journal:Journal.commit:after",
    "tidings.letters.writing:insert:after",
    "tidings.letters.writing:delete:before",
    "tidings.letters.writing:delete:after",
]

pytestmark = pytest.mark.timeout(600)


def started(trial: Trial) -> None:
    """Start a life and wait until it has a publisher."""
    trial.load.start()
    trial.load.wait_until(lambda life: True)


def last_life_ends(trial: Trial) -> Verdict:
    """One more life, which publishes a little, sends what the others have left."""
    trial.load.rate = 50
    trial.start(1)
    return trial.end(after=1)


@pytest.mark.parametrize("stored", [False, True], ids=["node restarts", "no node is there"])
def test_close_while_kafka_is_away(
    trial: Trial, cluster: RealKafka, network: Proxies, kept: Kept, stored: bool
) -> None:
    trial.begin(11)
    if stored:
        with network.cut():
            time.sleep(1)
            assert trial.load.stop(timeout=2) == 0
    else:
        leader = nodes.leader_of(cluster, trial.topic)
        cluster.kill(leader)
        trial.load.say("stop 30")
        cluster.start_node(leader)
        assert trial.load.wait(90) == 0
    ending = trial.load.lives[-1].closed
    assert ending is not None
    assert (ending.report.stored > 0) == stored
    assert ending.report.in_flight == 0
    trial.load.rate = 100
    trial.start(1)
    verdict = trial.end(after=1)
    kept(verdict)
    assert (verdict.stored, verdict.lives) == (0, 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load(trial: Trial, kept: Kept, number: signal.Signals) -> None:
    trial.begin(11)
    trial.load.signal(number)
    assert trial.load.wait() == 0
    verdict = trial.verdict()
    kept(verdict)
    assert verdict.stored == 0


def test_it_returns_from_main_without_close(trial: Trial, kept: Kept) -> None:
    trial.begin(11)
    assert trial.load.leave() == 0
    kept(trial.verdict())


def test_the_wall_clock_jumps_an_hour(trial: Trial, kept: Kept) -> None:
    trial.begin()
    for seconds in (3600, -3600, 0):
        trial.load.shift_clock(seconds)
        time.sleep(4)
    verdict = trial.end()
    kept(verdict)
    told = {state for state, _ in trial.load.lives[0].told.values()}
    assert told == {"delivered"}
    assert (verdict.duplicates, verdict.order_violations) == (0, 0)


def test_a_process_that_was_stopped_declares_no_outage(trial: Trial, kept: Kept) -> None:
    trial.begin()
    trial.load.pause()
    time.sleep(60)
    trial.load.resume()
    verdict = trial.end()
    kept(verdict)
    told = {state for state, _ in trial.load.lives[0].told.values()}
    assert told == {"delivered"}
    assert verdict.refused == 0


def test_a_store_near_its_cap(make_trial: MakeTrial, network: Proxies, kept: Kept) -> None:
    env = {"KAFKA_QUEUE_BYTES": "1MiB", "KAFKA_STORE_MAX_BYTES": "40MiB", "KAFKA_OUTAGE_AFTER": "3s"}
    trial = make_trial({**env, "KAFKA_MAX_BLOCK": "100ms"}, size=20_000)
    trial.begin()
    with network.cut():
        trial.load.wait_until(lambda life: len(life.refused) > 500, 120)
        time.sleep(5)
    verdict = trial.end()
    kept(verdict)
    assert verdict.refused > 500
    assert set(trial.load.lives[0].refused.values()) == {"KAFKA_STORE_FULL"}
    assert (verdict.stored, verdict.dead_lettered) == (0, 0)


def test_a_store_whose_disk_is_full(make_trial: MakeTrial, network: Proxies, kept: Kept) -> None:
    """What cannot be stored is refused; what was accepted before is kept in memory, and delivered."""
    env = {"KAFKA_QUEUE_BYTES": "1MiB", "KAFKA_STORE_MAX_BYTES": "40MiB", "KAFKA_OUTAGE_AFTER": "3s"}
    trial = make_trial({**env, "KAFKA_MAX_BLOCK": "100ms"}, size=2000)
    with ExitStack() as disk:
        try:
            disk.enter_context(stores.small_disk(trial.store, 64 << 20))
        except PermissionError as error:
            pytest.skip(str(error))
        trial.begin()
        with stores.full(trial.store), network.cut():
            trial.load.wait_until(lambda life: len(life.refused) > 500, 120)
            time.sleep(3)
        verdict = trial.end()
        kept(verdict)
    assert set(trial.load.lives[0].refused.values()) <= {"KAFKA_STORE_FAILED", "KAFKA_STORE_FULL"}
    assert (verdict.lost, verdict.stored, verdict.dead_lettered) == (0, 0, 0)


@pytest.fixture
def make_side_trial(cluster: RealKafka, network: Proxies, tmp_path: Path) -> Callable[[int], Trial]:
    """Trials in write-ahead mode that run beside each other, each with a store of its own."""

    def make(number: int) -> Trial:
        directory = tmp_path / f"side-{number}"
        directory.mkdir()
        return Trial(cluster, network, directory, WRITE_AHEAD, rate=RATE)

    return make


def test_killed_at_two_hundred_moments(make_side_trial: Callable[[int], Trial]) -> None:
    """Write-ahead: what was safe is never missing. Each life adopts what the one before it left."""

    def lives(number: int) -> Verdict:
        chance = random.Random(number)
        with make_side_trial(number) as trial:
            trial.create_topics()
            for _ in range(KILLS // SIDE_BY_SIDE + 1):
                started(trial)
                time.sleep(chance.uniform(0, 0.8))
                trial.load.kill()
            return last_life_ends(trial)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        verdicts = list(side_by_side.map(lives, range(SIDE_BY_SIDE)))
    assert sum(verdict.lives for verdict in verdicts) > KILLS
    assert sum(verdict.accepted for verdict in verdicts) > KILLS * 10
    for verdict in verdicts:
        assert verdict.ok, verdict
        assert verdict.dead_lettered == 0


def test_killed_at_named_points(make_trial: MakeTrial) -> None:
    """Around a commit, inside its transaction, and between an acknowledgement and its row's removal."""
    trial = make_trial(WRITE_AHEAD)
    trial.create_topics()
    points = [f"{point}:{call}" for point in CRASH_POINTS for call in (1, 40)]
    for point in points:
        trial.load.crash = point
        trial.load.start()
        assert trial.load.wait() == -signal.SIGKILL, point
    trial.load.crash = None
    verdict = last_life_ends(trial)
    assert verdict.ok, verdict
    assert (verdict.lives, verdict.dead_lettered) == (len(points) + 1, 0)
    assert verdict.accepted > 1000


def test_killed_in_an_outage_in_spill_mode(make_trial: MakeTrial, network: Proxies, kept: Kept) -> None:
    """Only what was accepted less than STORE_AFTER + 1 s before the kill may be missing."""
    trial = make_trial({"KAFKA_STORE_AFTER": "1s"})
    trial.begin()
    chance = random.Random(19)
    with network.cut():
        time.sleep(3)
        for _ in range(6):
            trial.load.kill()
            started(trial)
            time.sleep(chance.uniform(1, 5))
        trial.load.kill()
    verdict = last_life_ends(trial)
    kept(verdict)
    assert verdict.dead_lettered == 0
    assert 0 < verdict.lost_in_window < verdict.accepted
