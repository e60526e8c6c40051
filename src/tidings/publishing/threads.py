"""Native threads and locks for the engine, also under gevent's monkey patching.

A patched thread is a greenlet: one that waits in librdkafka's poll() stops the whole hub (15 s measured).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")
_ENDED = -1
_SHORTEST_NAP = 0.001
_LONGEST_NAP = 0.02


def _original(module: str, name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return monkey.get_original(module, name) if monkey else getattr(import_module(module), name)


def is_patched() -> bool:
    """True when gevent has replaced the threading module's parts."""
    monkey = sys.modules.get("gevent.monkey")
    return bool(monkey and monkey.is_module_patched("threading"))


def native_lock() -> threading.Lock:
    """A lock of the operating system. Held briefly; never while a greenlet may switch."""
    lock: threading.Lock = _original("_thread", "allocate_lock")()
    return lock


def native_rlock() -> Any:
    """A re-entrant lock of the operating system, which knows whether the caller owns it."""
    return _original("_thread", "RLock")()


def native_queue() -> Any:
    """A SimpleQueue that blocks the thread, not the hub."""
    return _original("_queue", "SimpleQueue")()


class NativeThread:
    """A daemon thread of the operating system with a bounded join."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._name = name
        self._ended = native_lock()
        self._once = native_lock()
        self._ident: int | None = None

    def start(self) -> None:
        """Start it, once. Raises RuntimeError when no thread can be made.

        May be called again when a signal handler raised in here: a second thread ends at once.
        """
        self._ended.acquire(blocking=False)
        if self._ident is None:
            _original("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        if not self._once.acquire(blocking=False):
            return
        self._ident = _original("_thread", "get_ident")()
        try:
            self._target()
        finally:
            self._ident = _ENDED  # the next thread may get the same number
            self._ended.release()

    @property
    def has_begun(self) -> bool:
        """True once the thread runs, and after its end."""
        return self._ident is not None

    @property
    def is_alive(self) -> bool:
        """True from its first moment to its end."""
        return self._ident not in {None, _ENDED}

    @property
    def is_current(self) -> bool:
        """True when the caller runs on this thread."""
        return bool(self._ident == _original("_thread", "get_ident")())

    def join(self, timeout: float | None) -> bool:
        """Wait for its end for up to ``timeout`` seconds (None: for ever); True if it came."""
        if self._ident != _ENDED and acquire(self._ended, timeout):
            self._ended.release()  # a signal handler may come before this; the number tells all the same
        return self._ident == _ENDED


def acquire(lock: threading.Lock, timeout: float | None) -> bool:
    """Acquire a native lock within ``timeout`` seconds (None: no end), letting greenlets run meanwhile."""
    if not is_patched():
        return lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX))
    end = None if timeout is None else time.monotonic() + timeout
    nap = _SHORTEST_NAP
    while not lock.acquire(blocking=False):
        if end is not None and time.monotonic() >= end:
            return False
        time.sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)
    return True


def off_the_hub(work: Callable[[], T]) -> T:
    """Run ``work``, which blocks in librdkafka, without stopping the other greenlets, where there are any."""
    if not is_patched():
        return work()
    results: list[T] = []
    thread = NativeThread(lambda: results.append(work()), "tidings-work")
    thread.start()
    thread.join(None)
    return results[0]
