"""Publishers on the in-memory transport, whose books are checked at the end of every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from support.books import MakePublisher, check_books, check_closed
from tidings import Publisher
from tidings.testing.memory import InMemoryTransport


@pytest.fixture(autouse=True)
def _no_kafka_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("KAFKA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def transport() -> InMemoryTransport:
    """An in-memory Kafka."""
    return InMemoryTransport()


@pytest.fixture
def make_publisher(transport: InMemoryTransport) -> Iterator[MakePublisher]:
    """Makes publishers on ``transport`` (or another one given); closes them and checks their books."""
    made: list[Publisher] = []

    def make(**overrides: Any) -> Publisher:
        made.append(
            Publisher(
                **{
                    "transport": transport,
                    "service": "tests",
                    "retry_max": 1,
                    "retry_backoff": 0.001,
                    **overrides,
                }
            )
        )
        return made[-1]

    yield make
    for publisher in made:
        check_closed(publisher, 5)
        check_books(publisher)


@pytest.fixture
def publisher(make_publisher: MakePublisher) -> Publisher:
    """A publisher on ``transport``."""
    return make_publisher()
