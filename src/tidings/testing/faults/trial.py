"""A trial: the load program on a topic of its own, faults that happen to it, and the verdict."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tidings.testing.faults.leftover import read_store
from tidings.testing.faults.load import Load, mark_of
from tidings.testing.faults.proxy import Proxies
from tidings.testing.faults.reading import Letter, Records, read_letters, read_records
from tidings.testing.faults.verdict import Verdict, judge
from tidings.testing.realkafka import RealKafka

_PARTITIONS = 6
_FOR_EVER = {"retention.ms": "-1"}  # a judge cannot read what has expired


class Trial:
    """The load program between a beginning and a verdict.

        with Trial(kafka, network, tmp_path, {"KAFKA_DURABILITY": "write-ahead"}) as trial:
            trial.begin()
            with network.cut():
                time.sleep(15)
            verdict = trial.end()
        assert verdict.ok, verdict

    ``directory`` gets the ledger, the program's log and, in ``store``, its store. ``env`` are ``KAFKA_*``
    variables, on top of what points the program at ``network``, its store and a dead-letter topic of its
    own; ``load`` are options of Load. ``before`` is where a test adds what it has read of the topic before
    it deletes it. Use it from one thread; leaving it kills a program that still runs.
    """

    def __init__(
        self,
        kafka: RealKafka,
        network: Proxies,
        directory: Path,
        env: Mapping[str, str] | None = None,
        **load: Any,
    ) -> None:
        self.kafka = kafka
        self.network = network
        self.topic = f"trial-{uuid.uuid4().hex[:12]}"
        self.dead_letters = f"{self.topic}-dead"
        self.store = directory / "store"
        self.before = Records()
        settings = {
            "KAFKA_BROKERS": network.bootstrap_servers,
            "KAFKA_SERVICE": "trial",
            "KAFKA_STORE_DIR": str(self.store),
            "KAFKA_DLQ_TOPIC": self.dead_letters,
        }
        self.load = Load(directory / "ledger", self.topic, settings | dict(env or {}), **load)

    def begin(self, seconds: float = 3.0) -> None:
        """Create the topics, start the program, and let it run until something is delivered, and on."""
        self.create_topics()
        self.start(seconds)

    def create_topics(self) -> None:
        """Create the topic, with 6 partitions, and the one for its dead letters."""
        self.kafka.create_topic(self.topic, _PARTITIONS, config=_FOR_EVER)
        self.kafka.create_topic(self.dead_letters, 1, config=_FOR_EVER)

    def start(self, seconds: float = 3.0) -> None:
        """Start the program, wait until it has delivered something, and let it run on so long."""
        self.load.start()
        self.load.wait_until(lambda life: life.stats is not None and life.stats.delivered > 0)
        time.sleep(seconds)

    def records(self) -> Records:
        """What is in the topic by now, and was in it ``before``."""
        records = Records()
        records.add(self.before)
        records.add(read_records(self.kafka.bootstrap_servers, [self.topic], mark_of))
        return records

    def letters(self) -> list[Letter]:
        """What is in the dead-letter topic by now."""
        return read_letters(self.kafka.bootstrap_servers, [self.dead_letters], mark_of)

    def end(self, after: float = 10.0, *, drained: float = 120.0) -> Verdict:
        """Let the program run on for ``after`` seconds, wait until all has ended, close it, and judge.

        Raises TimeoutError when something is still stored or in flight after ``drained`` seconds, in the
        store of an earlier life too, and RuntimeError when the program did not end well; both with the end
        of its log.
        """
        time.sleep(after)
        self.load.wait_until(lambda _: len(self.journals()) <= 1, drained)
        self.load.drain(drained)
        if status := self.load.stop():
            raise RuntimeError(f"the program ended with status {status}\n{self.load.log_tail()}")
        return self.verdict()

    def journals(self) -> list[Path]:
        """The files of the store: one for each life that still has something, or is alive."""
        return list(self.store.glob("*.journal"))

    def verdict(self) -> Verdict:
        """The verdict on all lives of the program, when it does not run."""
        left = read_store(self.store, mark_of)
        return judge(self.load.lives, self.records(), [*self.letters(), *left.letters], left.events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.load.running:
            self.load.kill()
