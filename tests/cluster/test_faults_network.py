"""A network that cuts, flaps, swallows, drops acknowledgements or is slow, between the program and Kafka."""

from __future__ import annotations

import time

import pytest

from cluster.conftest import Kept, MakeTrial
from tidings.testing.faults import Proxies, Trial

pytestmark = pytest.mark.timeout(400)


def test_cut_both_ways(trial: Trial, network: Proxies, kept: Kept) -> None:
    trial.begin()
    with network.cut():
        time.sleep(15)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_flapping(trial: Trial, network: Proxies, kept: Kept) -> None:
    trial.begin()
    with network.flapping(shortest=0.5, longest=1.5, seed=5):
        time.sleep(20)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_a_black_hole(make_trial: MakeTrial, network: Proxies, kept: Kept) -> None:
    trial = make_trial({"KAFKA_DELIVERY_TIMEOUT": "5s"})  # much shorter than the outage
    trial.begin()
    with network.black_hole():
        time.sleep(15)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


@pytest.mark.parametrize("delivery_timeout", ["120s", "5s"])
def test_only_the_acknowledgements_are_dropped(
    make_trial: MakeTrial, network: Proxies, kept: Kept, delivery_timeout: str
) -> None:
    trial = make_trial({"KAFKA_DELIVERY_TIMEOUT": delivery_timeout})
    trial.begin()
    with network.acknowledgements_dropped():
        time.sleep(15)
    verdict = trial.end()
    kept(verdict)
    assert verdict.false_not_delivered == 0
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_a_slow_link(trial: Trial, network: Proxies, kept: Kept) -> None:
    trial.begin()
    with network.slow(rate=15_000, delay=0.1):
        time.sleep(20)
    verdict = trial.end()
    kept(verdict)
    assert (verdict.dead_lettered, verdict.refused) == (0, 0)


def test_after_an_outage_a_busy_program_catches_up(
    make_trial: MakeTrial, network: Proxies, kept: Kept
) -> None:
    """Arrivals at 0.9 of what the link can take: the store drains all the same, and diverting ends."""
    trial = make_trial({"KAFKA_OUTAGE_AFTER": "2s", "KAFKA_COMPRESSION": "none"}, rate=4000, size=1000)
    trial.begin()
    load = trial.load

    def delivered() -> int:
        stats = load.lives[-1].stats
        return 0 if stats is None else stats.delivered

    with network.slow(rate=600_000):
        time.sleep(3)  # the link is full from here on
        start, before = time.monotonic(), delivered()
        time.sleep(6)
        able = (delivered() - before) / (time.monotonic() - start)
    assert able < 3500, "the link was not the limit"
    load.set_rate(0.9 * able)
    with network.cut():
        load.wait_until(lambda life: life.stats is not None and life.stats.stored > 0)
        time.sleep(2)
    with network.slow(rate=600_000):
        load.wait_until(lambda life: life.stats is not None and not life.stats.stored, 150)
    verdict = trial.end(after=3)
    kept(verdict)
