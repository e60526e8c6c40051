"""The in-memory Kafka's records by partition, indexed when somebody reads them: publishing pays nothing."""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidings.testing.memorykafka import Headers, InMemoryRecord

Place = tuple[str, int]


class MemoryMessage:
    """A record as a consumer's client gives it (confluent_kafka.Message has this shape)."""

    __slots__ = ("_record",)

    def __init__(self, record: InMemoryRecord) -> None:
        self._record = record

    def topic(self) -> str:
        return self._record.topic

    def partition(self) -> int:
        return self._record.partition

    def offset(self) -> int:
        return self._record.offset

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> Headers | None:
        return self._record.headers or None

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp

    def __len__(self) -> int:
        return len(self._record.value or b"")


class Logs:
    """The partitions of a growing list of records. The caller serialises the calls.

    The list may be cleared at any time: what is gone is gone for readers too, as by retention.
    """

    def __init__(self, records: list[InMemoryRecord]) -> None:
        self._records = records
        self._logs: dict[Place, list[InMemoryRecord]] = {}
        self._seen = 0
        self._last: InMemoryRecord | None = None

    def read(self, place: Place, offset: int, most: int) -> list[InMemoryRecord]:
        """Up to ``most`` records from this offset on."""
        log = self._log(place)
        at = bisect_left(log, offset, key=attrgetter("offset"))
        return log[at : at + most]

    def first(self, place: Place, since: int = 0) -> InMemoryRecord | None:
        """The first record that is as young as ``since`` (milliseconds since 1970), if there is one."""
        return next((record for record in self._log(place) if record.timestamp >= since), None)

    def _log(self, place: Place) -> list[InMemoryRecord]:
        known = self._seen and self._seen - 1
        fresh = self._records[known:]
        if self._last is not None and (not fresh or fresh[0] is not self._last):  # it was cleared
            self._logs.clear()
            known, fresh = 0, self._records[:]
        elif self._last is not None:
            known, fresh = known + 1, fresh[1:]
        for record in fresh:
            self._logs.setdefault((record.topic, record.partition), []).append(record)
        self._seen = known + len(fresh)
        self._last = fresh[-1] if fresh else self._last if known else None
        return self._logs.get(place, [])
