"""A transport without records: what a disabled consumer has in place of Kafka (KAFKA_ENABLED=false)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from tidings.consuming.message import Record
from tidings.states import Health, HealthStatus

PlaceName = tuple[str, int]


class Idling:
    """Makes members that are given no partition; the rest of the consumer is as ever, and ends as ever."""

    def member(self, group: str, told: object) -> IdleMember:
        """A member of no group."""
        return IdleMember()

    def letter_writer(self) -> NoReturn:
        """Nobody has a letter to write."""
        raise AssertionError("a disabled consumer has no letters")

    def health(self, timeout: float) -> Health:
        """Nothing was asked for, and nothing is missing."""
        return Health(status=HealthStatus.HEALTHY, cause="disabled", message="Nothing is consumed.")


class IdleMember:
    """A client (see ``polling.Client``) to which nothing ever comes."""

    def __init__(self) -> None:
        self._never = threading.Event()

    def subscribe(self, topics: Sequence[str], **callbacks: Any) -> None:
        """Nothing will be called."""

    def fetch(self, most: int, timeout: float) -> list[tuple[str, int, Sequence[Record]]]:
        """Wait, as a poll does."""
        self._never.wait(timeout)
        return []

    def store(self, positions: Iterable[tuple[str, int, int]]) -> list[PlaceName]:
        """Nothing is ever finished."""
        return []

    def mark(self, place: PlaceName, offset: int, metadata: str) -> None:
        """Nothing begins."""

    def pause(self, places: Iterable[PlaceName]) -> None:
        """Nothing is full."""

    def resume(self, places: Iterable[PlaceName]) -> None:
        """Nothing was paused."""

    def bounds(self, place: PlaceName) -> tuple[int, int]:
        """Unknown."""
        return -1, -1

    def committed(self, places: Iterable[PlaceName], timeout: float) -> dict[PlaceName, tuple[int, str]]:
        """Nothing."""
        return {}

    def first_offset(self, place: PlaceName, timeout: float) -> int | None:
        """Unknown."""
        return None

    def seek(self, place: PlaceName, offset: int) -> None:
        """No partition is assigned, so nobody asks."""

    def offsets_at(self, places: Iterable[PlaceName], ms: int, timeout: float) -> dict[PlaceName, int]:
        """Nowhere."""
        return {}

    def close(self) -> None:
        """There is no group to leave."""
