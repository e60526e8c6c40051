"""The notify thread: users' functions are called here, where one that blocks or raises harms no delivery."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidings.publishing.storms import Storm
from tidings.publishing.threads import NativeThread, native_queue, native_rlock
from tidings.publishing.voice import Voice

if TYPE_CHECKING:
    from queue import SimpleQueue


class Callback:
    """A user's function and what it is told of: an entry, or a signal. To be called once."""

    __slots__ = ("called", "fn", "of")

    def __init__(self, fn: Callable[[Any], object], of: object) -> None:
        self.fn = fn
        self.of = of
        self.called = False


class Notifier:
    """The thread and its queue. It starts with the first call, also with the first one after ``stop``."""

    def __init__(self, voice: Voice) -> None:
        self._calls: SimpleQueue[Callback | None] = native_queue()
        self.complaints = Storm(voice, logging.ERROR, "a callback raised")
        self._lock = native_rlock()
        self._thread: NativeThread | None = None

    def put(self, callback: Callback) -> None:
        """Have it called, unless it was."""
        self._calls.put(callback)
        thread = self._thread
        if thread is None or not thread.has_begun:
            self._start()

    def call(self, fn: Callable[[Any], object], of: object) -> None:
        """Have ``fn(of)`` called."""
        self.put(Callback(fn, of))

    @property
    def waiting(self) -> int:
        """How many calls have not been made yet."""
        return self._calls.qsize()

    def stop(self, timeout: float) -> None:
        """Give the thread up to ``timeout`` seconds for what it has, then leave it."""
        thread = self._thread
        if thread is not None:
            self._calls.put(None)
            thread.join(timeout)

    @property
    def is_current_thread(self) -> bool:
        """True on the notify thread."""
        thread = self._thread
        return thread is not None and thread.is_current

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = NativeThread(self._run, "tidings-notify")
            try:
                self._thread.start()
            except RuntimeError as error:
                self.complaints.record(f"no thread to call callbacks on: {error}")

    def _run(self) -> None:
        while (callback := self._calls.get()) is not None:
            if not callback.called:
                callback.called = True
                self._call(callback)
            del callback  # not kept alive until the next one comes
        self._thread = None
        if not self._calls.empty():  # a callback that came behind the stop
            self._start()

    def _call(self, callback: Callback) -> None:
        try:
            callback.fn(callback.of)
        except BaseException as error:  # a callback's SystemExit must not silence the others
            self.complaints.record(
                f"it was told of {callback.of!r:.300}", raised=error, error=type(error).__qualname__
            )
