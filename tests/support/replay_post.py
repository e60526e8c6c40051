"""A dead-letter topic on real Kafka, and replays of it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from support.kafka_reader import read_topic
from support.replaying import KafkaSender, letter
from tidings.kafka.dead_letters import DeadLetterTopic
from tidings.letters.replay import Replay
from tidings.letters.replay_report import ReplayReport
from tidings.settings import Settings
from tidings.testing import RealKafka
from tidings.testing.contract import unique_topic
from tidings.testing.memory import InMemoryRecord

_WAIT = 60.0


class Post:
    """A dead-letter topic and the topic its letters are from."""

    def __init__(self, kafka: RealKafka, sender: KafkaSender) -> None:
        self.brokers = kafka.bootstrap_servers
        self.settings = Settings(brokers=self.brokers)
        self.sender = sender
        self.orders, self.dlq = unique_topic(), unique_topic()
        kafka.create_topic(self.orders, 4)
        kafka.create_topic(self.dlq, 4)

    def letters(self, *numbers: int, partition: int | None = None, **more: Any) -> None:
        """Write letters as a publisher does: with the event's key."""
        waiting = []
        for number in numbers:
            it = letter(number, self.orders, **more)
            waiting.append(self.sender._replay(self.dlq, it.encode(), it.key, [], None, partition))
        for each in waiting:
            each.wait(_WAIT)

    def replay(self, **options: Any) -> Replay:
        source = DeadLetterTopic(self.settings, self.dlq)
        return Replay(source=source, publisher=self.sender, **options)

    def run(self, **options: Any) -> ReplayReport:
        return self.replay(**options).run()

    def replayed(self, count: int) -> list[InMemoryRecord]:
        return read_topic(self.brokers, self.orders, count)

    def ids(self, count: int) -> Counter[bytes | None]:
        return Counter(dict(record.headers)["event_id"] for record in self.replayed(count))

    def notes(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(it.value or b"") for it in read_topic(self.brokers, f"{self.dlq}.replays", count)]

    def committed(self, name: str = "default") -> dict[int, int]:
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"tidings-replay-{name}"})
        asked = [TopicPartition(self.dlq, partition) for partition in range(4)]
        found = {each.partition: each.offset for each in consumer.committed(asked, timeout=_WAIT)}
        consumer.close()
        return {partition: offset for partition, offset in found.items() if offset >= 0}

    def topics(self) -> set[str]:
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": "looks-around"})
        found = set(consumer.list_topics(timeout=_WAIT).topics)
        consumer.close()
        return found
