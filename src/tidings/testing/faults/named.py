"""Every fault by its name, for schedules: what happens to a trial, and for how long."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import msgspec

from tidings.testing.faults import nodes
from tidings.testing.faults.trial import Trial

_HOUR = 3600.0
_SLOW = 20_000  # bytes a second on each connection


Happening = AbstractContextManager[None]


class Fault(msgspec.Struct, frozen=True):
    """How a fault happens to a trial and one of its nodes, and how long it may last, in seconds."""

    happen: Callable[[Trial, int], Happening]
    lasting: tuple[float, float] = (2.0, 12.0)


def _others(node: int) -> tuple[int, int]:
    return node, node % 3 + 1


@contextmanager
def _min_isr_unmet(trial: Trial, node: int) -> Iterator[None]:
    stricter = nodes.topic_config(trial.kafka, trial.load.topic, {"min.insync.replicas": "3"})
    with stricter, nodes.killed(trial.kafka, node):
        yield


@contextmanager
def _restarted(trial: Trial, node: int) -> Iterator[None]:
    trial.kafka.restart(node)
    yield


@contextmanager
def _program_killed(trial: Trial, node: int) -> Iterator[None]:
    trial.load.kill()
    yield
    trial.load.start()


@contextmanager
def _program_killed_in_an_outage(trial: Trial, node: int) -> Iterator[None]:
    with trial.network.cut():
        time.sleep(4.0)
        trial.load.kill()
        trial.load.start()
        yield


@contextmanager
def _program_restarted(trial: Trial, node: int) -> Iterator[None]:
    trial.load.signal(signal.SIGTERM)
    trial.load.wait()
    yield
    trial.load.start()


@contextmanager
def _program_paused(trial: Trial, node: int) -> Iterator[None]:
    trial.load.pause()
    try:
        yield
    finally:
        trial.load.resume()


def _clock(seconds: float) -> Callable[[Trial, int], Happening]:
    @contextmanager
    def happen(trial: Trial, node: int) -> Iterator[None]:
        trial.load.shift_clock(seconds)
        yield
        trial.load.shift_clock(0)

    return happen


FAULTS: Mapping[str, Fault] = {
    "kill-node": Fault(lambda trial, node: nodes.killed(trial.kafka, node)),
    "kill-leader": Fault(
        lambda trial, node: nodes.killed(trial.kafka, nodes.leader_of(trial.kafka, trial.load.topic, node))
    ),
    "kill-two-nodes": Fault(lambda trial, node: nodes.killed(trial.kafka, *_others(node)), (4.0, 25.0)),
    "restart-node": Fault(_restarted, (0.0, 2.0)),
    "pause-node": Fault(lambda trial, node: nodes.paused(trial.kafka, node), (2.0, 18.0)),
    "disk-full": Fault(lambda trial, node: nodes.disk_full(trial.kafka, node)),
    "min-isr-unmet": Fault(_min_isr_unmet, (4.0, 20.0)),
    "cut": Fault(lambda trial, node: trial.network.cut(), (2.0, 25.0)),
    "cut-one": Fault(lambda trial, node: trial.network.cut(node)),
    "black-hole": Fault(lambda trial, node: trial.network.black_hole(), (2.0, 25.0)),
    "black-hole-one": Fault(lambda trial, node: trial.network.black_hole(node)),
    "acknowledgements-dropped": Fault(lambda trial, node: trial.network.acknowledgements_dropped()),
    "flapping": Fault(lambda trial, node: trial.network.flapping(seed=node)),
    "slow": Fault(lambda trial, node: trial.network.slow(rate=_SLOW, delay=0.05)),
    "kill-program": Fault(_program_killed, (0.0, 1.0)),
    "kill-program-in-an-outage": Fault(_program_killed_in_an_outage, (2.0, 10.0)),
    "restart-program": Fault(_program_restarted, (0.0, 1.0)),
    "pause-program": Fault(_program_paused, (2.0, 20.0)),
    "clock-an-hour-ahead": Fault(_clock(_HOUR), (2.0, 5.0)),
    "clock-an-hour-back": Fault(_clock(-_HOUR), (2.0, 5.0)),
}
"""Every fault by its name."""
