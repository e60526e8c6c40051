"""Waking those who wait for a delivery: threads, event loops, and done-callbacks."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from tidings.publishing.threads import NativeThread, acquire, native_lock, native_queue, native_rlock

if TYPE_CHECKING:
    import asyncio
    from queue import SimpleQueue

    from tidings.publishing.entry import Delivery


class Waking:
    """All waiting of one engine. An entry has a list of waiters only once somebody waits for it."""

    def __init__(self, nudge: Callable[[], None], logger: logging.Logger) -> None:
        self._nudge = nudge
        self._lock = native_rlock()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopWaker] = (
            weakref.WeakKeyDictionary()
        )
        self._notifier = Notifier(logger)
        self.inherited = False

    def wait(self, entry: Delivery, timeout: float | None) -> None:
        """Block until ``entry`` is done; TimeoutError otherwise."""
        self._refuse_inherited()
        arrived = native_lock()
        arrived.acquire()
        self._add(entry, arrived.release)
        try:
            if not acquire(arrived, timeout):
                raise TimeoutError(f"{entry.event_id} is not settled after {timeout} s; it stays accepted")
        finally:
            self._discard(entry, arrived.release)

    def future(self, entry: Delivery) -> Generator[Any, None, None]:
        """Suspend the running task until ``entry`` is done."""
        import asyncio  # noqa: PLC0415 - costs 30 ms, and whoever awaits has it already

        self._refuse_inherited()
        loop = asyncio.get_running_loop()
        waker = self._loops.get(loop)
        if waker is None:
            waker = self._loops.setdefault(loop, _LoopWaker(loop))
        future = loop.create_future()

        def arrived() -> None:
            waker.wake(future)

        self._add(entry, arrived)
        try:
            yield from future
        finally:
            if not future.done() or future.cancelled():
                self._discard(entry, arrived)

    def notify(self, entry: Delivery, fn: Callable[[Delivery], object]) -> None:
        """Have ``fn(entry)`` called on the notify thread once ``entry`` is done."""
        self._refuse_inherited()
        self._add(entry, lambda: self._notifier.put(entry, fn))

    def wake(self, entry: Delivery) -> None:
        """Call the waiters of an entry that is done, each once."""
        with self._lock:
            waiters, entry._waiters = entry._waiters, None
        for call in waiters or ():
            call()

    @property
    def is_current_thread(self) -> bool:
        """True on the notify thread."""
        return self._notifier.is_current_thread

    def stop(self, timeout: float) -> None:
        """Give the notify thread up to ``timeout`` seconds for the callbacks it has, then leave it."""
        self._notifier.stop(timeout)

    def _add(self, entry: Delivery, call: Callable[[], None]) -> None:
        with self._lock:
            if entry._waiters is None:
                entry._waiters = [call]
            else:
                entry._waiters.append(call)
        # The report sets the state before it reads the waiters, and here it is the other way round:
        # one of the two sees the other.
        if entry.done():
            self.wake(entry)
        else:
            self._nudge()

    def _discard(self, entry: Delivery, call: Callable[[], None]) -> None:
        with self._lock:
            if entry._waiters is not None and call in entry._waiters:
                entry._waiters.remove(call)

    def _refuse_inherited(self) -> None:
        if self.inherited:
            raise RuntimeError("this Delivery belongs to the parent process; a fork cannot wait for it")


class _LoopWaker:
    """Sets futures on their own loop: one call_soon_threadsafe for all that came meanwhile.

    Measured 1.3 to 1.5 times the rate of one call for each.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._settled: deque[asyncio.Future[None]] = deque()
        self._armed = False

    def wake(self, future: asyncio.Future[None]) -> None:
        self._settled.append(future)
        if not self._armed:
            self._armed = True
            loop = self._loop()
            if loop is None or loop.is_closed():
                self._settled.clear()  # nobody can be waiting on a closed loop
                return
            try:
                loop.call_soon_threadsafe(self._drain)
            except RuntimeError:  # it closed just now
                self._settled.clear()

    def _drain(self) -> None:
        self._armed = False
        while self._settled:
            future = self._settled.popleft()
            if not future.done():
                future.set_result(None)


class Notifier:
    """The notify thread: runs users' callbacks, so that one that blocks or raises harms no delivery."""

    def __init__(self, logger: logging.Logger) -> None:
        self._calls: SimpleQueue[tuple[Delivery, Callable[[Delivery], object]] | None] = native_queue()
        self._logger = logger
        self._lock = native_rlock()
        self._thread: NativeThread | None = None

    def put(self, entry: Delivery, fn: Callable[[Delivery], object]) -> None:
        self._calls.put((entry, fn))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = NativeThread(self._run, "tidings-notify")
                    thread.start()
                    self._thread = thread

    def stop(self, timeout: float) -> None:
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join(timeout)

    @property
    def is_current_thread(self) -> bool:
        return self._thread is not None and self._thread.is_current

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            entry, fn = call
            try:
                fn(entry)
            except BaseException:  # a callback's SystemExit must not silence the others
                self._logger.exception(f"a done-callback of {entry.event_id} raised")
