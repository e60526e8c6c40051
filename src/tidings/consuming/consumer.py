"""The Consumer: what applications hold to have events handled."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidings.consuming.engine import Engine, MakeRunner
from tidings.consuming.interrupts import asked_by_signals
from tidings.consuming.registering import Registering, listed
from tidings.consuming.relay import Relay
from tidings.consuming.seen import Seen, checked_seen
from tidings.consuming.states import ConsumerReport, ConsumerStats
from tidings.consuming.transport import ConsumerTransport
from tidings.consuming.wellbeing import health_of
from tidings.contexts import Contexts
from tidings.errors import ConfigError, ConsumeError, InvalidEvent
from tidings.events.declare import Registry, default_registry
from tidings.events.times import record_time
from tidings.publishing.publisher import settings_of
from tidings.states import Health, HealthStatus

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tidings.consuming.replaying import Replaying
    from tidings.publishing.publisher import Publisher
    from tidings.settings import Settings

_LEAVE = 3.0
_NAP = 0.05
_SEEK = 30.0


class Consumer(Registering, Contexts):
    """Reads topics as a member of a group, and calls a handler for each event.

        consumer = Consumer(topics="orders", group_id="billing")

        @consumer.on(OrderPlaced)
        def bill(order: OrderPlaced) -> None: ...

        consumer.run()

    Every event is handled at least once, or becomes a letter on DLQ_TOPIC; no offset is committed before
    that. Events of one key are handled in their order. Events that a handler publishes are delivered before
    its own is finished. The correlation id of an event is in force while it is handled.

    ``settings`` and ``overrides`` are those of Publisher; ``topics`` are topics, logical names of TOPICS or
    regular expressions (``^…``); without any, the topics that the handlers' events are declared or mapped
    to. ``group_id``: default GROUP_ID. ``publisher``: its settings are used where none are given, and its
    transport where it is an InMemoryTransport. ``transport`` replaces Kafka, in tests: the InMemoryTransport
    that a publisher writes to. ``registry``: where classes of event types are looked up. ``seen``: where is
    remembered what handlers with ``dedup`` have handled; in memory, unless a SqliteSeen or one of your own is
    given (close it after the consumer). ``logger`` replaces ``tidings.consumer``.

    With KAFKA_ENABLED=false (needs no BROKERS) it starts, runs and closes as ever, and consumes nothing.

    One life: start once, close once; make a new one afterwards. Any thread; handlers are registered before
    the start. Raises ConfigError.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        topics: str | Iterable[str] | None = None,
        group_id: str | None = None,
        publisher: Publisher | None = None,
        transport: ConsumerTransport | None = None,
        registry: Registry = default_registry,
        seen: Seen | None = None,
        logger: logging.Logger | None = None,
        **overrides: Any,
    ) -> None:
        if group_id is not None:
            overrides["group_id"] = group_id
        if publisher is not None:
            settings = settings or publisher._settings
            transport = _transport_of(publisher) if transport is None else transport
        super().__init__(settings_of(settings, overrides, needs_brokers=transport is None), registry)
        if self._settings.group_id is None:
            raise ConfigError("A consumer needs a group: give group_id=, or set KAFKA_GROUP_ID.")
        self.group_id: str = self._settings.group_id
        self._wanted = listed(topics)
        self._topics(self._wanted)
        self._transport = transport
        self._seen = checked_seen(seen)
        self._logger = logger or logging.getLogger("tidings.consumer")
        self._engine: Engine | None = None
        self._closed_unstarted = False
        self._reports: dict[str, ConsumerReport] = {}

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A consumer configured by ``KAFKA_*`` variables. Raises ConfigError."""
        return cls(**options)

    @classmethod
    def from_yaml(cls, path: str | Path, **options: Any) -> Self:
        """A consumer configured by a YAML file (one top-level ``KAFKA:`` map) under the environment."""
        return cls(config_file=path, **options)

    # -- a life

    def start(self) -> None:
        """Join the group and begin to handle events, on threads of the consumer's own; returns at once.

        Async handlers run on an event loop in one of these threads. Kafka may be away: events come when it
        is back. Raises ConfigError, without handlers or topics or when started or closed before.
        """
        self._begin(self._runner(None))

    def run(self) -> ConsumerReport:
        """``start``, and block until the consumer ends: by ``close``, by a handler's Stop, or, on the main
        thread, by SIGTERM or SIGINT, which let it finish, commit and leave. Off the main thread no signal is
        touched.

        Raises ConfigError as ``start`` does, and ConsumeError when the Kafka client failed for good.
        """
        self.start()
        engine = self._begun()
        with asked_by_signals(engine.stop):
            try:
                while not engine.polling.join(0.5):
                    pass
            finally:
                report = self.close()
        self._raise_failure()
        return report

    def close(self, timeout: float | None = None) -> ConsumerReport:
        """Begin nothing more, let handlers finish for up to ``timeout`` seconds (default CLOSE_TIMEOUT),
        commit and leave the group; takes at most 3 s longer.

        A second call returns the same report. Any thread; called in a handler it only begins the end, and
        the report says how things stand. Closed before it was started, it never starts.
        """
        if self._engine is None:
            self._closed_unstarted = True
        engine = self._engine  # read again: a start may have come between
        if engine is None:
            return ConsumerReport()
        began = time.monotonic()
        budget = self._settings.close_timeout if timeout is None else timeout
        engine.stop(budget)
        if engine.is_own_thread():
            return engine.report(0.0)
        return self._end_of(engine, began, budget)

    async def astart(self) -> None:
        """``start`` for a coroutine: async handlers run on this event loop."""
        import asyncio  # noqa: PLC0415

        self._begin(self._runner(asyncio.get_running_loop()))

    async def arun(self) -> ConsumerReport:
        """``run`` for a coroutine: async handlers run on this event loop. Cancelled, it closes."""
        import asyncio  # noqa: PLC0415

        await self.astart()
        engine = self._begun()
        with asked_by_signals(engine.stop):
            try:
                while not engine.polling.join(0):  # noqa: ASYNC110 - the end comes from other threads
                    await asyncio.sleep(_NAP)
            finally:
                report = await self.aclose()
        self._raise_failure()
        return report

    async def aclose(self, timeout: float | None = None) -> ConsumerReport:
        """``close`` for a coroutine: never blocks the loop. Awaited in a handler it only begins the end."""
        import asyncio  # noqa: PLC0415

        if (engine := self._engine) is not None:
            engine.stop(timeout)
            if engine.is_in_handler():
                return engine.report(0.0)
        return await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    # -- asking and steering

    def stats(self) -> ConsumerStats:
        """The counters, and the position and lag of each partition that is ours, read at one moment."""
        if self._engine is None:
            return ConsumerStats(is_closed=self._closed_unstarted)
        return self._engine.stats()

    def health(self, timeout: float = 5) -> Health:
        """How consuming is doing, asking Kafka for up to ``timeout`` seconds where it complained. Raises
        nothing."""
        if self._engine is None and self._closed_unstarted:
            return Health(status=HealthStatus.UNHEALTHY, cause="closed", message="The consumer is closed.")
        return health_of(self._engine, timeout)

    async def ahealth(self, timeout: float = 5) -> Health:
        """``health`` for a coroutine."""
        import asyncio  # noqa: PLC0415

        return await asyncio.to_thread(self.health, timeout)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from this offset of a partition that is ours now. What handlers have in hand they finish,
        without effect on offsets. Raises ConsumeError when it is not ours. Any thread; blocks briefly."""
        polling = self._begun().polling
        self._done(polling.ask(lambda: polling.seek((topic, partition), offset)))

    def rewind(self, to: datetime | int) -> None:
        """Go back (or on) to a time, in all partitions that are ours now: a datetime with a time zone, or
        milliseconds since 1970, compared with the records' own times. Raises ConsumeError. Any thread; blocks
        until Kafka has told which offsets these are."""
        polling = self._begun().polling
        try:
            ms = 0 if type(to) is int and to == 0 else record_time(to)
        except InvalidEvent as error:
            raise ConsumeError(f"rewind(): {error.args[0]}") from None
        self._done(polling.ask(lambda: polling.rewind(ms)))

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<Consumer {self.group_id!r}: {stats.handled} handled, {stats.dead_lettered} letters>"

    # -- within

    def _begin(self, make_runner: MakeRunner) -> None:
        if self._engine is not None or self._closed_unstarted:
            before = "started" if self._engine is not None else "closed"
            raise ConfigError(f"This consumer was {before} before. Make a new one.")
        self._handlers.close()
        topics = self._topics(self._wanted)
        self._engine = Engine(
            self._settings,
            self.group_id,
            topics,
            self._handlers,
            make_runner,
            self._logger,
            self._transport,
            self._seen,
        )
        self._engine.start()
        if self._closed_unstarted:  # meanwhile, on another thread
            self._engine.stop()

    def _end_of(self, engine: Engine, began: float, budget: float) -> ConsumerReport:
        """Its report, at its end, or ``budget`` seconds and a little more after ``began``."""
        engine.join(max(0.0, began + budget + _LEAVE - time.monotonic()))
        return self._reports.setdefault("last", engine.report(time.monotonic() - began))

    def _forget(self) -> None:
        """Its life is over, and another may begin with the same handlers: for a Manager."""
        self._engine = None
        self._reports = {}

    def _done(self, command: Future[Any]) -> None:
        try:
            command.result(_SEEK)
        except TimeoutError:
            raise ConsumeError(f"The consumer has not come to it within {_SEEK:g} s; it may yet.") from None

    def _begun(self) -> Engine:
        if self._engine is None:
            raise ConsumeError("The consumer has not started.")
        return self._engine

    def _raise_failure(self) -> None:
        failure = self._begun().failure
        if isinstance(failure, Exception):
            raise failure if isinstance(failure, ConsumeError) else ConsumeError(repr(failure))

    def _letter_handlers(self, loop: Any) -> Replaying:
        """Its handlers, for a Replay; async ones run on ``loop``, or a loop of their own. Raises
        ConfigError."""
        from tidings.consuming.replaying import Replaying  # noqa: PLC0415

        return Replaying(self._handlers, self._settings, self._logger, loop)

    def _runner(self, loop: Any) -> MakeRunner:
        """Threads where all handlers are sync; else an event loop: ``loop``, or one of its own."""
        workers, hang_exit = self._settings.workers, self._settings.hang_exit
        if not any(handler.is_async for handler in self._handlers.all):
            return lambda holdings, reading, fate: Relay(holdings, reading, fate, workers, hang_exit)
        if loop is None:
            from tidings.consuming.ownloop import OwnLoopRelay  # noqa: PLC0415

            return lambda holdings, reading, fate: OwnLoopRelay(holdings, reading, fate, workers, hang_exit)
        from tidings.consuming.looprelay import LoopRelay  # noqa: PLC0415 - asyncio costs 30 ms to import

        return lambda holdings, reading, fate: LoopRelay(holdings, reading, fate, workers, hang_exit, loop)


def _transport_of(publisher: Publisher) -> ConsumerTransport | None:
    given = publisher._transport
    return given if isinstance(given, ConsumerTransport) else None
