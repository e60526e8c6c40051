"""The Consumer on the embedded broker: from start to close, in threads and on a loop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.books import LONG
from support.events import OrderPlaced, registry
from support.processes import wait_until
from tidings import ConfigError, ConsumeError, Consumer, DeadLetter, Manager, Message, Publisher, Stop
from tidings.testing import EmbeddedBroker
from tidings.testing.contract import unique_topic
from tidings.testing.memory import InMemoryTransport

QUICK: dict[str, Any] = {"group_protocol": "consumer", "client_config": {"fetch.wait.max.ms": 5}}


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topic(broker: EmbeddedBroker) -> str:
    name = unique_topic()
    broker.create_topic(name, 2)
    return name


def publish(broker: EmbeddedBroker, topic: str, count: int, **settings: Any) -> None:
    with Publisher(
        brokers=broker.bootstrap_servers, registry=registry, durability="memory", **settings
    ) as publisher:
        for number in range(count):
            publisher.publish(OrderPlaced(f"o-{number % 5}", number), topic=topic)
        assert publisher.flush(LONG)


def make(broker: EmbeddedBroker, topics: Any, group: str | None = None, **settings: Any) -> Consumer:
    return Consumer(
        brokers=broker.bootstrap_servers,
        topics=topics,
        group_id=group or f"group-{uuid.uuid4()}",
        **{"retry_backoff": 0.001, **QUICK, **settings},
    )


@pytest.mark.parametrize("envelope", ["json", "cloudevents", "cloudevents-binary"])
def test_events_reach_the_handler_and_the_next_consumer_goes_on_behind_them(
    broker: EmbeddedBroker, topic: str, envelope: str
) -> None:
    publish(broker, topic, 20, envelope=envelope)
    group, seen = f"group-{uuid.uuid4()}", list[int]()

    def life() -> None:
        consumer = make(broker, topic, group)

        @consumer.on(OrderPlaced)
        def handle(order: OrderPlaced) -> None:
            seen.append(order.total)

        with consumer:
            assert wait_until(lambda: consumer.stats().handled == 20, LONG)
            assert wait_until(lambda: sum(it.lag or 0 for it in consumer.stats().partitions.values()) == 0)
        report = consumer.close()
        assert (report.handled, report.unfinished, report.left) == (20, 0, True)

    life()
    publish(broker, topic, 20, envelope=envelope)
    life()
    assert sorted(seen) == sorted([*range(20), *range(20)])


def test_letters_are_on_the_dead_letter_topic(broker: EmbeddedBroker, topic: str) -> None:
    from support.kafka_reader import read_topic

    dlq = unique_topic()
    broker.create_topic(dlq, 1)
    publish(broker, topic, 3)
    consumer = make(broker, topic, "group-of-letters", retry_max=1, dlq_topic=dlq)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        if order.total == 1:
            raise RuntimeError("no")

    with consumer:
        assert wait_until(lambda: consumer.stats().dead_lettered == 1)
    (record,) = read_topic(broker.bootstrap_servers, dlq, 1)
    letter = DeadLetter.decode(record.value)
    assert (letter.origin, letter.topic, letter.group) == ("consumer", topic, "group-of-letters")
    assert letter.event_id is not None
    assert ("event_id", letter.event_id.encode()) in record.headers


def test_regular_expressions_and_lists_of_topics(broker: EmbeddedBroker) -> None:
    names = [unique_topic() for _ in range(3)]
    for name in names:
        broker.create_topic(name, 1)
        publish(broker, name, 1)
    consumer = make(broker, [f"^{names[0]}", names[1]], group_protocol="classic")
    topics = set[str]()

    @consumer.on(OrderPlaced)
    def handle(message: Message[OrderPlaced]) -> None:
        topics.add(message.topic)

    with consumer:
        assert wait_until(lambda: len(topics) == 2, LONG)
    assert topics == set(names[:2])


def test_subscribed_topics_need_no_other_word(broker: EmbeddedBroker, topic: str) -> None:
    with Publisher(brokers=broker.bootstrap_servers, durability="memory") as publisher:
        publisher.publish_json(topic, {"plain": True}).wait(LONG)
    consumer = make(broker, None)
    seen: list[Any] = []

    def handle(data: Any) -> None:
        seen.append(data)

    consumer.subscribe(topic, handle)
    with consumer:
        assert wait_until(lambda: seen == [{"plain": True}], LONG)


def test_async_handlers_run_on_the_applications_loop(broker: EmbeddedBroker, topic: str) -> None:
    publish(broker, topic, 10)
    loops = set[object]()

    async def main() -> None:
        consumer = make(broker, topic)

        @consumer.on(OrderPlaced)
        async def handle(order: OrderPlaced) -> None:
            await asyncio.sleep(0)
            loops.add(asyncio.get_running_loop())

        running = asyncio.create_task(consumer.arun())
        while consumer.stats().handled < 10:  # noqa: ASYNC110 - counted by the consumer
            await asyncio.sleep(0.01)
        assert loops == {asyncio.get_running_loop()}
        assert await consumer.ahealth()
        report = await consumer.aclose()
        assert await running == report
        assert (report.handled, report.left) == (10, True)
        assert not (await consumer.ahealth()).ready

    asyncio.run(main())


def test_async_with_and_a_cancelled_run_close_it(broker: EmbeddedBroker, topic: str) -> None:
    async def main() -> None:
        first, second = make(broker, topic), make(broker, topic)

        async def handle(order: OrderPlaced) -> None: ...

        first.on(OrderPlaced)(handle)
        second.on(OrderPlaced)(handle)
        async with first:
            assert first.stats().is_running
        assert first.stats().is_closed
        running = asyncio.create_task(second.arun())
        while not second.stats().is_running:  # noqa: ASYNC110 - said by its threads
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert second.stats().is_closed

    asyncio.run(main())


def test_run_ends_by_stop_and_off_the_main_thread_touches_no_signal(
    broker: EmbeddedBroker, topic: str
) -> None:
    publish(broker, topic, 1)
    before = signal.getsignal(signal.SIGTERM)
    handlers: list[Any] = []
    consumer = make(broker, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        raise Stop

    reports: list[Any] = []
    thread = threading.Thread(target=lambda: reports.append(consumer.run()))
    thread.start()
    thread.join(LONG)
    assert handlers == [before]
    assert (reports[0].handled, reports[0].unfinished) == (0, 1)
    assert consumer.health().cause == "closed"
    assert "raised Stop" in consumer.health().message


def test_close_in_a_handler_only_begins_the_end(broker: EmbeddedBroker, topic: str) -> None:
    publish(broker, topic, 1)
    consumer = make(broker, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None:
        assert consumer.close().left is False

    report = consumer.run()
    assert (report.handled, report.left) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("form", ["run", "arun"])
def test_a_signal_lets_it_finish_commit_and_leave(
    broker: EmbeddedBroker, topic: str, number: signal.Signals, form: str, tmp_path: Path
) -> None:
    publish(broker, topic, 5)
    group = f"group-{uuid.uuid4()}"
    program = Path(__file__).parent / "programs" / "runs.py"
    options = [broker.bootstrap_servers, topic, group, form]
    with subprocess.Popen(
        [sys.executable, str(program), *options],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "XDG_STATE_HOME": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in hand\n"
        process.send_signal(number)
        output = process.stdout.read()
        assert process.wait(LONG) == 0
    assert output.splitlines() == ["finished", "handled=5 unfinished=0 left=True", "handlers are as before"]


def test_seeking_reads_again_from_there(broker: EmbeddedBroker, topic: str) -> None:
    publish(broker, topic, 10)
    consumer = make(broker, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    with pytest.raises(ConsumeError, match="not started"):
        consumer.seek(topic, 0, 0)
    with consumer:
        assert wait_until(lambda: consumer.stats().handled == 10, LONG)
        consumer.seek(topic, 0, 0)
        consumer.seek(topic, 1, 0)
        assert wait_until(lambda: consumer.stats().handled == 20, LONG)
        with pytest.raises(ConsumeError, match="not assigned"):
            consumer.seek(topic, 99, 0)


def test_one_life_and_no_handler_after_the_start(broker: EmbeddedBroker, topic: str) -> None:
    consumer = make(broker, topic)
    assert consumer.health().cause == "not_started"

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    with consumer:

        def late(data: dict[str, Any]) -> None: ...

        with pytest.raises(ConfigError, match="too late"):
            consumer.on("another.type")(late)
        with pytest.raises(ConfigError, match="started before"):
            consumer.start()
    with pytest.raises(ConfigError, match="started before"):
        consumer.start()
    assert consumer.close() == consumer.close()


def test_closed_before_its_start_it_never_starts() -> None:
    consumer = Consumer(transport=InMemoryTransport(), topics="orders", group_id="g")
    consumer.subscribe("orders", lambda_of_a_dict)
    assert consumer.close() == consumer.close()
    assert consumer.stats().is_closed
    assert consumer.health().cause == "closed"
    for begin in (consumer.start, consumer.run, lambda: asyncio.run(consumer.arun()), consumer.__enter__):
        with pytest.raises(ConfigError, match=r"closed before\. Make a new one"):
            begin()
    assert not consumer.stats().is_running
    with (
        Publisher(transport=InMemoryTransport()) as publisher,
        pytest.raises(ConfigError, match="is closed: make a new one"),
    ):
        Manager(publisher=publisher).register(consumer)


@pytest.mark.parametrize("raw", [{"no.such.property": "hunter2"}, {"check.crcs": "hunter2"}])
def test_what_librdkafka_does_not_take_is_an_error_without_its_value(raw: dict[str, Any]) -> None:
    consumer = Consumer(brokers="localhost:1", topics="orders", group_id="g", client_config=raw)
    consumer.subscribe("orders", lambda_of_a_dict)
    with pytest.raises(ConfigError, match=f"CLIENT_CONFIG.*{next(iter(raw))}") as raised:
        consumer.start()
    assert "hunter2" not in str(raised.value)
    assert consumer.health().cause == "not_started"


def test_health_names_a_topic_that_does_not_exist_and_a_kafka_that_is_away() -> None:
    with EmbeddedBroker(topics={"orders": 1}) as broker:
        broker.fail_topic("missing", "UNKNOWN_TOPIC_OR_PART")
        consumer = make(broker, "missing", group_protocol="classic")

        @consumer.on(OrderPlaced)
        def handle(order: OrderPlaced) -> None: ...

        with consumer:
            assert wait_until(lambda: consumer.health().cause == "cannot_read", LONG)
            assert "missing" in consumer.health().message
        other = make(broker, "orders")
        other.on(OrderPlaced)(handle)
        with other:
            assert wait_until(lambda: bool(other.stats().partitions), LONG)
            assert other.health()
            broker.down()
            assert wait_until(lambda: other.health(1).cause == "refused", LONG)
            broker.up()
            assert wait_until(lambda: other.health(1).ok, LONG)


def test_it_starts_without_kafka_and_reads_when_it_is_there(broker: EmbeddedBroker, topic: str) -> None:
    publish(broker, topic, 3)
    consumer = make(broker, topic)

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    broker.down()
    try:
        consumer.start()
    finally:
        broker.up()
    assert wait_until(lambda: consumer.stats().handled == 3, LONG)
    consumer.close()


def test_disabled_it_lives_as_ever_and_consumes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_ENABLED", "false")
    consumer = Consumer(topics="orders", group_id="group")

    @consumer.on(OrderPlaced)
    def handle(order: OrderPlaced) -> None: ...

    with consumer:
        assert consumer.health().ok
        assert consumer.health().cause == "disabled"
        closer = threading.Timer(0.2, consumer.close)
        closer.start()
        assert consumer._begun().join(LONG)
    assert consumer.close().left


def test_closing_twice_at_once_is_closing_once() -> None:
    consumer = Consumer(topics="orders", group_id="group", enabled=False)
    consumer.subscribe("orders", lambda_of_a_dict)
    consumer.start()
    engine = consumer._begun()
    threads = [threading.Thread(target=engine.stop, args=(timeout,)) for timeout in (1, 2, 3)]
    for thread in threads:
        thread.start()
    assert engine.join(LONG)
    for thread in threads:
        thread.join()
    assert engine.is_closed


def lambda_of_a_dict(data: dict[str, Any]) -> None: ...


def test_what_kafka_complained_of_is_over_when_records_of_that_topic_come() -> None:
    transport = InMemoryTransport()
    consumer = Consumer(topics=["orders", "bills"], group_id="group", transport=transport)
    consumer.subscribe("orders", lambda_of_a_dict)
    with (
        Publisher(transport=transport, durability="memory", service="tests") as publisher,
        consumer,
    ):
        publisher.publish_json("orders", {}).wait(LONG)
        assert wait_until(lambda: consumer.stats().handled == 1, LONG)
        engine = consumer._begun()
        for words, is_over in (
            ("TOPIC_AUTHORIZATION_FAILED: bills: denied", False),
            ("TOPIC_AUTHORIZATION_FAILED: orders: denied", True),
            ("GROUP_AUTHORIZATION_FAILED: denied", True),
        ):
            handled = consumer.stats().handled
            engine._on_word(words, True)
            assert consumer.health().cause == "cannot_read"
            publisher.publish_json("orders", {}).wait(LONG)
            assert wait_until(lambda handled=handled: consumer.stats().handled > handled, LONG)  # type: ignore[misc]
            assert consumer.health().ok is is_over


def test_a_sync_handler_beside_async_ones_may_close_the_consumer() -> None:
    transport = InMemoryTransport()
    consumer = Consumer(topics="orders", group_id="group", transport=transport)

    @consumer.on("a.noted")
    async def note(data: dict[str, Any]) -> None: ...

    @consumer.on("a.ended")
    def end(data: dict[str, Any]) -> None:
        consumer.close(LONG)

    with Publisher(transport=transport, durability="memory", service="tests") as publisher:
        consumer.start()
        publisher.publish({}, event_type="a.ended", topic="orders").wait(LONG)
        assert consumer._begun().join(LONG)
    assert consumer.close().unfinished == 0
    assert sum(transport.committed("group").values()) == 1
