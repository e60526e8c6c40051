"""The Publisher: what applications hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidings.contexts import Contexts
from tidings.errors import ConfigError, InvalidEvent, PublishError
from tidings.events.codec import to_json
from tidings.events.correlation import current_correlation_id
from tidings.events.declare import Registry, default_registry
from tidings.events.frame import text
from tidings.events.headers import CONTENT_TYPE, RAW, Headers
from tidings.events.keys import Key
from tidings.publishing import forks
from tidings.publishing.batch import Batch
from tidings.publishing.contracts import Sender, TopicSender
from tidings.publishing.entry import Delivery
from tidings.publishing.guards.waiting import until_there_is_room
from tidings.publishing.intake import Intake, as_bytes
from tidings.publishing.pending import Pending
from tidings.publishing.threads import off_the_hub
from tidings.publishing.transport import Transport
from tidings.publishing.wellbeing import health_of
from tidings.signals import Signal
from tidings.states import CloseReport, Health, Stats, Whereabouts

if TYPE_CHECKING:
    from tidings.letters.replay_store import StoredLetters
    from tidings.settings import Settings

_DRAIN_NAP = 0.005


class Publisher(Intake, Contexts):
    """Publishes events to Kafka, from threads and event loops alike; one serves a whole process.

    Making one checks the settings and connects to nothing; the client starts at the first event, and
    again by itself in a forked child. ``publish`` and its kin return at once, whatever Kafka does: they
    raise a PublishError when nothing was taken, and otherwise return a Delivery, to be waited for,
    awaited or forgotten. Use it as a context manager, plain or ``async``, or call ``close``.

    ``settings`` default to the environment, the YAML file it names, and the documented defaults;
    ``overrides`` are settings in lower case (``brokers="…"``). ``transport`` replaces Kafka, in tests.
    ``logger`` (stdlib or structlog) replaces the logger ``tidings.publisher``. ``registry`` is where the
    types of plain dicts are looked up. Raises ConfigError.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        transport: Transport | None = None,
        logger: logging.Logger | None = None,
        registry: Registry = default_registry,
        **overrides: Any,
    ) -> None:
        found = settings_of(settings, overrides, needs_brokers=transport is None)
        super().__init__(found, transport, logger or logging.getLogger("tidings.publisher"), registry)
        forks.watch(self)

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """A publisher configured by ``KAFKA_*`` variables. Raises ConfigError."""
        return cls(**overrides)

    @classmethod
    def from_yaml(cls, path: str | Path, **overrides: Any) -> Self:
        """A publisher configured by a YAML file (one top-level ``KAFKA:`` map) under the environment."""
        return cls(config_file=path, **overrides)

    @classmethod
    def disabled(cls, **overrides: Any) -> Self:
        """A publisher that checks events and discards them, so that no caller needs an ``if``."""
        return cls(**{**overrides, "enabled": False})

    # -- publishing

    def publish(
        self,
        event: object,
        *,
        event_type: str | None = None,
        topic: str | None = None,
        key: Key = None,
        headers: Headers | None = None,
        correlation_id: str | None = None,
        event_id: str | None = None,
        timestamp: datetime | int | None = None,
        max_block: float | None = None,
    ) -> Delivery:
        """Take one event: an instance of an @event class, any payload with an ``event_type``, or an Envelope.

        ``topic``, ``key`` and ``correlation_id`` go before what the class, the mappings and the context
        (and an Envelope) say. ``timestamp`` (a datetime with a time zone, or milliseconds since 1970) is the
        envelope's.
        ``max_block`` is the longest wait for room in seconds (default MAX_BLOCK); in a running event loop
        there is no wait. Raises PublishError when nothing was taken (with ON_REJECT=log: a Delivery that
        is ``rejected``).
        """
        if (
            event_type is None
            and topic is None
            and key is None
            and headers is None
            and correlation_id is None
            and event_id is None
            and timestamp is None
            and max_block is None
            and (hot := self._hot.get(event.__class__)) is not None
        ):
            return hot(event)
        try:
            return self._publish_with(
                event, event_type, topic, key, headers, correlation_id, event_id, timestamp, max_block
            )
        except PublishError as error:
            return self._refused(error, topic, event_id, correlation_id)

    async def apublish(self, event: object, *, max_block: float | None = None, **options: Any) -> Delivery:
        """``publish`` for a coroutine that would rather wait than be refused; ``options`` are the same.

        In a running event loop ``publish`` raises at once when there is no room. This waits for up to
        ``max_block`` seconds (default MAX_BLOCK), without blocking the loop, for the queue, the store, the
        rate or the bulkhead, and returns the Delivery once the event is accepted; that can be awaited in
        turn. Raises PublishError as ``publish`` does. When it is cancelled, nothing was taken.
        """
        patience = self._settings.max_block if max_block is None else max_block
        try:
            return await until_there_is_room(lambda: self._publish_with(event, **options), patience)
        except PublishError as error:
            given = (options.get(name) for name in ("topic", "event_id", "correlation_id"))
            return self._refused(error, *given)

    def publish_batch(
        self, events: Iterable[object], *, max_block: float | None = None, **options: Any
    ) -> Batch:
        """Publish each of ``events``; ``options`` are those of ``publish`` and hold for all of them.

        Raises nothing for an event: the Batch says which were rejected, and why. ``events`` is gone through
        before the first is taken. ``max_block`` bounds the waiting of the whole call.
        """
        events = list(events)
        end = time.monotonic() + (self._settings.max_block if max_block is None else max_block)
        return Batch(
            [self._publish_one(event, max(0.0, end - time.monotonic()), options) for event in events]
        )

    def publish_json(
        self,
        topic: str,
        data: object,
        *,
        key: Key = None,
        headers: Headers | None = None,
        event_id: str | None = None,
        correlation_id: str | None = None,
        max_block: float | None = None,
    ) -> Delivery:
        """Send any JSON-able value to ``topic`` as it is, without an envelope.

        ``max_block`` is the longest wait for room in seconds (default MAX_BLOCK), as in ``publish``. Raises
        InvalidEvent, naming the field, if it cannot be encoded.
        """
        try:
            value = to_json(data)
            pairs = [] if headers is None else RAW.pairs(headers)
            if not any(name.lower() == "content-type" for name, _ in pairs):
                pairs.append(CONTENT_TYPE)
            if not any(name.lower() == "correlation_id" for name, _ in pairs):
                correlation_id = current_correlation_id() if correlation_id is None else correlation_id
            elif correlation_id is not None:
                raise InvalidEvent("correlation_id is both an argument and a header")
            if correlation_id is not None:
                pairs.append(("correlation_id", text(correlation_id, "correlation_id")[1]))
            return self._take(topic, value, key, pairs, event_id, max_block=max_block)
        except PublishError as error:
            return self._refused(error, topic, event_id, correlation_id)

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: Key = None,
        *,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp: datetime | int | None = None,
        event_id: str | None = None,
    ) -> Delivery:
        """Send bytes to ``topic`` as they are; ``value`` None is a tombstone.

        ``timestamp`` (milliseconds since 1970, or a datetime with a time zone) is the record's; without
        one Kafka's rules apply. The record gets an ``event_id`` header like every other.
        """
        try:
            if value is not None and type(value) is not bytes:
                value = as_bytes(value)
            pairs = [] if headers is None else RAW.pairs(headers)
            return self._take(topic, value, key, pairs, event_id, partition, timestamp)
        except PublishError as error:
            return self._refused(error, topic, event_id)

    def send_message(self, topic: str | None, key: Key, value: object) -> Delivery:
        """Send ``value`` to ``topic`` (None: the default topic): bytes as they are, anything else as JSON."""
        target = self._settings.topic if topic is None else topic
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self.produce(target, bytes(value), key)
        return self.publish_json(target, value, key=key)

    def sender(self, topic: str | None = None) -> Sender:
        """A ``send(key, value)``/``close()`` pair for one topic; closing it leaves this publisher open."""
        return TopicSender(self, topic)

    # -- topics

    def set_topic_mapping(self, event_type: str, topic: str) -> None:
        """From now on send events of ``event_type``, or of types like ``user.*``, to ``topic``.

        Raises InvalidTopic. Any thread.
        """
        self._router.map(event_type, topic)
        self._forget_plans()

    def topic_for(self, event_type: str) -> str:
        """The topic events of this type go to, unless a call names another."""
        return self._plans.topic_for(event_type)

    # -- waiting, asking, closing

    def listen(self, listener: Callable[[Signal], object], *kinds: type[Signal]) -> Callable[[], None]:
        """Have ``listener`` called with every signal of these kinds (``tidings.signals``; default: all).

        It is called on the notify thread, one signal at a time; what it raises is logged. Returns a function
        that ends the listening. Any thread; not inherited by a forked child.
        """
        return self._engine.signals.add(listener, kinds)

    def flush(self, timeout: float | None = None) -> bool:
        """Block until every event accepted before this call has ended; False after ``timeout`` seconds."""
        engine, end = self._engine, None if timeout is None else time.monotonic() + timeout
        pending = Pending(engine)
        while pending.count():
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0 or engine.is_serving:  # in a signal handler inside a report: no other can come
                return False
            engine.attend(left)
        return True

    async def drain(self, timeout: float | None = None) -> bool:
        """``flush`` for a coroutine: never blocks the loop."""
        import asyncio  # noqa: PLC0415 - costs 30 ms, and whoever awaits has it already

        end = None if timeout is None else time.monotonic() + timeout
        pending = Pending(self._engine)
        while pending.count():
            if end is not None and time.monotonic() >= end:
                return False
            await asyncio.sleep(_DRAIN_NAP)
        return True

    def find(
        self,
        event_id: str,
        *,
        topic: str | None = None,
        since: datetime | int | None = None,
        timeout: float = 5,
    ) -> Whereabouts:
        """Where is this event? Asks, for up to ``timeout`` seconds: what is in flight, the stores of this
        SERVICE on this disk, the topic and its dead-letter topic.

        ``topic``: without it, the topics that this publisher has sent to or is set up for. An event is found
        in Kafka through the time inside its UUIDv7, without an index; for other ids give ``since`` (a
        datetime with a time zone, or milliseconds since 1970). Raises nothing because Kafka is away: the
        answer says what could not be asked. Blocks; in a coroutine use ``asyncio.to_thread``.
        """
        from tidings.publishing.whereabouts import Search  # noqa: PLC0415 - with sqlite3

        search = Search(self._engine, self._settings, event_id, since, timeout)
        topics = self._router.known if topic is None else [self._router.resolve(topic)]
        if not self._settings.enabled:  # it has sent nothing, and has no Kafka to ask
            topics = []
        return off_the_hub(lambda: search.run(topics))

    def stored_letters(self, *, parked: bool = False) -> StoredLetters:
        """The letters that wait in this publisher's store, as the source of a ``Replay``; with ``parked``
        those that wait for a person. Raises ConfigError without a store."""
        return self._stored_letters(parked=parked)

    def health(self, timeout: float = 5) -> Health:
        """How publishing is doing, asking Kafka for up to ``timeout`` seconds. Raises nothing."""
        return off_the_hub(lambda: health_of(self._engine, self._settings, timeout))

    async def ahealth(self, timeout: float = 5) -> Health:
        """``health`` for a coroutine."""
        import asyncio  # noqa: PLC0415

        return await asyncio.to_thread(self.health, timeout)

    def stats(self) -> Stats:
        """The counters, read at one moment. Costs nothing worth counting."""
        return self._engine.stats()

    def audit(self) -> Stats:
        """The same with ``in_flight`` counted entry by entry. Exact while nobody publishes; for tests."""
        return self._engine.audit()

    def close(self, timeout: float | None = None) -> CloseReport:
        """Refuse new events, deliver what is in flight for up to ``timeout`` seconds, count the rest as lost.

        ``timeout`` defaults to CLOSE_TIMEOUT; the call takes at most 3 s longer. A second call returns the
        same report. Any thread; in a callback or a signal handler inside close() it only closes the door,
        and the report says what was so far.
        """
        return self._closer.close(timeout)

    async def aclose(self, timeout: float | None = None) -> CloseReport:
        """``close`` for a coroutine: never blocks the loop."""
        import asyncio  # noqa: PLC0415

        self._engine.shut()
        return await asyncio.to_thread(self.close, timeout)

    def __repr__(self) -> str:
        stats = self.stats()
        return (
            f"<Publisher {self._settings.service!r}: {stats.accepted} accepted, {stats.in_flight} in flight>"
        )

    def _publish_one(self, event: object, max_block: float, options: dict[str, Any]) -> Delivery:
        try:
            return self.publish(event, max_block=max_block, **options)
        except PublishError as error:
            return self._rejected_delivery(error, options.get("topic"), options.get("event_id"))


def settings_of(settings: Settings | None, overrides: dict[str, Any], *, needs_brokers: bool) -> Settings:
    """The settings with these overrides; from the environment where none are given. Raises ConfigError."""
    from tidings.settings import Settings  # noqa: PLC0415 - pydantic-settings costs 160 ms to import

    if settings is not None and not isinstance(settings, Settings):
        raise ConfigError(
            f"The first argument is a Settings, not a {type(settings).__name__}: everything else, and single "
            "settings in lower case, is given by name."
        )
    if settings is None:
        if not needs_brokers:
            overrides.setdefault("brokers", ["in-memory.invalid:9092"])
        return Settings(**overrides)
    return settings.with_overrides(**overrides) if overrides else settings
