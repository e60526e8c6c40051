"""The site of a chaos run: a Kafka, the network before it and a program, and every fault by its name."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import msgspec

from tidings.testing.faults import nodes
from tidings.testing.faults.load import Load
from tidings.testing.faults.proxy import Proxies
from tidings.testing.realkafka import RealKafka

_HOUR = 3600.0
_SLOW = 20_000  # bytes a second on each connection


class Site(msgspec.Struct):
    """What faults happen to."""

    kafka: RealKafka
    network: Proxies
    load: Load

    def suffer(self, name: str, seconds: float, node: int) -> None:
        """One fault of FAULTS, from its beginning to its end."""
        with FAULTS[name].happen(self, node):
            time.sleep(seconds)


Happening = AbstractContextManager[None]


class Fault(msgspec.Struct, frozen=True):
    """How a fault happens at a site, and how long it may last, in seconds."""

    happen: Callable[[Site, int], Happening]
    lasting: tuple[float, float] = (2.0, 12.0)


def _others(node: int) -> tuple[int, int]:
    return node, node % 3 + 1


@contextmanager
def _min_isr_unmet(site: Site, node: int) -> Iterator[None]:
    stricter = nodes.topic_config(site.kafka, site.load.topic, {"min.insync.replicas": "3"})
    with stricter, nodes.killed(site.kafka, node):
        yield


@contextmanager
def _restarted(site: Site, node: int) -> Iterator[None]:
    site.kafka.restart(node)
    yield


@contextmanager
def _program_killed(site: Site, node: int) -> Iterator[None]:
    site.load.kill()
    yield
    site.load.start()


@contextmanager
def _program_killed_in_an_outage(site: Site, node: int) -> Iterator[None]:
    with site.network.cut():
        time.sleep(4.0)
        site.load.kill()
        site.load.start()
        yield


@contextmanager
def _program_restarted(site: Site, node: int) -> Iterator[None]:
    site.load.signal(signal.SIGTERM)
    site.load.wait()
    yield
    site.load.start()


@contextmanager
def _program_paused(site: Site, node: int) -> Iterator[None]:
    site.load.pause()
    try:
        yield
    finally:
        site.load.resume()


def _clock(seconds: float) -> Callable[[Site, int], Happening]:
    @contextmanager
    def happen(site: Site, node: int) -> Iterator[None]:
        site.load.shift_clock(seconds)
        yield
        site.load.shift_clock(0)

    return happen


FAULTS: Mapping[str, Fault] = {
    "kill-node": Fault(lambda site, node: nodes.killed(site.kafka, node)),
    "kill-leader": Fault(
        lambda site, node: nodes.killed(site.kafka, nodes.leader_of(site.kafka, site.load.topic, node))
    ),
    "kill-two-nodes": Fault(lambda site, node: nodes.killed(site.kafka, *_others(node)), (4.0, 25.0)),
    "restart-node": Fault(_restarted, (0.0, 2.0)),
    "pause-node": Fault(lambda site, node: nodes.paused(site.kafka, node), (2.0, 18.0)),
    "disk-full": Fault(lambda site, node: nodes.disk_full(site.kafka, node)),
    "min-isr-unmet": Fault(_min_isr_unmet, (4.0, 20.0)),
    "cut": Fault(lambda site, node: site.network.cut(), (2.0, 25.0)),
    "cut-one": Fault(lambda site, node: site.network.cut(node)),
    "black-hole": Fault(lambda site, node: site.network.black_hole(), (2.0, 25.0)),
    "black-hole-one": Fault(lambda site, node: site.network.black_hole(node)),
    "acknowledgements-dropped": Fault(lambda site, node: site.network.acknowledgements_dropped()),
    "flapping": Fault(lambda site, node: site.network.flapping(seed=node)),
    "slow": Fault(lambda site, node: site.network.slow(rate=_SLOW, delay=0.05)),
    "kill-program": Fault(_program_killed, (0.0, 1.0)),
    "kill-program-in-an-outage": Fault(_program_killed_in_an_outage, (2.0, 10.0)),
    "restart-program": Fault(_program_restarted, (0.0, 1.0)),
    "pause-program": Fault(_program_paused, (2.0, 20.0)),
    "clock-an-hour-ahead": Fault(_clock(_HOUR), (2.0, 5.0)),
    "clock-an-hour-back": Fault(_clock(-_HOUR), (2.0, 5.0)),
}
"""Every fault by its name."""
