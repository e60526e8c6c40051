"""An event loop of the consumer's own, on its own thread, for async handlers without an application's."""

from __future__ import annotations

import asyncio
import time

from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings
from tidings.consuming.looprelay import LoopRelay
from tidings.consuming.reading import Reading
from tidings.publishing.threads import NativeThread


class OwnLoop:
    """A loop and its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = NativeThread(self._serve, "tidings-loop")

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when none can be made."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the loop within ``timeout`` seconds."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


class OwnLoopRelay(LoopRelay):
    """A LoopRelay with its loop, which ends with it."""

    def __init__(
        self, holdings: Holdings, reading: Reading, fate: Fate, workers: int, hang_exit: float
    ) -> None:
        self._own = OwnLoop()
        super().__init__(holdings, reading, fate, workers, hang_exit, self._own.loop)

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when none can be made."""
        self._own.start()
        super().start()

    def stop(self, timeout: float) -> None:
        """Cancel every task, and end the loop, within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        super().stop(timeout)
        self._own.stop(max(0.0, end - time.monotonic()))
