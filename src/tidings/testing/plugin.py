"""The pytest plugin: brokers and a publisher as fixtures.

Every pytest run loads it, so it imports nothing to speak of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tidings import Publisher
    from tidings.testing.embedded import EmbeddedBroker
    from tidings.testing.kafkaadmin import ExistingKafka
    from tidings.testing.memory import InMemoryRecord, InMemoryTransport
    from tidings.testing.realkafka import RealKafka

pytest.register_assert_rewrite(
    "tidings.testing.contract",
    "tidings.testing.consumer_contract",
    "tidings.testing.consumer_offsets",
    "tidings.testing.consumer_suite",
    "tidings.testing.repository_contract",
)

_MISSING = "real Kafka cannot be had"
_OTHER = "KAFKA_TEST_BROKERS names a Kafka that tests may not break"
_started = pytest.StashKey[list["RealKafka"]]()


@pytest.fixture
def tidings_transport() -> InMemoryTransport:
    """What ``tidings_publisher`` publishes to: its ``records``, ``down()``, ``up()``, ``fail()``."""
    from tidings.testing.memory import InMemoryTransport  # noqa: PLC0415

    return InMemoryTransport()


@pytest.fixture
def tidings_publisher(tidings_transport: InMemoryTransport) -> Iterator[Publisher]:
    """A publisher in memory, closed after the test; the test fails if its books do not balance then."""
    from tidings import Publisher  # noqa: PLC0415

    with Publisher(transport=tidings_transport) as publisher:
        yield publisher
    stats, audit = publisher.stats(), publisher.audit()
    if stats != audit or stats.in_flight or not stats.balanced:
        pytest.fail(f"the publisher's books do not balance: {stats}, counted one by one: {audit}")


@pytest.fixture
def tidings_records(tidings_transport: InMemoryTransport) -> list[InMemoryRecord]:
    """The records ``tidings_publisher`` has delivered, in order; it grows as the test goes on."""
    return tidings_transport.records


@pytest.fixture
def tidings_embedded_broker() -> Iterator[EmbeddedBroker]:
    """A fresh embedded broker for each test, in a process of its own; it takes 0.1 s."""
    from tidings.testing.embedded import EmbeddedBroker  # noqa: PLC0415

    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def tidings_real_kafka(request: pytest.FixtureRequest) -> RealKafka | ExistingKafka:
    """One node of Apache Kafka for the session, or the Kafka that ``KAFKA_TEST_BROKERS=host:port`` names.

    Where neither can be had the test is skipped, and said so in the summary; with CI=true it fails.
    """
    if servers := os.environ.get("KAFKA_TEST_BROKERS"):
        from tidings.testing.kafkaadmin import ExistingKafka  # noqa: PLC0415

        return ExistingKafka(servers)
    kafka: RealKafka = request.getfixturevalue("tidings_own_kafka")
    return kafka


@pytest.fixture(scope="session")
def tidings_own_kafka(request: pytest.FixtureRequest) -> Iterator[RealKafka]:
    """The same one node, for tests of its secure listeners and of its death: started here, never somebody
    else's.

    A node that a test has killed or paused runs again before the next one. Skipped with KAFKA_TEST_BROKERS.
    """
    if os.environ.get("KAFKA_TEST_BROKERS"):
        pytest.skip(_OTHER)
    yield from _run(request.config, nodes=1)


@pytest.fixture(scope="session")
def tidings_real_cluster(request: pytest.FixtureRequest) -> Iterator[RealKafka]:
    """Three nodes of Apache Kafka for the session; what a test has killed or paused runs again before the
    next one.

    Always started here, whatever KAFKA_TEST_BROKERS says. Where it cannot be had the test is skipped, and
    said so in the summary; with CI=true it fails.
    """
    yield from _run(request.config, nodes=3)


def _run(config: pytest.Config, nodes: int) -> Iterator[RealKafka]:
    try:
        from tidings.testing.errors import RealKafkaUnavailable  # noqa: PLC0415
        from tidings.testing.realkafka import RealKafka  # noqa: PLC0415

        kafka = RealKafka(nodes).start()
    except RealKafkaUnavailable as error:
        reason = f"{_MISSING}: {error}"
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(f"{reason} (a failure, not a skip, because CI is set)", pytrace=False)
        pytest.skip(reason)
    running = config.stash.setdefault(_started, [])
    running.append(kafka)
    with kafka:
        yield kafka
    running.remove(kafka)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Make whole again what the test has broken, so that the next one finds a Kafka that works."""
    for kafka in item.config.stash.get(_started, []):
        kafka.heal()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for want of a real Kafka: without -rs, pytest gives no reasons."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = [str(where[2]) if isinstance(where, tuple | list) else str(where) for where in skipped]
    missing = [reason[reason.index(_MISSING) :] for reason in reasons if _MISSING in reason]
    if missing:
        line = f"tidings: {len(missing)} tests skipped, {missing[0]}"
        terminalreporter.write_line(line, yellow=True, bold=True)
