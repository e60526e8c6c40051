"""A group under watch: topics and a ledger of its own, members in processes of their own, and a load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Producer

from support.books import LONG
from support.consuming import event_value
from support.events import OrderPlaced
from support.ledger import CommitWatch, Kept, Ledger, Place, check_kept
from support.processes import wait_until
from tidings import Consumer, Message
from tidings.testing.contract import unique_topic
from tidings.testing.kafkaadmin import KafkaTopics

_TESTS = Path(__file__).parent.parent
_PROGRAM = _TESTS / "consuming" / "programs" / "keeps_ledger.py"
Work = Callable[[Message[OrderPlaced]], None]
_OWN_TIME = {"message.timestamp.type": "LogAppendTime"}


class Watched:
    """A group whose commits are watched from the beginning to the end of a ``with``.

    ``topic``: one that is there already; default: a new one. With ``results`` the handlers publish, with
    ``dedup`` they leave out what they remember to have handled.
    """

    def __init__(
        self,
        kafka: KafkaTopics,
        directory: Path,
        *,
        topic: str | None = None,
        partitions: int = 4,
        results: bool = False,
        dedup: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.brokers = kafka.bootstrap_servers
        self.topic, self.dlq, self.group = topic or unique_topic(), unique_topic(), f"group-{uuid.uuid4()}"
        self.results = unique_topic() if results else None
        self.settings: dict[str, Any] = {"dlq_topic": self.dlq, "retry_backoff": 0.001, **(settings or {})}
        if topic is None:
            kafka.create_topic(self.topic, partitions)
        for name in filter(None, (self.dlq, self.results)):
            kafka.create_topic(name, 1, config=_OWN_TIME)
        self._directory = directory
        self._seen = str(directory / f"{self.group}.seen") if dedup else None
        self.ledger = Ledger(directory / f"{self.group}.ledger")
        self.watch = CommitWatch(self.brokers, self.topic, self.group, partitions, self.ledger)
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait(LONG)
        self.watch.__exit__(kind, error, tb)

    # -- members

    def start(self, form: str = "sync", **more: Any) -> subprocess.Popen[bytes]:
        """A member in a process of its own; for ``more`` see the program."""
        told = {
            "brokers": self.brokers,
            "topic": self.topic,
            "group": self.group,
            "ledger": str(self.ledger.path),
            "form": form,
            "results": self.results,
            "seen": self._seen,
            **more,
            "settings": {**self.settings, **more.get("settings", {})},
        }
        with (self._directory / f"{self.group}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(_PROGRAM), json.dumps(told)],
                env={**os.environ, "PYTHONPATH": str(_TESTS), "XDG_STATE_HOME": str(self._directory)},
                stderr=log,
            )
        self._processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Have it leave in order."""
        process.send_signal(signal.SIGCONT)
        process.terminate()
        assert process.wait(LONG) == 0, self.log_tail()

    def restarted(
        self, start: Callable[[], subprocess.Popen[bytes]], is_over: Callable[[], bool]
    ) -> list[int]:
        """Start it again whenever it ends, as a supervisor does, until it is over: with what it ended each
        time but the last."""
        codes: list[int] = []
        while True:
            process = start()
            assert wait_until(partial(_has_ended, process, is_over), 2 * LONG), self.log_tail()
            if process.poll() is None:
                self.end(process)
                return codes
            codes.append(process.returncode)
            assert len(codes) < 20, self.log_tail()

    def consumer(self, work: Work, form: str = "sync", **more: Any) -> Consumer:
        """A member in this process, not started, whose handler keeps the ledger around ``work``, which is
        quick."""
        given = {"brokers": self.brokers, "topics": self.topic, "group_id": self.group}
        consumer = Consumer(**{**given, **self.settings, **more})

        def handle(message: Message[OrderPlaced]) -> None:
            self.ledger.begin(message)
            work(message)
            self.ledger.done(message)

        async def handle_async(message: Message[OrderPlaced]) -> None:
            handle(message)

        consumer.on(OrderPlaced)(handle if form == "sync" else handle_async)
        return consumer

    def log_tail(self) -> str:
        """The last that its processes have said."""
        path = self._directory / f"{self.group}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    # -- what came of it

    def has_done(self, places: set[Place]) -> bool:
        """Whether handlers have come to their end with all of these."""
        return places <= self.ledger.done_places()

    def has_done_some(self, process: subprocess.Popen[bytes], some: int = 1) -> bool:
        """Whether handlers of this process have come to their end so often."""
        return self.ledger.done_by(process.pid) >= some

    def is_committed(self, ends: dict[int, int]) -> bool:
        """Whether this is committed, by partition, at this moment."""
        return self.watch.now() == ends

    def lag(self) -> int:
        """How much of the topic is not behind what is committed."""
        return self.watch.lag()

    def check(self, **more: Any) -> Kept:
        """See ``check_kept``."""
        return check_kept(
            self.brokers,
            self.topic,
            self.group,
            self.ledger,
            self.watch.commits,
            dlq=self.dlq,
            results=self.results,
            **more,
        )

    def check_finished(self, **more: Any) -> Kept:
        """The same, and that everything is committed."""
        kept = self.check(**more)
        ends: dict[int, int] = {}
        for partition, offset in sorted(kept.places):
            ends[partition] = offset + 1
        assert wait_until(partial(self.is_committed, ends), LONG), (self.watch.now(), ends)
        return kept


def _has_ended(process: subprocess.Popen[bytes], is_over: Callable[[], bool]) -> bool:
    return process.poll() is not None or is_over()


class Load:
    """A producer without tidings that writes events ``order.placed``, numbered by ``total``."""

    def __init__(self, brokers: str, topic: str, *, keys: int = 20, size: int = 0) -> None:
        self.places: dict[int, Place] = {}
        """Where each number is, once Kafka has it."""
        self._topic, self._keys, self._padding = topic, keys, "x" * size
        self._producer = Producer(
            {"bootstrap.servers": brokers, "enable.idempotence": True, "linger.ms": 5, "log_level": 0}
        )
        self._next = 0

    def write(self, count: int) -> set[Place]:
        """The next ``count`` events; where they are, once Kafka has them all."""
        numbers = range(self._next, self._next + count)
        self._produce(count)
        assert self._producer.flush(2 * LONG) == 0
        return {self.places[number] for number in numbers}

    def _produce(self, count: int) -> None:
        for number in range(self._next, self._next + count):
            key = f"o-{number % self._keys}"
            more = {"padding": self._padding} if self._padding else {}
            value = event_value(event_id=str(number), order_id=key, total=number, **more)
            self._producer.produce(self._topic, value, key.encode(), on_delivery=partial(self._told, number))
        self._next += count

    def _told(self, number: int, error: Any, record: Any) -> None:
        assert error is None, error
        self.places[number] = (record.partition(), record.offset())

    @contextmanager
    def flowing(self, rate: int) -> Iterator[None]:
        """``rate`` events a second from here on; at the end Kafka has them all."""
        over = threading.Event()

        def flow() -> None:
            while not over.wait(0.05):
                self._produce(max(1, rate // 20))
                self._producer.poll(0)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            assert self._producer.flush(2 * LONG) == 0
