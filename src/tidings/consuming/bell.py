"""A bell: one thread waits for it, any other rings it; also under gevent's monkey patching."""

from __future__ import annotations

import contextlib

from tidings.publishing.threads import native_lock


class Bell:
    """Rung before the wait, it ends it at once; rung twice, it counts once."""

    __slots__ = ("_quiet",)

    def __init__(self) -> None:
        self._quiet = native_lock()
        self._quiet.acquire()

    def ring(self) -> None:
        """End the wait under way, or the next one. Any thread."""
        if self._quiet.locked():
            with contextlib.suppress(RuntimeError):  # another thread was first
                self._quiet.release()

    def wait(self, timeout: float | None) -> bool:
        """Wait for up to ``timeout`` seconds (None: for ever); True if it rang. One thread."""
        return self._quiet.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))
