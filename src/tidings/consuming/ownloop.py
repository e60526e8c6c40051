"""An event loop of the consumer's own, on its own thread, for async handlers without an application's."""

from __future__ import annotations

import asyncio
import time

from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings
from tidings.consuming.looprelay import LoopRelay
from tidings.consuming.reading import Reading
from tidings.publishing.threads import NativeThread


class OwnLoopRelay(LoopRelay):
    """A LoopRelay with its loop, which ends with it."""

    def __init__(
        self, holdings: Holdings, reading: Reading, fate: Fate, workers: int, hang_exit: float
    ) -> None:
        super().__init__(holdings, reading, fate, workers, hang_exit, asyncio.new_event_loop())
        self._thread = NativeThread(self._serve, "tidings-loop")

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when none can be made."""
        self._thread.start()
        super().start()

    def stop(self, timeout: float) -> None:
        """Cancel every task, and end the loop, within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        super().stop(timeout)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(max(0.0, end - time.monotonic()))

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()
