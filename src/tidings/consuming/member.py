"""Member: one consumer under a Manager, from life to life."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

import msgspec

from tidings.consuming.consumer import Consumer
from tidings.consuming.restarts import Restarts
from tidings.consuming.states import ConsumerCounts, ConsumerReport, ManagedStats
from tidings.publishing.threads import native_lock
from tidings.states import Health, HealthStatus

_LEAVING = 3.0
"""Seconds for a life that failed to leave its group, before the next one joins it all the same."""


class Phase(Enum):
    """Where a member is: ``WAITING`` to be started again, ``ENDED`` for good, by a Stop or by ``close``."""

    NEW = auto()
    RUNNING = auto()
    WAITING = auto()
    ENDED = auto()


class Member:
    """Begins lives, sees them fail, and counts over all of them.

    ``renew`` makes the consumer of each life after the first; None: the same one lives again. ``begin`` comes
    first; ``look`` and ``leave`` are for the manager's thread, the rest for any.
    """

    def __init__(
        self, name: str, consumer: Consumer, renew: Callable[[], Consumer] | None, logger: logging.Logger
    ) -> None:
        self.name = name
        self.consumer = consumer
        self.phase = Phase.NEW
        self._renew = renew
        self._logger = logger
        self._loop: Any = None
        self._restarts = Restarts(random.random)
        self._failure: BaseException | None = None
        self._failed_at = 0.0
        self._before = ConsumerCounts()
        self._changing = native_lock()

    def begin(self, loop: Any) -> None:
        """The first life; async handlers run on ``loop``, or on one of the consumer's own. Raises as
        ``Consumer.start`` does."""
        self._loop = loop
        self.consumer._begin(self.consumer._runner(loop))
        self._restarts.begin(time.monotonic())
        self.phase = Phase.RUNNING

    def look(self) -> None:
        """See whether the life has ended, and begin the next one when its time has come. Raises nothing."""
        if self.phase is Phase.RUNNING:
            self._look_for_the_end()
        elif self.phase is Phase.WAITING and self._is_due():
            self._begin_again()

    def stop(self, timeout: float) -> None:
        """Begin the end of the life that is; returns at once."""
        if (engine := self.consumer._engine) is not None:
            engine.stop(timeout)

    def leave(self, began: float, timeout: float) -> ConsumerReport:
        """Wait for that end, for up to ``timeout`` seconds (and 3 more) after ``began``, of monotonic()."""
        engine = self.consumer._engine
        if engine is None:
            return ConsumerReport().plus(self._before)
        return self.consumer._end_of(engine, began, timeout).plus(self._before)

    def is_own_thread(self) -> bool:
        """True in a handler of this consumer: waiting for its end would wait for oneself."""
        engine = self.consumer._engine
        return engine is not None and engine.is_own_thread()

    def report(self) -> ConsumerReport:
        """How things stand, when nobody may wait."""
        engine = self.consumer._engine
        return (ConsumerReport() if engine is None else engine.report(0.0)).plus(self._before)

    def stats(self) -> ManagedStats:
        """The counters of all lives, and what else the present one says."""
        with self._changing:
            found = self.consumer.stats().plus(self._before)
        return ManagedStats(**msgspec.structs.asdict(found), restarts=self._restarts.count)

    def health(self, timeout: float) -> Health:
        """How it is doing; that it failed is not forgotten before a life has held. Raises nothing."""
        phase, now = self.phase, time.monotonic()
        if phase is Phase.WAITING:
            return _health(
                HealthStatus.UNHEALTHY,
                "restarting",
                f"It failed, and is started again in about {max(0.0, self._restarts.due - now):.0f} s "
                f"(failures in a row: {self._restarts.in_a_row}): {self._failure}",
            )
        if phase is Phase.ENDED:
            engine = self.consumer._engine
            why = "" if engine is None else engine.reason
            words = "The consumer has stopped, as it was asked to; it is not started again."
            return _health(HealthStatus.DEGRADED, "stopped", f"{words} {why}".rstrip())
        found = self.consumer.health(timeout)
        if found.ok and self._failure is not None and self._restarts.is_fresh(now):
            words = f"It failed, and runs again (failures in a row: {self._restarts.in_a_row})"
            return _health(HealthStatus.DEGRADED, "restarted", f"{words}: {self._failure}")
        return found

    # -- within

    def _look_for_the_end(self) -> None:
        engine = self.consumer._engine
        if engine is None or not engine.polling.join(0):
            return
        if engine.failure is not None and not engine.reason and not self.consumer._reports:
            self._fail(engine.failure)
        else:
            self.phase = Phase.ENDED
            self._logger.warning(f"Consumer {self.name!r} has stopped. {engine.reason}".rstrip())

    def _fail(self, failure: BaseException) -> None:
        self._failure, self._failed_at = failure, time.monotonic()
        pause = self._restarts.fail(self._failed_at)
        self.phase = Phase.WAITING
        self._logger.error(
            f"Consumer {self.name!r} failed, and is started again in {pause:.1f} s; the others go on: "
            f"{failure!r}"
        )

    def _is_due(self) -> bool:
        now, engine = time.monotonic(), self.consumer._engine
        if now < self._restarts.due:
            return False
        return engine is None or engine.is_closed or now >= self._failed_at + _LEAVING

    def _begin_again(self) -> None:
        self._restarts.begin(time.monotonic())
        try:
            renewed = self.consumer if self._renew is None else self._renew()
            with self._changing:
                self._before = self._before.plus(self.consumer.stats())
                if renewed is self.consumer:
                    renewed._forget()
                self.consumer = renewed
            renewed._begin(renewed._runner(self._loop))
        except Exception as error:
            self._fail(error)
        else:
            self.phase = Phase.RUNNING
            self._logger.warning(f"Consumer {self.name!r} is started again, time {self._restarts.count}.")


def _health(status: HealthStatus, cause: str, message: str) -> Health:
    return Health(status=status, cause=cause, message=message)
