"""An independent reader: a plain confluent-kafka consumer, no tidings, reads every record of the topics.

Prints one line of JSON for each. At SIGINT it reads on to the end of every partition, and only then ends.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from examples.users_demo.facts import Record, tell
from examples.users_demo.leash import end_with_parent

PATIENCE = 15.0
"""Seconds for finding the topics, and for reading on to the end."""
AWAY = {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT}
"""How the broker's absence shows; the consumer itself goes on trying."""


class Reader:
    """Reads all partitions of some topics, without a group: nothing to join, nothing to commit."""

    def __init__(self, brokers: str, topics: list[str]) -> None:
        self._topics = topics
        self._ending = False
        self._next: dict[tuple[str, int], int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "users-demo-reader",  # required, and not used: assign() and no commits
                "enable.auto.commit": False,
                "reconnect.backoff.max.ms": 1000,
                "fetch.wait.max.ms": 50,
                "log_level": 2,  # that the broker is away is the story, not a complaint
            }
        )

    def end(self, *_: object) -> None:
        """From now on only read on to the end."""
        self._ending = True

    def run(self) -> int:
        """Read until told to end; 0 when the end of every partition was reached."""
        partitions = self._partitions()
        self._consumer.assign(partitions)
        while not self._ending:
            self._read()
        deadline = time.monotonic() + PATIENCE
        ends = {(p.topic, p.partition): self._consumer.get_watermark_offsets(p, 5)[1] for p in partitions}
        while any(self._next.get(place, 0) < end for place, end in ends.items()):
            if time.monotonic() > deadline:
                print(f"not read to the end: at {self._next} of {ends}", file=sys.stderr)
                return 1
            self._read()
        self._consumer.close()
        return 0

    def _partitions(self) -> list[TopicPartition]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            known = self._consumer.list_topics(timeout=5).topics
            if all(topic in known and known[topic].partitions for topic in self._topics):
                return [
                    TopicPartition(topic, number, OFFSET_BEGINNING)
                    for topic in self._topics
                    for number in known[topic].partitions
                ]
            time.sleep(0.1)
        raise TimeoutError(f"no such topics: {', '.join(self._topics)}")

    def _read(self) -> None:
        message: Any = self._consumer.poll(0.1)  # the stubs call every part of a message optional
        if message is None:
            return
        if error := message.error():
            if error.code() not in AWAY:
                raise KafkaException(error)
            return
        place = message.topic(), message.partition()
        tell(
            Record(
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                key=message.key().decode(),
                headers=[(name, value.decode()) for name, value in message.headers()],
                event_id=json.loads(message.value())["event_id"],
            )
        )
        self._next[place] = message.offset() + 1


def main() -> int:
    """Read until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True, help="host:port")
    parser.add_argument("topics", nargs="+", help="the topics to read")
    arguments = parser.parse_args()
    reader = Reader(arguments.brokers, arguments.topics)
    signal.signal(signal.SIGINT, reader.end)
    end_with_parent()
    return reader.run()


if __name__ == "__main__":
    sys.exit(main())
