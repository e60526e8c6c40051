"""Listening: Postgres tells a relay that rows were committed, so that it need not look so often."""

from __future__ import annotations

import time
from typing import Any

from tidings.consuming.bell import Bell
from tidings.outbox.database import Database

_SLICE = 0.2
"""Seconds for which a bell is not heard."""


class Ear:
    """Waits for ``NOTIFY`` of one channel, on a connection of its own that is opened anew when it broke.

    What comes while nobody waits is kept by the connection. One thread. Raises ConfigError without psycopg.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._connection: Any = None

    def wait(self, bell: Bell, timeout: float) -> bool:
        """Wait for a notification or the bell, up to ``timeout`` seconds; True when either came,
        and when it has only begun to listen.

        Raises what the driver raises; the next call connects again.
        """
        end = time.monotonic() + timeout
        try:
            if self._connection is None:
                self._connect()
                return True  # what was committed before this was not told
            while (left := end - time.monotonic()) > 0:
                if any(self._connection.notifies(timeout=min(_SLICE, left), stop_after=1)) or bell.wait(0):
                    return True
        except BaseException:
            self.close()
            raise
        return False

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        self._connection = self._database.listener()
        self._connection.autocommit = True
        self._connection.execute(f'LISTEN "{self._channel}"')
