"""HealthRegistry: the checks of a service, asked together and at once."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidings.errors import ConfigError
from tidings.observe.checks import Ask, Check, HasHealth
from tidings.observe.report import CheckReport, HealthReport, overall
from tidings.publishing import forks

if TYPE_CHECKING:
    import asyncio

_TIMEOUT = 2.0
_CACHE = 1.0


class HealthRegistry:
    """Asks everything a service depends on how it is, for its own probes and for people.

        health = HealthRegistry()
        health.register("kafka", publisher)
        health.register("database", lambda: pool.ping(), timeout=2)
        health.register("search", search_is_up, critical=False)

        health.check().ready

    Checks run at the same time, each for as long as its timeout lets it; the first report takes no longer
    than the longest timeout, whatever hangs, and those that follow half a second: probes do not time out
    while what is asked does. Any thread, any event loop, forked children too.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        forks.watch(self)

    def register(
        self,
        name: str,
        check: Ask | HasHealth,
        *,
        critical: bool = True,
        live: bool = False,
        timeout: float = _TIMEOUT,
        cache: float = _CACHE,
    ) -> None:
        """Ask ``check`` under this ``name`` from now on.

        ``check`` is a Publisher, Consumer or Manager, something else with ``health()``, or a function, plain
        or async, without arguments. It returns a Health, True or False; returning None is healthy too, and
        what it raises is the reason why not. Async ones run on the event loop that ``acheck`` is awaited on,
        and for ``check`` on one of their own.

        ``critical``: when it is unhealthy so is the service; others degrade it. ``live``: ``alive()`` asks
        it too: for what only a restart mends, such as ``lambda: not publisher.stats().failed``. ``timeout``
        in seconds: no answer by then is unhealthy. ``cache`` in seconds: for so long an answer is used
        again, whoever asks. For a minute more it stands in when the next one takes longer than 0.5 s, which
        is then there for whoever asks later; ``checked_at`` says how old it is. An async check whose loop
        ends before is asked anew by the next. 0: answers are never used again; those who ask while it is
        being asked share the answer all the same.

        Raises ConfigError for a name that is taken, and for what cannot be asked.
        """
        if name in self._checks:
            raise ConfigError(f"register({name!r}): this name is taken. Choose another, or unregister it.")
        if not (callable(check) or callable(getattr(check, "health", None))):
            raise ConfigError(f"register({name!r}): give a function, or something with health().")
        if not (0 < timeout < float("inf") and 0 <= cache < float("inf")):
            raise ConfigError(f"register({name!r}): timeout is seconds above 0, cache seconds from 0 on.")
        one = Check(check, critical=critical, live=live, timeout=timeout, cache=cache)
        self._checks = {**self._checks, name: one}  # a report under way goes through the former

    def unregister(self, name: str) -> None:
        """Ask it no more. Nothing happens for a name that is not known."""
        self._checks = {known: one for known, one in self._checks.items() if known != name}

    def check(self) -> HealthReport:
        """Ask all of them. Blocks for as long as the slowest: its timeout at most the first time, then half a
        second. Raises nothing.

        In a coroutine await ``acheck``.
        """
        return self._ask(self._checks)

    async def acheck(self) -> HealthReport:
        """``check`` for a coroutine: never blocks the loop, but for async checks that block it themselves."""
        return await self._ask_on_loop(self._checks)

    def alive(self) -> HealthReport:
        """Ask those registered as ``live``. Without any the process is alive: it answers."""
        return self._ask(self._live())

    async def aalive(self) -> HealthReport:
        """``alive`` for a coroutine."""
        return await self._ask_on_loop(self._live())

    def before_fork(self) -> Callable[[], None]:
        """Nothing here has to stand still."""
        return lambda: None

    def after_fork(self) -> None:
        """In a forked child: what was being asked was the parent's business."""
        for check in self._checks.values():
            check.forget()

    def _live(self) -> dict[str, Check]:
        return {name: check for name, check in self._checks.items() if check.live}

    @staticmethod
    def _ask(checks: dict[str, Check]) -> HealthReport:
        started, at = time.monotonic(), datetime.now(UTC)
        runs = {name: (check, check.begin()) for name, check in checks.items()}
        for check, run in runs.values():
            concurrent.futures.wait([run.answer], check.seconds_left(run))
        return _report({name: check.found(run) for name, (check, run) in runs.items()}, started, at)

    @staticmethod
    async def _ask_on_loop(checks: dict[str, Check]) -> HealthReport:
        import asyncio  # noqa: PLC0415 - costs 30 ms, and whoever awaits has it already

        started, at = time.monotonic(), datetime.now(UTC)
        loop = asyncio.get_running_loop()
        runs = {name: (check, check.begin(loop)) for name, check in checks.items()}
        for check, run in runs.values():
            await _wait(run.answer, check.seconds_left(run))
        return _report({name: check.found(run) for name, (check, run) in runs.items()}, started, at)


def _report(checks: dict[str, CheckReport], started: float, at: datetime) -> HealthReport:
    return HealthReport(
        status=overall(checks),
        checks=checks,
        duration_ms=round((time.monotonic() - started) * 1000, 3),
        checked_at=at,
    )


async def _wait(answer: concurrent.futures.Future[CheckReport], seconds: float) -> None:
    import asyncio  # noqa: PLC0415

    if not answer.done() and seconds:
        mirror: asyncio.Future[CheckReport] = asyncio.wrap_future(answer)
        try:
            await asyncio.wait([mirror], timeout=seconds)
        finally:
            mirror.cancel()
