"""The Relay: publishes the rows of an outbox, beside any number of others."""

from __future__ import annotations

import logging
import os
import socket
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tidings.consuming.interrupts import asked_by_signals
from tidings.errors import ConfigError
from tidings.outbox.database import Database, database_of
from tidings.outbox.flight import Flight
from tidings.outbox.listening import Ear
from tidings.outbox.press import Press
from tidings.outbox.rows import Rows
from tidings.outbox.states import RelayReport, RelayStats
from tidings.outbox.table import NAME
from tidings.outbox.wellbeing import health_of
from tidings.outbox.working import Terms, Work
from tidings.publishing.publisher import Publisher, settings_of
from tidings.publishing.threads import NativeThread
from tidings.states import Health

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from tidings.settings import Settings

_DAY = 24 * 3600.0
_LEAVE = 3.0
_FIRST_LOOK = 5.0
_MOST_IN_A_BATCH = 10_000


class Relay:
    """Publishes what was committed to an outbox, in order per topic and key, at least once.

    ``database`` is an SQLAlchemy engine or a DSN (``postgresql://…``, ``sqlite:///file``). ``publisher``
    sends; it is not closed. Given settings, or none (those of the environment, and ``overrides``), the relay
    has a publisher of its own, with DURABILITY=memory and a DELIVERY_TIMEOUT of a day where these are not
    set: the table is the store, and what waits in memory is still in it. With a publisher that has a store,
    rows stay until what is stored is in Kafka.

    Up to ``batch`` rows are taken at a time, under a lease of ``lease`` seconds that is renewed while they
    are under way; a relay that dies is waited for so long. An idle relay looks every ``poll`` seconds; with
    ``listen``, on Postgres, it also wakes at each commit of an ``Outbox(notify=True)``. Rows that were sent
    are removed, or kept for ``keep_sent`` seconds. An event that Kafka refuses becomes a letter; one that is
    not delivered is tried again with pauses of up to 5 minutes, and everything of its key behind it. When the
    oldest row is older than ``late_after`` seconds, health is degraded.

    One life: start once, close once. Any thread. Raises ConfigError.
    """

    def __init__(
        self,
        database: Engine | URL | str | Database,
        publisher: Publisher | Settings | None = None,
        *,
        table: str = NAME,
        batch: int = 500,
        lease: float = 30.0,
        poll: float = 0.25,
        keep_sent: float = 0.0,
        listen: bool = False,
        late_after: float = 60.0,
        logger: logging.Logger | None = None,
        **overrides: Any,
    ) -> None:
        _check(batch=batch, lease=lease, poll=poll, keep_sent=keep_sent)
        self._database = database_of(database)
        if listen and self._database.dialect != "postgresql":
            raise ConfigError("listen=True: only Postgres tells of commits.")
        self._logger = logger or logging.getLogger("tidings.relay")
        self._is_own = not isinstance(publisher, Publisher)
        if isinstance(publisher, Publisher):
            if overrides:
                raise ConfigError(
                    f"{', '.join(sorted(overrides))}: a relay has the settings of its publisher."
                )
            self._publisher = publisher
        else:
            self._publisher = _own_publisher(publisher, overrides)
        self._late_after = late_after
        self._ear = Ear(self._database, table.rpartition(".")[2]) if listen else None
        self._flight = Flight(
            lambda: self._publisher.stats().stored > 0, lambda: self._publisher.stats().lost
        )
        self._is_enabled = self._publisher._settings.enabled
        self._work = Work(
            Rows(self._database, table),
            Press(self._publisher, self._flight) if self._is_enabled else None,
            self._flight,
            Terms(_holder(), batch, lease, poll, keep_sent),
            listen=self._ear.wait if self._ear else None,
            database_errors=self._database.errors,
            logger=self._logger,
        )
        self._thread: NativeThread | None = None
        self._report: RelayReport | None = None

    # -- a life

    def start(self) -> None:
        """Begin to publish, on a thread of the relay's own; returns after a first look at the table, for
        which it waits up to 5 s. Kafka and the database may be away.

        Raises ConfigError when the table or a column of it is not there, and when started or closed
        before."""
        self._check_is_new()
        if not self._is_enabled:
            self._logger.warning(
                "ENABLED=false: the relay publishes nothing, and the rows stay in the table."
            )
        self._thread = NativeThread(self._run, "tidings-relay")
        self._thread.start()
        self._work.looked.wait(_FIRST_LOOK)
        if isinstance(self._work.failure, ConfigError):
            raise self._work.failure

    def run(self, *, until_empty: bool = False, patience: float = 60.0) -> RelayReport:
        """``start``, and block until the relay ends: by ``close``, or, on the main thread, by SIGTERM or
        SIGINT, which let it finish what is under way. With ``until_empty`` also once there is nothing to
        take; then an outage is waited for while no row moves for up to ``patience`` seconds.

        Raises ConfigError as ``start`` does; PublisherClosed or PublisherFailed when its publisher ended
        before it; with ``until_empty`` TimeoutError when it ended in an outage: rows may be left, and wait.
        """
        self._check_is_new()
        if until_empty:
            self._work.stop_when_empty(patience)
        with asked_by_signals(lambda: self._work.stop(self._close_timeout)):
            self.start()
            assert self._thread is not None  # noqa: S101
            try:
                while not self._thread.join(0.5):
                    pass
            finally:
                report = self.close()
        if self._work.failure is not None:
            raise self._work.failure
        if until_empty and (trouble := self._work.trouble.words):
            raise TimeoutError(
                f"The outbox was not emptied, {report.delivered} row(s) delivered: {trouble}. The rest waits."
            )
        return report

    def close(self, timeout: float | None = None) -> RelayReport:
        """Take nothing more, and finish what is under way for up to ``timeout`` seconds (default
        CLOSE_TIMEOUT); takes at most 3 s longer. Rows that are under way then stay in the table, and their
        leases run out.

        A second call returns the same report. Any thread. Closed before it was started, it never starts.
        """
        began = time.monotonic()
        budget = self._close_timeout if timeout is None else timeout
        self._work.stop(budget)
        if self._thread is not None:
            self._thread.join(budget + _LEAVE)
        elif self._is_own:
            self._publisher.close(0)
        if self._report is None:
            self._report = RelayReport(
                **self._work.counts, left=len(self._flight), duration=time.monotonic() - began
            )
        return self._report

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    # -- asking

    def stats(self) -> RelayStats:
        """The counters, read at one moment. Asks nobody; any thread."""
        waiting, oldest = self._work.waiting or (None, None)
        return RelayStats(
            **self._work.counts,
            in_flight=len(self._flight),
            waiting=waiting,
            oldest=oldest,
            is_running=self._thread is not None and self._thread.is_alive,
            is_closed=self._report is not None,
        )

    def health(self, timeout: float = 5) -> Health:
        """How the relay is doing, asking Kafka for up to ``timeout`` seconds. Raises nothing.

        Without its database a relay is unhealthy; without Kafka degraded: the rows are safe where they are.
        """
        publisher = self._publisher
        ask_kafka = (lambda: publisher.health(timeout)) if self._is_enabled else None
        return health_of(self.stats(), self._work, ask_kafka, self._late_after)

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<Relay: {stats.delivered} delivered, {stats.in_flight} in flight>"

    # -- within

    def _check_is_new(self) -> None:
        if self._thread is not None or self._report is not None:
            before = "closed" if self._thread is None else "started"
            raise ConfigError(f"This relay was {before} before. Make a new one.")

    @property
    def _close_timeout(self) -> float:
        return self._publisher._settings.close_timeout

    def _run(self) -> None:
        try:
            self._work.run()
            if self._is_own:
                self._publisher.close(0)
                self._work.settle()
        except self._database.errors as error:
            self._logger.warning(f"The relay ends, and its leases run out: {type(error).__name__}")
        finally:
            if self._ear is not None:
                self._ear.close()
            self._database.close()


def _own_publisher(settings: Settings | None, overrides: dict[str, Any]) -> Publisher:
    found = settings_of(settings, overrides, needs_brokers=True)
    wanted: dict[str, Any] = {"durability": "memory", "delivery_timeout": _DAY}
    changes = {name: value for name, value in wanted.items() if name not in found.model_fields_set}
    return Publisher(found, logger=logging.getLogger("tidings.relay.publisher"), **changes)


def _holder() -> str:
    """A name for leases that is this relay's alone, and tells a person where it runs."""
    return f"{socket.gethostname()[:60]}/{os.getpid()}/{os.urandom(4).hex()}"


def _check(*, batch: int, lease: float, poll: float, keep_sent: float) -> None:
    problems = []
    if not 1 <= batch <= _MOST_IN_A_BATCH:
        problems.append(f"batch: must be from 1 to {_MOST_IN_A_BATCH}")
    if not 1 <= lease <= _DAY:
        problems.append("lease: must be from 1 s to a day")
    if not 0.001 <= poll <= 3600:
        problems.append("poll: must be from 1 ms to an hour")
    if keep_sent < 0:
        problems.append("keep_sent: must not be negative")
    if problems:
        raise ConfigError(f"Relay: {'; '.join(problems)}.")
