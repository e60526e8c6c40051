"""The Kafka client of a consumer: a confluent-kafka Consumer, for its polling thread alone (ENGINE C1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tidings.errors import ConsumeError
from tidings.kafka.absent import Absent
from tidings.kafka.config import reader_config
from tidings.kafka.quiet import librdkafka_log
from tidings.kafka.reading import NOBODY
from tidings.settings import Settings

Place = tuple[str, int]
Group = tuple[str, int, Sequence[Any]]
"""Topic, partition and consecutive records of it."""

_OURS: dict[str, Any] = {
    # With the default of 1,000 ms every side of the benchmark stalled at 200k records/s.
    "fetch.queue.backoff.ms": 10,
    # What may wait in librdkafka beside the window: 61 MB of a process instead of 145.
    "queued.min.messages": 20_000,
    "statistics.interval.ms": 0,
    "topic.metadata.refresh.interval.ms": 60_000,
}
_MUST: dict[str, Any] = {
    "enable.auto.commit": True,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": False,
}


def consumer_config(settings: Settings, group: str) -> dict[str, Any]:
    """The properties of a group's member. Those of CLIENT_CONFIG go before ours, but for what we promise.

    Raises ConfigError as ``client_config`` does.
    """
    classic = settings.group_protocol == "classic"
    session = int(settings.session_timeout * 1000)
    # librdkafka's 3 s alone would let a session shorter than that end between two heartbeats.
    alive = {"session.timeout.ms": session, "heartbeat.interval.ms": min(3000, session // 3)}
    own = {
        **_OURS,
        "max.poll.interval.ms": int(settings.max_poll_interval * 1000),
        "group.protocol": settings.group_protocol,
        # With KIP-848 both are the brokers' business, and librdkafka refuses to be told.
        **(alive if classic else {}),
        **({"partition.assignment.strategy": "cooperative-sticky"} if classic else {}),
        **({"group.instance.id": settings.group_instance_id} if settings.group_instance_id else {}),
    }
    given = settings.client_config
    return {
        **reader_config(settings, group),
        **{name: value for name, value in own.items() if name not in given},
        **_MUST,
    }


class ConsumerClient:
    """One member of a group. Every method is for the polling thread, but for ``close``.

    ``told`` gets what Kafka says beside records, with True where nothing can be read because of it.
    """

    def __init__(self, settings: Settings, group: str, told: Callable[[str, bool], None]) -> None:
        self._told = told
        self._consumer = Consumer(
            {
                **consumer_config(settings, group),
                "logger": librdkafka_log(),
                "error_cb": self._on_error,
                "on_commit": self._on_commit,
            }
        )
        self._owner: Callable[[Place], object] = lambda _: None
        self._committed: Callable[[Place, int, str | None], None] = lambda *_: None
        self._absent = Absent(self._consumer, (), told)

    def subscribe(
        self,
        topics: Sequence[str],
        *,
        assigned: Callable[[list[Place]], None],
        revoked: Callable[[list[Place]], None],
        lost: Callable[[list[Place]], None],
        owner: Callable[[Place], object],
        committed: Callable[[Place, int, str | None], None],
    ) -> None:
        """Join the group. The callbacks come on the polling thread, from inside ``fetch``; ``owner`` says by
        an object what a partition is to us at a moment: another object, another assignment. ``committed`` is
        told what Kafka has: an offset and its metadata."""
        self._owner = owner
        self._committed = committed
        self._absent = Absent(self._consumer, topics, self._told)
        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _, parts: assigned(_places(parts)),
            on_revoke=lambda _, parts: revoked(_places(parts)),
            on_lost=lambda _, parts: lost(_places(parts)),
        )

    def fetch(self, most: int, timeout: float) -> list[Group]:
        """Up to ``most`` records, without waiting for more once there is one (poll, then consume: 0.3 ms to
        the handler where consume() with a timeout took 51).

        Raises ConsumeError when the client has failed for good.
        """
        try:
            first: Any = self._consumer.poll(timeout)
            if first is None:
                self._absent.look()
                return []
            if first.error() is not None:
                self._say(first.error(), first.topic())
                return []
            place = (first.topic(), first.partition())
            owner = self._owner(place)
            messages: list[Any] = self._consumer.consume(most - 1, 0)
        except KafkaException as error:
            self._say(error.args[0])
            return []
        if self._owner(place) is owner:  # else a rebalance came between the two
            messages.insert(0, first)
        if any(map(Message.error, messages)):
            messages = [each for each in messages if not self._is_error(each)]
        return _groups(messages)

    def store(self, positions: Iterable[tuple[str, int, int]]) -> list[Place]:
        """Store positions, for the next commit; those that are not ours any more."""
        strange = []
        for topic, partition, offset in positions:
            try:
                self._consumer.store_offsets(offsets=[TopicPartition(topic, partition, offset)])
            except KafkaException as error:
                if error.args[0].code() != KafkaError._STATE:
                    raise
                strange.append((topic, partition))
        return strange

    def mark(self, place: Place, offset: int, metadata: str) -> None:
        """Have this committed now, with what is to be remembered; ``committed`` is told once Kafka has it."""
        try:
            self._consumer.commit(offsets=[TopicPartition(*place, offset, metadata)], asynchronous=True)
        except KafkaException as error:
            self._told(f"A commit failed: {error.args[0].name()}: {error.args[0].str()}", False)

    def pause(self, places: Iterable[Place]) -> None:
        """Fetch nothing of these; what is fetched ahead of them is dropped."""
        self._each(self._consumer.pause, places)

    def resume(self, places: Iterable[Place]) -> None:
        """Fetch these again."""
        self._each(self._consumer.resume, places)

    def _each(self, do: Callable[[list[TopicPartition]], None], places: Iterable[Place]) -> None:
        try:
            if found := [TopicPartition(*place) for place in places]:
                do(found)
        except KafkaException as error:
            self._say(error.args[0])

    def seek(self, place: Place, offset: int) -> None:
        """Go on from this offset. Raises ConsumeError."""
        try:
            self._consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            raise ConsumeError(
                f"{place[0]}[{place[1]}] cannot go to {offset}: {error.args[0].str()}"
            ) from None

    def offsets_at(self, places: Iterable[Place], ms: int, timeout: float) -> dict[Place, int]:
        """The first offset of each partition at or after a time (ms since 1970); its end where there is none.

        Raises ConsumeError when Kafka does not tell within ``timeout`` seconds.
        """
        try:
            found = self._consumer.offsets_for_times([TopicPartition(*it, ms) for it in places], timeout)
            for it in found:
                if it.offset == OFFSET_END:  # which would be wherever the end is by the time of the seek
                    it.offset = self._consumer.get_watermark_offsets(it, timeout)[1]
        except KafkaException as error:
            said = error.args[0].str()
            raise ConsumeError(f"Kafka does not say which offsets these are: {said}.") from None
        return {(it.topic, it.partition): it.offset for it in found if it.error is None}

    def bounds(self, place: Place) -> tuple[int, int]:
        """The first and the next offset of a partition as the brokers last said; -1 and below: unknown."""
        try:
            low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
        except KafkaException:
            return -1, -1
        return low, high

    def first_offset(self, place: Place, timeout: float) -> int | None:
        """The first offset that a partition still has, asked of its broker; None where it does not tell."""
        try:
            found: int = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout)[0]
        except KafkaException:
            return None
        return found

    def committed(self, places: Iterable[Place], timeout: float) -> dict[Place, tuple[int, str]]:
        """What the group has committed of each partition, with its metadata; none of it where Kafka does not
        tell in time."""
        try:
            found = self._consumer.committed([TopicPartition(*place) for place in places], timeout)
        except KafkaException:
            return {}
        return {
            (it.topic, it.partition): (it.offset, it.metadata or "")
            for it in found
            if it.error is None and it.offset >= 0
        }

    def close(self) -> None:
        """Commit what is stored, and leave the group. Over 20 s with a stopped broker (measured), so call it
        on a thread that may be left behind."""
        self._consumer.close()

    def _is_error(self, message: Any) -> bool:
        error = message.error()
        if error is not None:
            self._say(error, message.topic())
        return error is not None

    def _say(self, error: KafkaError, topic: str | None = None) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:  # of the latter fatal() says False
            raise ConsumeError(f"The Kafka client failed for good: {error.name()}: {error.str()}.")
        words = error.str() if topic is None or topic in error.str() else f"{topic}: {error.str()}"
        self._told(f"{error.name()}: {words}", error.name() not in NOBODY)

    def _on_error(self, error: KafkaError) -> None:
        self._told(f"{error.name()}: {error.str()}", error.name() not in NOBODY)

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        if error is not None:
            if error.code() != KafkaError._NO_OFFSET:
                self._told(f"A commit failed, and will be repeated: {error.name()}: {error.str()}", False)
            return
        for it in places:
            if it.error is None:
                self._committed((it.topic, it.partition), it.offset, it.metadata)


def _places(parts: Iterable[TopicPartition]) -> list[Place]:
    return [(it.topic, it.partition) for it in parts]


def _groups(messages: list[Any]) -> list[Group]:
    """Consecutive records of one partition each; with fetches of a megabyte there is one, as a rule."""
    if not messages:
        return []
    names: Any = zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)
    places: list[Place] = list(names)
    if places.count(places[0]) == len(places):
        return [(*places[0], messages)]
    groups: list[Group] = []
    start = 0
    for number, place in enumerate(places):
        if place != places[start]:
            groups.append((*places[start], messages[start:number]))
            start = number
    groups.append((*places[start], messages[start:]))
    return groups
