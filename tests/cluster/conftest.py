"""One cluster for each file of fault tests, with a network before it that can be broken, and trials on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tidings.testing import RealKafka
from tidings.testing.errors import RealKafkaUnavailable
from tidings.testing.faults import Proxies, Trial, Verdict

RATE = 600
"""Events a second, while a fault lasts and after it."""

_CONFIG = {
    "auto.create.topics.enable": "false",  # a topic that is unknown stays so
    "connections.max.reauth.ms": "3000",  # a password that was changed is asked for again
}
MakeTrial = Callable[..., Trial]


Kept = Callable[[Verdict], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RealKafka]:
    """Three nodes; a topic has three copies, and takes events while two of them are in sync."""
    try:
        kafka = RealKafka(3, fronted=True, config=_CONFIG).start()
    except RealKafkaUnavailable as error:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            raise
        pytest.skip(f"real Kafka cannot be had: {error}")
    with kafka:
        yield kafka


@pytest.fixture(scope="module")
def network(cluster: RealKafka) -> Iterator[Proxies]:
    with Proxies.before(cluster) as proxies:
        yield proxies


@pytest.fixture
def make_trial(cluster: RealKafka, network: Proxies, tmp_path: Path) -> Iterator[MakeTrial]:
    """Trials in spill mode, the default; ``KAFKA_*`` variables as a mapping, Load's options by name."""
    with ExitStack() as trials:

        def make(env: dict[str, str] | None = None, **load: Any) -> Trial:
            trial = Trial(cluster, network, tmp_path, env, **{"rate": RATE, **load})
            return trials.enter_context(trial)

        yield make
    network.heal()
    cluster.heal()


@pytest.fixture
def trial(make_trial: MakeTrial) -> Trial:
    """A trial with every setting at its default."""
    return make_trial()


@pytest.fixture
def kept() -> Kept:
    """Checks the promise, and that there was load enough to keep it for."""

    def check(verdict: Verdict) -> None:
        assert verdict.missing == 0, verdict
        assert verdict.false_delivered == 0, verdict
        assert verdict.unequal == {}, verdict
        assert verdict.ok, verdict
        assert verdict.accepted + verdict.refused >= 10 * RATE, verdict

    return check
