"""Closing a publisher when its program is asked to stop: an ASGI lifespan, and signals in a plain script.

gunicorn needs nothing of this. A publisher made at import, with ``--preload`` too, works in every worker and
is closed at each worker's exit, by SIGTERM, SIGINT, SIGQUIT and ``--max-requests``. For another timeout than
CLOSE_TIMEOUT, in ``gunicorn.conf.py``::

    def worker_exit(server, worker):
        from service import publisher

        publisher.close(timeout=5)

Celery's prefork children end without Python's exit handlers, and Celery does not wait long for them::

    @celery.signals.worker_process_shutdown.connect
    def close(**_):
        publisher.close(timeout=3)
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any

from tidings.publishing.publisher import Publisher

Lifespan = Callable[[Any], AbstractAsyncContextManager[dict[str, Publisher]]]


def lifespan(publisher: Publisher | Callable[[], Publisher], *, timeout: float | None = None) -> Lifespan:
    """A lifespan for Starlette and FastAPI that closes the publisher when the service stops.

        app = Starlette(routes=…, lifespan=tidings.lifespan(publisher))

    Its state is ``{"publisher": publisher}``, so a handler finds it as ``request.state.publisher``. Given a
    callable (``tidings.lifespan(Publisher.from_env)``) each start makes a publisher of its own: for an
    application that is started more than once in a process, as tests do. In a lifespan of your own, write
    ``async with tidings.lifespan(publisher)(app):``, around what still publishes when it stops.

    Closing delivers for up to ``timeout`` seconds (default CLOSE_TIMEOUT) and takes at most 3 s longer; keep
    the server's own patience above that (``--timeout-graceful-shutdown``, ``--graceful-timeout``).
    """

    @asynccontextmanager
    async def closing(_: object) -> AsyncIterator[dict[str, Publisher]]:
        made = publisher if isinstance(publisher, Publisher) else publisher()
        try:
            yield {"publisher": made}
        finally:
            await made.aclose(timeout)

    return closing


def close_on_signals(
    publisher: Publisher,
    *,
    signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    timeout: float | None = None,
) -> AbstractContextManager[Publisher]:
    """A ``with`` that closes the publisher at its end, and that these signals end.

        with tidings.close_on_signals(Publisher.from_env()) as publisher:
            work(publisher)

    A signal raises SystemExit (128 + its number) in the main thread, so ``finally`` and ``with`` do their
    work and the process ends with that status; without this, SIGTERM ends a process where it stands. Closing
    delivers for up to ``timeout`` seconds (default CLOSE_TIMEOUT) and takes at most 3 s longer; a signal
    meanwhile does not shorten it. A signal that was ignored stays ignored. Afterwards the handlers are what
    they were. With asyncio, put it around ``asyncio.run``. Raises RuntimeError off the main thread, where
    Python handles no signals.
    """
    return _ClosedOnSignals(publisher, tuple(signals), timeout)


class _ClosedOnSignals:
    def __init__(
        self, publisher: Publisher, signals: tuple[signal.Signals, ...], timeout: float | None
    ) -> None:
        self._publisher = publisher
        self._signals = signals
        self._timeout = timeout
        self._former: dict[signal.Signals, Any] = {}
        self._late: int | None = None

    def __enter__(self) -> Publisher:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("close_on_signals() is for the main thread; close() works on any")
        try:
            for number in self._signals:
                former = signal.getsignal(number)
                if former is not signal.SIG_IGN:
                    self._former[number] = former
                    signal.signal(number, self._stop)
        except BaseException:
            self._restore()
            raise
        return self._publisher

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self._publisher.close(self._timeout)
        finally:
            self._restore()
        if self._late is not None and kind is None:
            raise SystemExit(128 + self._late)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Raise, again too: what a handler raises inside a ``__del__`` gets lost. Not while closing.

        A frame tells that, not a flag: a signal from before is handled ahead of the first line of
        ``__exit__``, and would keep it from closing.
        """
        if _runs(_LEAVING, frame):
            self._late = number
        else:
            raise SystemExit(128 + number)

    def _restore(self) -> None:
        for number, former in self._former.items():
            signal.signal(number, signal.SIG_DFL if former is None else former)


_LEAVING = _ClosedOnSignals.__exit__.__code__


def _runs(code: CodeType, frame: FrameType | None) -> bool:
    """Whether a function is on the stack."""
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
