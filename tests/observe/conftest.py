"""What the tests of watching share: a broker, and no variables of the person who runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tidings.testing import EmbeddedBroker


@pytest.fixture(autouse=True)
def _no_kafka_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker
