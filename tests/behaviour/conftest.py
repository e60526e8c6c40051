"""Running small programs, as users would, against an embedded broker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.programs import PROGRAMS, Run
from tidings.testing import EmbeddedBroker


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def run(broker: EmbeddedBroker) -> Run:
    """Run programs/NAME.py with arguments until it ends well; KAFKA_BROKERS names the broker."""

    def run_program(name: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-W", "error", str(PROGRAMS / f"{name}.py"), *arguments],
            env={**os.environ, "KAFKA_BROKERS": broker.bootstrap_servers},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    return run_program
