"""The Manager: one publisher and many consumers, started, looked after and closed together."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tidings.consuming.interrupts import asked_by_signals
from tidings.consuming.membership import Membership
from tidings.consuming.states import ManagerReport
from tidings.consuming.supervision import LEAVE, Supervision, ended
from tidings.contexts import Contexts
from tidings.errors import ConfigError
from tidings.events.declare import Registry, default_registry
from tidings.publishing.publisher import Publisher, settings_of
from tidings.publishing.transport import Transport

if TYPE_CHECKING:
    from tidings.settings import Settings

_NAP = 0.05


class Manager(Membership, Contexts):
    """One publisher and many consumers of a service.

        manager = Manager.from_env()
        billing = manager.consumer(topics="orders", group_id="billing")

        @billing.on(OrderPlaced)
        def bill(order: OrderPlaced) -> None:
            manager.publisher.publish(Billed(order.order_id))

        manager.run()

    A consumer that fails does not stop the others: ``health`` says so, and it is started again after a random
    pause of 1 to 60 seconds that grows from failure to failure. A handler's Stop is no failure: its consumer
    stays stopped, and the others go on.

    ``settings`` and ``overrides`` are those of Publisher, and hold for the consumers too. ``publisher``: the
    one to use, whose settings are used where none are given, and which stays open when the manager closes;
    without it the manager makes one, and closes it. ``transport`` replaces Kafka for all of them, in tests:
    an InMemoryTransport. ``logger`` replaces the loggers of all of them.

    One life: start once, close once. Consumers come before the start. Any thread. Raises ConfigError.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        publisher: Publisher | None = None,
        transport: Transport | None = None,
        logger: logging.Logger | None = None,
        registry: Registry = default_registry,
        **overrides: Any,
    ) -> None:
        self._is_owner = publisher is None
        if publisher is None:
            publisher = Publisher(
                settings, transport=transport, logger=logger, registry=registry, **overrides
            )
            settings = publisher._settings
        else:
            settings = settings_of(settings or publisher._settings, overrides, needs_brokers=False)
        super().__init__(settings, publisher, registry, logger)
        self._supervision: Supervision | None = None
        self._closed: ManagerReport | None = None

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """A manager configured by ``KAFKA_*`` variables. Raises ConfigError."""
        return cls(**options)

    @classmethod
    def from_yaml(cls, path: str | Path, **options: Any) -> Self:
        """A manager configured by a YAML file (one top-level ``KAFKA:`` map) under the environment."""
        return cls(config_file=path, **options)

    # -- a life

    def start_all_consumers(self) -> None:
        """Start every consumer, on threads of their own; returns at once.

        Kafka may be away: events come when it is back. Raises ConfigError where a consumer has no handlers
        or topics, or there is no consumer, or when started before; then none runs.
        """
        self._start(None)

    def run(self) -> ManagerReport:
        """Start, and block until all consumers have ended: by ``close``, by their handlers' Stop, or, on the
        main thread, by SIGTERM or SIGINT; then everything is closed. Off the main thread no signal is
        touched. Raises ConfigError as ``start_all_consumers`` does."""
        supervision = self._start(None)
        with asked_by_signals(supervision.ask):
            try:
                while not supervision.is_idle and not supervision.join(_NAP):
                    pass
            finally:
                report = self.close()
        return report

    def close(self, timeout: float | None = None) -> ManagerReport:
        """Let all consumers finish, commit and leave, side by side, and then the publisher deliver, for up to
        ``timeout`` seconds together (default CLOSE_TIMEOUT); takes at most 6 s longer.

        A quarter of the time is the publisher's in any case. A second call returns the same report. Any
        thread; called in a handler it only begins the end, and the report says how things stand.
        """
        budget = self._settings.close_timeout if timeout is None else timeout
        supervision = self._supervision
        if supervision is None:
            self._is_full = True
            self._closed = self._closed or ended({}, self._own_publisher, time.monotonic(), budget)
            return self._closed
        supervision.ask(budget)
        if not supervision.is_own_thread():
            supervision.join(budget + LEAVE)
        return supervision.report or ManagerReport(
            consumers={name: member.report() for name, member in self._members.items()}
        )

    async def astart(self) -> None:
        """``start_all_consumers`` for a coroutine: async handlers run on this event loop."""
        import asyncio  # noqa: PLC0415

        self._start(asyncio.get_running_loop())

    async def arun(self) -> ManagerReport:
        """``run`` for a coroutine: async handlers run on this event loop. Cancelled, it closes."""
        import asyncio  # noqa: PLC0415

        supervision = self._start(asyncio.get_running_loop())
        with asked_by_signals(supervision.ask):
            try:
                while not supervision.is_idle and not supervision.join(0):  # noqa: ASYNC110 - other threads
                    await asyncio.sleep(_NAP)
            finally:
                report = await self.aclose()
        return report

    async def aclose(self, timeout: float | None = None) -> ManagerReport:
        """``close`` for a coroutine: never blocks the loop."""
        import asyncio  # noqa: PLC0415

        if self._supervision is not None:
            self._supervision.ask(timeout)
        return await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        self.start_all_consumers()
        return self

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncIterator[dict[str, Any]]:
        """The lifespan of a Starlette or FastAPI application: consumers run while it serves.

            app = FastAPI(lifespan=manager.lifespan)

        Its state is ``publisher`` and ``manager``: a request finds ``request.state.publisher``. Async
        handlers run on the server's event loop. The manager is closed at the end, within CLOSE_TIMEOUT and
        at most 6 s; keep the server's own patience above that (``--timeout-graceful-shutdown``). For an
        application that starts more than once in a process make a manager at each start, in a lifespan of
        your own: ``async with make_manager().lifespan(app) as state: yield state``.
        """
        async with self:
            yield {"publisher": self._publisher, "manager": self}

    def __repr__(self) -> str:
        return f"<Manager {self._settings.service!r}: {', '.join(self._members) or 'no consumers'}>"

    # -- within

    def _start(self, loop: Any) -> Supervision:
        if self._is_full:
            raise ConfigError("This manager was started or closed before. Make a new one.")
        if not self._members:
            raise ConfigError("This manager has no consumer. Make one with consumer() or register().")
        supervision = Supervision(
            self._members, self._own_publisher, self._settings.close_timeout, self._logger
        )
        self._supervision, self._is_full = supervision, True
        try:
            for member in self._members.values():
                member.begin(loop)
            supervision.start()
        except BaseException:
            for member in self._members.values():
                member.stop(0)
            self._supervision = None
            raise
        return supervision

    @property
    def _own_publisher(self) -> Publisher | None:
        return self._publisher if self._is_owner else None
