"""For tests of replays: letters to start from, and senders that stand in for a publisher."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tidings.errors import DeliveryError
from tidings.kafka.client import KafkaClient
from tidings.letters.letter import DeadLetter, Pair
from tidings.settings import Settings
from tidings.states import Receipt, State

_WAIT = 60.0


def letter(number: int, topic: str = "orders", **more: Any) -> DeadLetter:
    """The letter of event ``e-<number>``, in the form a publisher writes."""
    headers: list[Pair] = [("event_id", b"e-%d" % number), ("event_type", b"order.placed"), ("raw", b"\xff")]
    plain: dict[str, Any] = {
        "event_id": f"e-{number}",
        "attempts": 3,
        "error_code": "MSG_SIZE_TOO_LARGE",
        "reason": "Broker: Message size too large",
        "certainty": "not_delivered",
        "client_id": "shop",
        "first_attempt_ms": time.time_ns() // 1_000_000,
        "last_attempt_ms": time.time_ns() // 1_000_000,
        "headers": headers,
        "value": b'{"n": %d}' % number,
        "key": b"k-%d" % (number % 10),
    }
    fields = {**plain, **more}
    value, key, headers = fields.pop("value"), fields.pop("key"), fields.pop("headers")
    return DeadLetter.of_record(topic, value, key, headers, **fields)


class Answer:
    """A delivery whose end is given, now or later."""

    def __init__(self, topic: str, event_id: str | None) -> None:
        self.topic, self.event_id = topic, event_id
        self.state = State.ACCEPTED
        self.error: str | None = None
        self.place = (-1, -1)
        self._ended = threading.Event()

    def end(self, state: State, error: str | None = None, place: tuple[int, int] = (-1, -1)) -> None:
        self.state, self.error, self.place = state, error, place
        self._ended.set()

    def wait(self, timeout: float | None = None) -> Receipt:
        if not self._ended.wait(timeout):
            raise TimeoutError
        if self.error is not None:
            raise DeliveryError(
                f"not delivered: {self.error}",
                kafka_error=self.error,
                certainty="not_delivered",
                attempts=1,
                letter_id="new-letter" if self.state is State.DEAD_LETTERED else None,
            )
        event_id = self.event_id or ""
        partition, offset = self.place
        return Receipt(
            state=self.state, event_id=event_id, topic=self.topic, partition=partition, offset=offset
        )


class MemorySender:
    """Keeps what is sent; ``respond`` decides how each ends (by default: delivered)."""

    def __init__(self, respond: Callable[[Answer], object] | None = None) -> None:
        self.sent: list[tuple[str, bytes | None, bytes | None, list[Pair], str | None, int | None]] = []
        self.respond = respond or (lambda answer: answer.end(State.DELIVERED, place=(0, len(self.sent))))
        self.flushed = True
        self.refusals: list[Exception] = []

    def _replay(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: str | None,
        partition: int | None = None,
    ) -> Answer:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append((topic, value, key, headers, event_id, partition))
        answer = Answer(topic, event_id)
        self.respond(answer)
        return answer

    def flush(self, timeout: float | None = None) -> bool:
        return self.flushed

    @property
    def event_ids(self) -> list[str | None]:
        """The ids of what was sent, in order."""
        return [each[4] for each in self.sent]


class KafkaSender:
    """Sends to Kafka with a client of its own; a thread serves its reports."""

    def __init__(self, brokers: str) -> None:
        self._client = KafkaClient(Settings(brokers=brokers), logging.getLogger("tidings.test.sender"))
        self._open = True
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._open:
            self._client.poll(0.05)

    def _replay(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: list[Pair],
        event_id: str | None,
        partition: int | None = None,
    ) -> Answer:
        answer = Answer(topic, event_id)

        def report(fault: Any, record: Any) -> None:
            if fault is None:
                answer.end(State.DELIVERED, place=(record.partition(), record.offset()))
            else:
                answer.end(State.LOST, fault.name())

        at = -1 if partition is None else partition
        self._client.produce(topic, value, key, at, report, None, 0, headers)
        return answer

    def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None) -> None:
        """Send one record and wait for it."""
        assert self._replay(topic, value, key, [], None, partition).wait(_WAIT).state is State.DELIVERED

    def flush(self, timeout: float | None = None) -> bool:
        return self._client.flush(_WAIT if timeout is None else timeout) == 0

    def close(self) -> None:
        self._client.flush(_WAIT)
        self._open = False
        self._thread.join(_WAIT)
        self._client.close()
