"""What the contract of consuming stands on: the carrier under test, fixtures, and small helpers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from tidings import Consumer, DeadLetter, Publisher
from tidings.testing.contract import Carrier

WAIT = 60.0
"""Seconds any single wait of this suite may take."""


class ConsumerCarrier(Carrier, Protocol):
    """A transport under test: makes consumers on it too, and tells what their groups have committed."""

    def consumer(self, **options: Any) -> Consumer:
        """A consumer on this transport; the caller gives topics and group, starts and closes it."""

    def committed(self, topic: str, group: str) -> dict[int, int]:
        """The offsets that the group has committed by partition, found by other means than the consumer."""


class ConsumerSuite:
    """Fixtures. A subclass gives ``carrier``."""

    @pytest.fixture
    def topic(self, carrier: ConsumerCarrier) -> str:
        return carrier.new_topic()

    @pytest.fixture
    def group(self) -> str:
        return f"group-{uuid.uuid4().hex[:12]}"

    @pytest.fixture
    def publisher(self, carrier: ConsumerCarrier) -> Iterator[Publisher]:
        with carrier.publisher(service="contract", durability="memory") as publisher:
            yield publisher


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def handler_of(kind: Any, act: Callable[[Any], None], *, is_async: bool = False) -> Callable[[Any], Any]:
    """A handler, plain or async, whose parameter is annotated with ``kind``."""

    def handle(event: Any) -> None:
        act(event)

    async def ahandle(event: Any) -> None:
        act(event)

    handler: Callable[[Any], Any] = ahandle if is_async else handle
    handler.__annotations__["event"] = kind
    return handler


def letters_of(carrier: ConsumerCarrier, topic: str, count: int) -> list[DeadLetter]:
    """The letters on a dead-letter topic, by the value of their events."""
    letters = [DeadLetter.decode(record.value) for record in carrier.read(topic, count)]
    return sorted(letters, key=lambda letter: letter.value or b"")
