"""The dead-letter topic for a replay: letters are read in a group, settled in a ledger, and committed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tidings.errors import BrokersUnavailable
from tidings.kafka.client import KafkaClient
from tidings.kafka.origins import Origins
from tidings.kafka.reading import NOBODY, bounds, reader, told
from tidings.kafka.replay_ledger import ReplayLedger
from tidings.kafka.survey import as_taken, letter_bounds, survey
from tidings.kafka.taken import Progress, TakenLetter
from tidings.kafka.writing import NewRecord, Writer, make_topic
from tidings.settings import Settings

T = TypeVar("T")

_POLL = 0.2
_SILENCE = 120.0
"""Seconds without a letter, an end or an error before Kafka counts as away: joining a group may take one
batch of another replayer's."""
_SPARE = 15.0
"""Seconds that a replayer waits for others to hand partitions over before it goes home."""
_LEAVE = 10.0
_BATCH_BYTES = 16 * 1024 * 1024
_SESSION = 10.0
_GROUP_CONFIG: dict[str, Any] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": int(_SESSION * 1000),
    # A batch is settled within this; until then nobody else is given its partitions.
    "max.poll.interval.ms": 600_000,
}
_KEPT = {"retention.ms": "-1", "retention.bytes": "-1"}


class DeadLetterTopic:
    """Letters on a dead-letter topic, for a Replay. One run at a time, on one thread.

    Read in the group ``tidings-replay-<name>``: replayers of one name
    that run at the same time share its partitions, each partition with one of them. What was settled is
    recorded, letter by letter and acknowledged, in ``<topic>.replays`` (made compacted where it is missing)
    before an offset is committed. After a SIGKILL or a rebalance only letters that were in flight can be
    replayed twice. Letters replayed too often are copied to ``<topic>.parked``, made without retention.

    ``timeout``: seconds for each thing that Kafka is asked.
    """

    def __init__(
        self, settings: Settings, topic: str, *, logger: logging.Logger | None = None, timeout: float = 30.0
    ) -> None:
        self.name = topic
        self.topics = frozenset({topic, f"{topic}.parked", f"{topic}.replays"})
        self._settings = settings
        self._logger = logger or logging.getLogger("tidings.replay")
        self._timeout = timeout
        self._consumer: Consumer | None = None
        self._ledger: ReplayLedger | None = None
        self._writer: Writer | None = None
        self._origins = Origins(settings, timeout)
        self._ends: dict[int, int] = {}
        self._assigned: dict[int, Progress] | None = None
        self._ended: set[int] = set()
        self._stale = False
        self._heard = self._asked = 0.0
        self._commits = 0

    def survey(self, name: str) -> Iterator[tuple[TakenLetter, bool]]:
        """Every letter a run of this name would see, and whether it is settled already. Joins no group,
        commits and writes nothing. Raises BrokersUnavailable and ConsumeError."""
        return survey(self._settings, self.name, f"{self.name}.replays", _group(name), self._timeout)

    def begin(self, name: str, note: bytes, note_key: bytes) -> None:
        """Write down that a run begins, and join the group. Raises BrokersUnavailable, ConsumeError, and
        DeliveryError when the record of replays cannot be written: nothing is replayed then."""
        self._consumer = consumer = reader(
            self._settings, _group(name), **_GROUP_CONFIG, on_commit=self._on_commit
        )
        self._ends = {
            partition: high
            for partition, (low, high) in letter_bounds(consumer, self.name, self._timeout).items()
            if low < high
        }
        self._ledger = ReplayLedger(self._settings, f"{self.name}.replays", _group(name))
        if not self._ledger.refresh(self._timeout):
            self._make(f"{self.name}.replays", {"cleanup.policy": "compact"})
        self._writer = Writer(KafkaClient(self._settings, self._logger), self._timeout)
        self.note(note, note_key)
        self._heard = self._asked = time.monotonic()
        consumer.subscribe(
            [self.name], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def take(self, most: int) -> list[TakenLetter] | None:
        """The next letters; none when there is nothing to say yet, None when all were seen that were there
        when the run began. Raises BrokersUnavailable and ConsumeError."""
        consumer = _begun(self._consumer)
        if self._is_over():
            return None
        if time.monotonic() - self._asked > _SESSION / 2:  # stopped or slow: the partitions may be another's
            self._stale = True
        found, size, wait = list[Any](), 0, _POLL
        while len(found) < most and size < _BATCH_BYTES and (message := consumer.poll(wait)) is not None:
            found.append(message)
            size += len(message.value() or b"")
            wait = 0.0
        self._asked = time.monotonic()
        if found:
            self._heard = self._asked
        elif self._asked - self._heard > _SILENCE:
            raise BrokersUnavailable(f"Kafka has given no letter of {self.name} for {_SILENCE:.0f} s.")
        taken = [as_taken(each) for each in found if self._is_wanted(each)]
        if taken and self._stale:  # another replayer may have settled some of these meanwhile
            _begun(self._ledger).refresh(self._timeout)
            self._stale = False
        return taken

    def is_settled(self, taken: TakenLetter) -> bool:
        """True when this letter, or a copy of it, was replayed or parked before."""
        return taken.identity in _begun(self._ledger)

    def origin(self, topic: str, partition: int, offset: int) -> TakenLetter | None:
        """The record that a consumer's letter is about; None where it is no more. Raises as ``survey``."""
        return self._origins.find(topic, partition, offset)

    def park(self, letters: Sequence[TakenLetter]) -> None:
        """Copy letters to the parked topic, acknowledged."""
        parked = f"{self.name}.parked"
        if not bounds(_begun(self._consumer), parked, self._timeout):
            self._make(parked, _KEPT)
        _begun(self._writer).write([NewRecord(parked, it.key, it.value, it.headers) for it in letters])

    def finish(
        self, settled: Sequence[tuple[TakenLetter, bytes | None]], left: Sequence[TakenLetter]
    ) -> None:
        """These are settled, each with its note (None: it has one), and those are left for later runs.

        The notes are acknowledged before anything is committed.
        """
        notes = [(taken.identity.key, note) for taken, note in settled if note is not None]
        if notes:
            topic = f"{self.name}.replays"
            _begun(self._writer).write([NewRecord(topic, key, note) for key, note in notes])
            for key, note in notes:
                _begun(self._ledger).add(key, note)
        mine = self._assigned or {}
        for taken in left:
            if progress := mine.get(taken.partition):
                progress.leave(taken.offset)
        for taken, _ in settled:
            if progress := mine.get(taken.partition):
                progress.settle(taken.offset)
        self._commit(mine)

    def note(self, note: bytes, key: bytes) -> None:
        """One more line in the record of replays, acknowledged."""
        _begun(self._writer).write([NewRecord(f"{self.name}.replays", key, note)])

    def close(self) -> None:
        """Leave the group once the commits under way are answered; bounded, whatever Kafka does."""
        end = time.monotonic() + _LEAVE
        if self._consumer is not None:
            while self._commits and time.monotonic() < end:
                self._consumer.poll(_POLL)
            # With a broker that hangs close() took over 20 s (measured): it may go on without us.
            leaving = threading.Thread(target=self._consumer.close, name="tidings-replay-leave", daemon=True)
            leaving.start()
            leaving.join(_LEAVE)
        if self._ledger is not None:
            self._ledger.close()
        if self._writer is not None:
            self._writer.close()
        self._origins.close()
        self._consumer = self._ledger = self._writer = None
        self._assigned, self._ended, self._commits = None, set(), 0

    # -- within

    def _make(self, topic: str, config: dict[str, str]) -> None:
        if problem := make_topic(self._settings, topic, config, self._timeout):
            self._logger.warning(f"The topic {topic} cannot be created by this client: {problem}.")

    def _is_wanted(self, message: Any) -> bool:
        """A letter that was there when the run began, of a partition that is ours."""
        error, partition = message.error(), message.partition()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(partition)
            elif error.name() not in NOBODY | {"_MAX_POLL_EXCEEDED"}:
                raise told(KafkaException(error), f"The topic {self.name} cannot be read")
            return False
        if message.offset() + 1 >= self._ends.get(partition, 0):
            self._ended.add(partition)
        return partition in (self._assigned or {}) and message.offset() < self._ends.get(partition, 0)

    def _is_over(self) -> bool:
        if self._assigned:
            return not self._ends.keys() & self._assigned.keys() - self._ended
        waited = time.monotonic() - self._heard
        return not self._ends or (self._assigned is not None and waited > _SPARE)

    def _commit(self, mine: dict[int, Progress]) -> None:
        due = {partition: due for partition, it in mine.items() if (due := it.due()) is not None}
        if not due:
            return
        offsets = [TopicPartition(self.name, partition, offset) for partition, offset in due.items()]
        try:
            _begun(self._consumer).commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._not_committed(error.args[0])
            return
        self._commits += 1
        for partition, offset in due.items():
            mine[partition].committed = offset

    def _on_commit(self, error: KafkaError | None, _: object) -> None:
        self._commits -= 1
        if error is not None:
            self._not_committed(error)

    def _not_committed(self, error: KafkaError) -> None:
        """The ledger knows what was settled: nothing is replayed twice for it."""
        self._logger.warning(f"Progress on {self.name} was not committed: {error.name()}.")

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned = (self._assigned or {}) | {each.partition: Progress() for each in partitions}
        self._ended -= {each.partition for each in partitions}
        self._stale = True
        self._heard = time.monotonic()

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Nothing is in flight: a batch is settled before the next poll, and callbacks come from polls."""
        for each in partitions:
            (self._assigned or {}).pop(each.partition, None)


def _group(name: str) -> str:
    return f"tidings-replay-{name}"


def _begun(part: T | None) -> T:
    if part is None:
        raise RuntimeError("this run has not begun, or is closed")
    return part
