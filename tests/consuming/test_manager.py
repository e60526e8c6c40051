"""The Manager on embedded brokers: consumers that run, fail, live again, stop and close side by side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced, registry
from support.processes import wait_until
from tidings import ConfigError, Consumer, HealthStatus, Manager, Publisher, PublisherClosed, Stop
from tidings.consuming.states import ManagerReport
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic

QUICK: dict[str, Any] = {
    "group_protocol": "consumer",
    "client_config": {"fetch.wait.max.ms": 5},
    "durability": "memory",
}


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedBroker]:
    """A broker of its own for the consumer that is to fail."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic(broker: EmbeddedBroker, fragile: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name, 2)
    fragile.create_topic(name, 2)
    return name


@pytest.fixture
def make(broker: EmbeddedBroker) -> Iterator[Callable[..., Manager]]:
    made: list[Manager] = []

    def manager(**options: Any) -> Manager:
        given = {"brokers": broker.bootstrap_servers, "registry": registry, **QUICK, **options}
        made.append(Manager(**given))
        return made[-1]

    yield manager
    for each in made:
        each.close(5)


def counting(consumer: Consumer) -> list[int]:
    seen: list[int] = []

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        seen.append(order.total)

    return seen


def publish(broker: EmbeddedBroker, topic: str, *totals: int) -> None:
    with Publisher(brokers=broker.bootstrap_servers, registry=registry, durability="memory") as publisher:
        for total in totals:
            publisher.publish(OrderPlaced("o", total), topic=topic)
        assert publisher.flush(LONG)


def fence(broker: EmbeddedBroker) -> None:
    """The next heartbeat is answered so that librdkafka's consumer fails for good."""
    broker.fail("ConsumerGroupHeartbeat", "FENCED_INSTANCE_ID", times=1)


def test_one_publisher_and_two_consumers_from_start_to_close(
    make: Callable[..., Manager], broker: EmbeddedBroker, topic: str
) -> None:
    manager = make()
    copies = unique_topic()
    broker.create_topic(copies, 1)
    first, second = manager.consumer(topic, "first"), manager.consumer(copies, "second", name="copies")
    seen = counting(second)

    @first.on(OrderPlaced)
    def copy(order: OrderPlaced) -> None:
        manager.publisher.publish(OrderPlaced("copy", order.total + 100), topic=copies)

    assert manager.health().cause == "not_started"
    with manager:
        manager.publisher.publish(OrderPlaced("o", 1), topic=topic)
        assert wait_until(lambda: seen == [101], LONG)
        assert wait_until(lambda: manager.stats()["copies"].handled == 1)
        assert {name: health.status for name, health in manager.health_of_each().items()} == dict.fromkeys(
            ("publisher", "first", "copies"), HealthStatus.HEALTHY
        )
        assert manager.health()
    report = manager.close()
    assert all(it.left for it in report.consumers.values())
    assert {name: it.handled for name, it in report.consumers.items()} == {"first": 1, "copies": 1}
    assert report.publisher is not None
    assert report.publisher.delivered == 2
    assert manager.health().status is HealthStatus.UNHEALTHY
    with pytest.raises(PublisherClosed):
        manager.publisher.publish(OrderPlaced("o", 2), topic=topic)


def test_a_given_publisher_stays_open(broker: EmbeddedBroker, topic: str) -> None:
    with Publisher(brokers=broker.bootstrap_servers, registry=registry, **QUICK) as publisher:
        manager = Manager(publisher=publisher)
        seen = counting(manager.consumer(topic, "g"))
        with manager:
            publisher.publish(OrderPlaced("o", 7), topic=topic)
            assert wait_until(lambda: seen == [7], LONG)
        assert manager.close().publisher is None
        publisher.publish(OrderPlaced("o", 8), topic=topic).wait(LONG)


