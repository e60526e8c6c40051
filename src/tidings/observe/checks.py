"""One check of a service: asked once at a time, bounded by its timeout, and remembered for a while."""

from __future__ import annotations

import contextlib
import inspect
import math
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from tidings.errors import TidingsError
from tidings.observe.report import CheckReport
from tidings.observe.secrets import without_secrets
from tidings.publishing.plain import plain
from tidings.states import Health, HealthStatus

if TYPE_CHECKING:
    import asyncio

_LONGEST = 500
_SHARE = 0.8
"""Of the timeout for a publisher that asks Kafka: it knows better than "no answer" what is wrong."""
_PATIENCE = 0.5
"""Seconds to wait for an answer where there is a former one: probes of Kubernetes give up after 1 s."""
_KEPT = 60.0
"""Seconds for which a former answer may stand in, after its ``cache``."""


class HasHealth(Protocol):
    """A Publisher, a Consumer, a Manager, or something of your own that tells its health."""

    @property
    def health(self) -> Callable[..., Any]: ...


Answer = Health | bool | None
Ask = Callable[[], Answer | Awaitable[Answer]]


class Run:
    """One asking. It is over when ``answer`` is there; meanwhile ``former``, the answer of the ``last`` one,
    stands in, where there is one."""

    def __init__(self, last: Run | None) -> None:
        self.former = None if last is None else last.answer.result()
        self._former_asked = -math.inf if last is None else last.asked
        self.started = time.monotonic()
        self.asked: float = self.started
        """When what it answers was asked."""
        self.at = datetime.now(UTC)
        self.answer: Future[CheckReport] = Future()
        self.answer.set_running_or_notify_cancel()  # who stops waiting for it cancels nothing

    def broken_off(self, otherwise: CheckReport) -> None:
        """No answer: the former one stands, as old as it is, and the next who comes asks anew."""
        self.asked = self._former_asked
        self.answer.set_result(self.former or otherwise)


class Check:
    """Asks one thing. Any thread and any loop; whoever comes while it is being asked waits for that answer.

    A sync check has a thread of its own while it runs, and never a second one: where it hangs, there is one
    thread that hangs, and every report says so at once.
    """

    def __init__(
        self, ask: Ask | HasHealth, *, critical: bool, live: bool, timeout: float, cache: float
    ) -> None:
        self.critical = critical
        self.live = live
        self.timeout = timeout
        self._cache = cache
        self._ask = _asker(ask, timeout)
        self._is_async = _is_async(self._ask)
        self.forget()

    def forget(self) -> None:
        """Start afresh: what was under way is somebody else's, the parent's of a fork."""
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, loop: asyncio.AbstractEventLoop | None = None) -> Run:
        """The asking that answers now: the last one, one under way, or a new one. An async check is asked on
        ``loop``, or else on a loop of its own in a thread."""
        with self._lock:
            run = self._run
            if run is not None and (not run.answer.done() or time.monotonic() < run.asked + self._cache):
                return run
            run = self._run = Run(self._standing_in(run))
        if loop is not None and self._is_async:
            self._task = loop.create_task(self._answer_on_loop(run))
        else:
            thread = threading.Thread(target=self._answer, args=(run,), name="tidings-health", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads
                run.answer.set_result(self._report(run, _of_error(error)))
        return run

    def seconds_left(self, run: Run) -> float:
        """How long its answer may still be waited for."""
        patience = self.timeout if run.former is None else min(_PATIENCE, self.timeout)
        return max(0.0, run.started + patience - time.monotonic())

    def found(self, run: Run) -> CheckReport:
        """What it has answered; the former answer while there is time for this one; or that it has not."""
        if run.answer.done():
            return run.answer.result()
        if run.former is not None and time.monotonic() < run.started + self.timeout:
            return run.former
        return self._report(run, self._too_late())

    def _standing_in(self, run: Run | None) -> Run | None:
        """The last run, if its answer is recent and answers may be used again."""
        if run is None or not self._cache or time.monotonic() >= run.asked + self._cache + _KEPT:
            return None
        return run

    def _answer(self, run: Run) -> None:
        found = _unhealthy("unhealthy", "The check was interrupted.")
        try:
            answer = self._ask()
            found = _health(_finished(answer, self.timeout) if inspect.isawaitable(answer) else answer)
        except BaseException as error:  # a SystemExit too: it is an answer, and not the service's end
            found = _of_error(error)
        finally:
            run.answer.set_result(self._report(run, found))

    async def _answer_on_loop(self, run: Run) -> None:
        found = None
        try:
            found = _health(await _bounded(self._ask(), self.timeout))
        except Exception as error:
            found = _of_error(error)
        finally:  # nobody may wait for this run for ever
            if found is not None:
                run.answer.set_result(self._report(run, found))
            else:  # cancelled, with its loop: whoever asked may have waited half a second only
                run.broken_off(self._report(run, _unhealthy("unhealthy", "The check was interrupted.")))

    def _report(self, run: Run, found: Health) -> CheckReport:
        seconds = time.monotonic() - run.started
        if seconds >= self.timeout:  # an answer that came late is none, or a slow check would flap
            found = self._too_late()
        return CheckReport(
            status=found.status,
            critical=self.critical,
            cause=found.cause,
            message=plain(without_secrets(found.message[: 4 * _LONGEST]), _LONGEST),
            duration_ms=round(seconds * 1000, 3),
            checked_at=run.at,
        )

    def _too_late(self) -> Health:
        return _unhealthy("timeout", f"There was no answer within {self.timeout:g} s.")


def _asker(ask: Ask | HasHealth, timeout: float) -> Ask:
    """What to call. ``health()`` of a publisher and its like is told how long it may take."""
    method = getattr(ask, "health", None)
    if not callable(method):
        return ask  # type: ignore[return-value]
    with contextlib.suppress(TypeError, ValueError):
        if "timeout" in inspect.signature(method).parameters:
            return partial(method, timeout=timeout * _SHARE)
    return method  # type: ignore[no-any-return]


def _is_async(ask: Ask) -> bool:
    return inspect.iscoroutinefunction(ask) or inspect.iscoroutinefunction(type(ask).__call__)


async def _bounded(answer: Any, timeout: float) -> Answer:
    import asyncio  # noqa: PLC0415 - costs 30 ms, and only async checks need it

    async with asyncio.timeout(timeout):
        found: Answer = await answer
        return found


def _finished(answer: Awaitable[Answer], timeout: float) -> Answer:
    """The answer of an async check, on a loop of this thread's own."""
    import asyncio  # noqa: PLC0415

    return asyncio.run(_bounded(answer, timeout))


def _health(answer: object) -> Health:
    if isinstance(answer, Health):
        return answer
    if answer is None or answer is True:
        return Health(status=HealthStatus.HEALTHY, cause="healthy", message="It answers.")
    if answer is False:
        return _unhealthy("unhealthy", "The check says no.")
    return _unhealthy(
        "no_answer", f"The check returned a {type(answer).__qualname__}: return a Health, True or False."
    )


def _of_error(error: BaseException) -> Health:
    cause = error.code.lower() if isinstance(error, TidingsError) else "raised"
    return _unhealthy(cause, f"{type(error).__qualname__}: {error}")


def _unhealthy(cause: str, message: str) -> Health:
    return Health(status=HealthStatus.UNHEALTHY, cause=cause, message=message)