def test_a_consumer_that_failed_for_good_lives_again_and_the_other_goes_on(
    make: Callable[..., Manager],
    broker: EmbeddedBroker,
    fragile: EmbeddedBroker,
    topic: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = make()
    weak = manager.consumer(topic, "weak", brokers=fragile.bootstrap_servers)
    seen, loops = counting(manager.consumer(topic, "strong")), set[object]()
    taken: list[int] = []

    @weak.on(OrderPlaced)
    async def handle(order: OrderPlaced) -> None:
        loops.add(asyncio.get_running_loop())
        taken.append(order.total)

    def story() -> None:
        publish(fragile, topic, 1)
        assert wait_until(lambda: taken == [1] and weak.stats().handled == 1, LONG)
        fence(fragile)
        assert wait_until(lambda: manager.health(1).cause in {"failed", "restarting"}, LONG)
        assert wait_until(lambda: manager.health_of_each(1)["weak"].cause == "restarting", LONG)
        assert manager.health_of_each()["strong"]
        assert "weak: restarting: It failed" in manager.health().message
        publish(broker, topic, 10)
        assert wait_until(lambda: seen == [10], LONG)
        publish(fragile, topic, 2)
        assert wait_until(lambda: 2 in taken, LONG)
        # the first comes twice where the client failed before its offset was committed
        assert wait_until(lambda: manager.stats()["weak"].handled == len(taken))
        assert weak.stats().handled == len(taken) - 1  # of this life
        assert manager.stats()["weak"].restarts == 1
        health = manager.health()
        assert (health.status, health.cause) == (HealthStatus.DEGRADED, "restarted")

    async def main() -> None:
        async with manager:
            await asyncio.to_thread(story)
        assert loops == {asyncio.get_running_loop()}

    asyncio.run(main())
    assert manager.close().consumers["weak"].handled == len(taken)
    assert "Consumer 'weak' failed, and is started again in" in caplog.text


def test_a_factory_makes_the_consumer_of_each_life(
    make: Callable[..., Manager], fragile: EmbeddedBroker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.consuming.restarts.SHORTEST", 0.1)
    monkeypatch.setattr("tidings.consuming.restarts.LONGEST", 0.1)
    seen: list[int] = []
    made: list[Consumer] = []

    def consumer() -> Consumer:
        if len(made) == 1:
            made.append(made[0])
            raise RuntimeError("not this time")
        made.append(Consumer(brokers=fragile.bootstrap_servers, topics=topic, group_id="made", **QUICK))
        number = len(made)

        @made[-1].on(OrderPlaced)
        def handle(order: OrderPlaced) -> None:
            seen.append(number)

        return made[-1]

    manager = make()
    assert manager.register(consumer) == "made"
    with manager:
        assert wait_until(lambda: bool(made[0].stats().partitions), LONG)
        fence(fragile)
        assert wait_until(lambda: manager.stats()["made"].restarts == 2, LONG)
        publish(fragile, topic, 1)
        assert wait_until(lambda: seen == [3], LONG)
        assert manager.consumers["made"] is made[2]


def test_stop_is_no_failure_and_run_ends_when_all_have_stopped(
    make: Callable[..., Manager], broker: EmbeddedBroker, topic: str
) -> None:
    manager = make()
    seen: list[int] = []

    def stops_at(total: int) -> Callable[[Any], None]:
        def handle(order: OrderPlaced) -> None:
            if order.total == total:
                raise Stop
            seen.append(order.total)

        return handle

    for total in (1, 2):
        manager.consumer(topic, f"stops-at-{total}").on(OrderPlaced)(stops_at(total))
    reports: list[ManagerReport] = []
    thread = threading.Thread(target=lambda: reports.append(manager.run()))
    thread.start()
    publish(broker, topic, 1)
    assert wait_until(lambda: manager.health_of_each()["stops-at-1"].cause == "stopped", LONG)
    assert "raised Stop" in manager.health().message
    assert manager.health().status is HealthStatus.DEGRADED
    publish(broker, topic, 0, 2)
    thread.join(LONG)
    assert seen == [1, 0]
    assert all(it.left and it.unfinished for it in reports[0].consumers.values())
    assert all(it.restarts == 0 for it in manager.stats().values())
    assert manager.publisher.stats().is_closed


def test_a_consumer_that_its_owner_closed_is_not_started_again(
    make: Callable[..., Manager], topic: str
) -> None:
    manager = make()
    first, second = manager.consumer(topic, "first"), manager.consumer(topic, "second")
    counting(first)
    counting(second)
    with manager:
        first.close()
        assert wait_until(lambda: manager.health_of_each()["first"].cause == "stopped", LONG)
        assert manager.health_of_each()["second"]


def test_arun_ends_by_aclose_and_by_being_cancelled(make: Callable[..., Manager], topic: str) -> None:
    async def main() -> None:
        for is_cancelled in (False, True):
            manager = make()
            loops: list[object] = []
            consumer = manager.consumer(topic, f"group-{is_cancelled}")

            @consumer.on(OrderPlaced)
            async def handle(order: OrderPlaced, loops: list[object] = loops) -> None:
                loops.append(asyncio.get_running_loop())

            running = asyncio.create_task(manager.arun())
            await manager.publisher.publish(OrderPlaced("o", 1), topic=topic)
            while not loops:  # noqa: ASYNC110 - filled by a handler
                await asyncio.sleep(0.01)
            assert set(loops) == {asyncio.get_running_loop()}
            assert await manager.ahealth()
            if is_cancelled:
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                assert "group-True" in (await manager.aclose()).consumers
            else:
                report = await manager.aclose()
                assert await running is report
            assert manager.publisher.stats().is_closed

    asyncio.run(main())


def test_closing_is_bounded_and_the_publisher_gets_its_share(
    make: Callable[..., Manager], broker: EmbeddedBroker, topic: str
) -> None:
    manager = make()
    release, in_hand = threading.Event(), threading.Semaphore(0)
    for number in range(4):

        @manager.consumer(topic, f"hangs-{number}").on(OrderPlaced)
        def handle(order: OrderPlaced) -> None:
            in_hand.release()
            release.wait(LONG)

    manager.start_all_consumers()
    try:
        manager.publisher.publish(OrderPlaced("o", 1), topic=topic).wait(LONG)
        for _ in range(4):
            assert in_hand.acquire(timeout=LONG)
        manager.publisher.publish_json(topic, {"after": True})
        report = manager.close(1)
        assert not release.is_set()
        assert all(it.unfinished for it in report.consumers.values())
        assert report.publisher is not None
        assert (report.publisher.delivered, report.publisher.lost) == (2, 0)
        assert manager.close() is report
    finally:
        release.set()


def test_close_in_a_handler_only_begins_the_end(make: Callable[..., Manager], topic: str) -> None:
    manager = make()
    reports: list[ManagerReport] = []
    consumer = manager.consumer(topic, "g")
    counting(manager.consumer(topic, "other"))

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        reports.append(manager.close())

    manager.publisher.publish(OrderPlaced("o", 1), topic=topic)
    assert all(it.left for it in manager.run().consumers.values())
    assert reports[0].publisher is None
    assert not reports[0].consumers["g"].left


def test_health_names_a_kafka_that_is_away(make: Callable[..., Manager], topic: str) -> None:
    with EmbeddedBroker() as other:
        manager = make(brokers=other.bootstrap_servers)
        counting(manager.consumer(topic, "g"))
        with manager:
            assert wait_until(lambda: manager.health().ok, LONG)
            other.down()
            assert wait_until(lambda: not manager.health_of_each(1)["g"], LONG)
            health = manager.health(1)
            assert not health.ready
            assert "publisher: refused" in health.message
            assert "g: " in health.message


def test_mistakes_are_told_at_once(make: Callable[..., Manager], topic: str) -> None:
    manager = make()
    with pytest.raises(ConfigError, match="no consumer"):
        manager.start_all_consumers()
    consumer = manager.consumer(topic, "g", group_instance_id="i")
    for name in ("g", "publisher"):
        with pytest.raises(ConfigError, match="is taken"):
            manager.consumer(topic, "g", name=name)
    with pytest.raises(ConfigError, match="registered already"):
        manager.register(consumer, "again")
    with pytest.raises(ConfigError, match="throw each other out"):
        manager.consumer(topic, "g", group_instance_id="i", name="twin")
    for wrong in (lambda: 1, 5, None):
        with pytest.raises(ConfigError, match="or a callable that makes one"):
            manager.register(wrong)  # type: ignore[arg-type]
    other = Consumer(manager._settings, topics=topic, group_id="x")
    counting(other)
    with other, pytest.raises(ConfigError, match="by itself"):
        manager.register(other)
    assert list(manager.consumers) == ["g"]

    counting(consumer)
    second = manager.consumer(topic, "g")
    assert list(manager.consumers) == ["g", "g-2"]
    with pytest.raises(ConfigError, match="no handler"):
        manager.start_all_consumers()
    assert wait_until(lambda: consumer.stats().is_closed, LONG)
    assert not second.stats().is_running


def test_one_life(make: Callable[..., Manager], topic: str) -> None:
    manager = make()
    counting(manager.consumer(topic, "g"))
    with manager:
        with pytest.raises(ConfigError, match="started or closed before"):
            manager.start_all_consumers()
        with pytest.raises(ConfigError, match="has started"):
            manager.consumer(topic, "late")
    never = make()
    assert never.close() is never.close()
    with pytest.raises(ConfigError, match="has started"):
        never.consumer(topic, "late")


def test_settings_come_from_the_environment_and_from_yaml(
    broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kafka.yaml"
    file.write_text(f"KAFKA:\n  BROKERS: [{broker.bootstrap_servers}]\n  GROUP_ID: from-yaml\n")
    with_yaml = Manager.from_yaml(file)
    assert with_yaml.consumer("orders").group_id == "from-yaml"
    assert with_yaml.close().publisher
    monkeypatch.setenv("KAFKA_BROKERS", broker.bootstrap_servers)
    with_env = Manager.from_env(group_id="from-override")
    assert with_env.consumer("orders").group_id == "from-override"
    assert with_env.close().publisher
