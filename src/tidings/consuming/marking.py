"""Marks: what waits until it is written down that it begins, and events handled alone (ENGINE C7)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from tidings.consuming.holdings import Holdings, PlaceName
from tidings.consuming.lives import Life, Lives
from tidings.consuming.places import Chunk, Tenure

_SPAN = 1_000
"""So many events are handled one at a time: no more were fetched ahead when the last process died."""
_PATIENCE = 5.0
"""Seconds that events wait for a mark where nobody has died yet; then they are handled without one."""


class Commits(Protocol):
    """What marks need of the Kafka client."""

    def mark(self, place: PlaceName, offset: int, metadata: str) -> None: ...
    def bounds(self, place: PlaceName) -> tuple[int, int]: ...


class Marking:
    """Lets chunks pass that may be handled now. On the polling thread alone.

    A tenure's first event waits until Kafka has the number of this life: a few milliseconds. Where two lives
    have ended without progress everything is handled one at a time, each event after its own mark, until the
    deadly one is found: that one becomes a letter when it has killed twice.
    """

    def __init__(
        self,
        client: Commits,
        holdings: Holdings,
        by: str,
        is_idle: Callable[[], bool],
        condemn: Callable[[Chunk, int], None],
        logger: logging.Logger,
    ) -> None:
        self._client = client
        self._holdings = holdings
        self._by = by
        self._is_idle = is_idle
        self._condemn = condemn
        self._logger = logger
        self._shut: list[Tenure] = []
        """Tenures of which something waits, or will."""
        self._alone: Chunk | None = None
        self._is_condemned = False
        """Of that event no handler has anything: its letter is on its way."""
        self._turn: Tenure | None = None
        """Whose events are taken alone now: a mark of another one's would stay, and count as a death."""

    @property
    def is_waiting(self) -> bool:
        """True while chunks wait for marks, or one event is handled alone."""
        alone = self._alone
        is_in_hand = alone is not None and not alone.tenure.is_leaving
        return is_in_hand or any(tenure.life.waiting for tenure in self._shut)

    def begin(self, tenure: Tenure, offset: int | None = None, metadata: str = "") -> None:
        """The tenure begins, where this was committed if anything was."""
        tenure.life = life = Life(Lives.read(metadata), self._by, offset, time.monotonic())
        self._shut.append(tenure)
        if life.is_careful:
            self._logger.warning(
                f"{_place(tenure)}: {life.now.lives - 1} processes in a row ended without progress here. Its "
                "events are handled one at a time until the one is found that does it."
            )

    def let_pass(self, chunks: list[Chunk]) -> list[Chunk]:
        """Those of these that may be handled now; the others wait."""
        if not self._shut:
            return chunks
        self._shut = [tenure for tenure in self._shut if not tenure.is_leaving]
        careful = any(tenure.life.is_careful for tenure in self._shut)
        passed = []
        for chunk in chunks:
            life = chunk.tenure.life
            if life.is_open and not life.waiting and not careful:
                passed.append(chunk)
                continue
            life.waiting.append(chunk)
            if chunk.tenure not in self._shut:
                self._shut.append(chunk.tenure)
        return passed + (self._one_at_a_time() if careful else self._opened())

    def told(self, place: PlaceName, offset: int, metadata: str | None) -> None:
        """Kafka has this commit: a mark, or progress."""
        tenure = self._holdings.tenures.get(place)
        if tenure is None or (at := tenure.life.at) is None:
            return
        life = tenure.life
        if offset == at and metadata in (None, life.now.text):
            life.is_open = True
        elif offset > at:
            life.is_suspect = False

    def leave(self, tenures: Iterable[Tenure]) -> None:
        """These are let go in order: a tenure without progress was no death."""
        for tenure in tenures:
            life, position = tenure.life, tenure.watermark.position
            life.is_careful = False
            if position is not None and position == life.at:
                self._client.mark(_name(tenure), position, life.before.text)

    # -- within

    def _opened(self) -> list[Chunk]:
        """What has waited long enough, or whose mark is there."""
        now = time.monotonic()
        passed: list[Chunk] = []
        for tenure in list(self._shut):
            life = tenure.life
            if life.waiting and not life.is_open:
                if life.at is None:
                    self._mark(tenure, life.waiting[0], now)
                life.is_open = now - life.sent > _PATIENCE
            if life.is_open:
                passed += life.waiting
                life.waiting.clear()
                self._shut.remove(tenure)
        return passed

    def _one_at_a_time(self) -> list[Chunk]:
        if self._alone is not None and not self._has_survived(self._alone):
            return []
        self._alone = None
        if not self._is_idle():
            return []
        now = time.monotonic()
        for tenure in sorted(self._shut, key=lambda it: it is not self._turn):
            if tenure.life.is_careful and (chunk := self._next_alone(tenure, now)) is not None:
                self._turn = tenure
                return self._begin_alone(chunk) if tenure.life.is_open else []
        return []

    def _has_survived(self, alone: Chunk) -> bool:
        """Whether the event that was handled alone is over. Kafka is told at once, and also when its handler
        has come to an end, and what came of it is on its way: who is killed then has not died of it."""
        tenure = alone.tenure
        life = tenure.life
        if tenure.is_leaving:
            return True
        if alone.is_finished:
            self._client.mark(_name(tenure), alone.end, "")
        elif tenure.pending and life.now.alone and not self._is_condemned:
            life.now = Lives(life.now.lives, 0, self._by)
            self._client.mark(_name(tenure), alone.position, life.now.text)
        return alone.is_finished

    def _next_alone(self, tenure: Tenure, now: float) -> Chunk | None:
        """The next event of this tenure, with its mark on the way; None where there is none."""
        life = tenure.life
        if not life.waiting or life.handled >= _SPAN:
            if life.waiting or self._is_all(tenure, now):
                life.is_careful = False
                self._logger.info(f"{_place(tenure)}: events are handled as usual again.")
            return None
        chunk = life.waiting[0]
        if chunk.begun != life.at:
            if chunk.begun != life.read_at:
                life.before = Lives()
            life.now = life.before.alone_with(self._by, life.now.lives)
            life.is_open = False
            self._mark(tenure, chunk, now)
        elif not life.is_open and now - life.sent > _PATIENCE:
            self._mark(tenure, chunk, now)
        return chunk

    def _is_all(self, tenure: Tenure, now: float) -> bool:
        """Nothing more of this was fetched ahead by those who died: the end, or nothing for a while."""
        position = tenure.watermark.position
        end = self._client.bounds(_name(tenure))[1]
        at = tenure.life.read_at if position is None else position
        return (at is not None and 0 <= end <= at) or now - tenure.life.sent > _PATIENCE

    def _begin_alone(self, chunk: Chunk) -> list[Chunk]:
        life = chunk.tenure.life
        life.waiting.popleft()
        life.handled += 1
        self._alone = chunk
        self._is_condemned = chunk.begun == life.read_at and life.before.is_deadly(self._by)
        if self._is_condemned:
            self._condemn(chunk, life.before.alone)
            return []
        return [chunk]

    def _mark(self, tenure: Tenure, chunk: Chunk, now: float) -> None:
        life = tenure.life
        life.at, life.sent = chunk.begun, now
        self._client.mark(_name(tenure), chunk.begun, life.now.text)


def _name(tenure: Tenure) -> PlaceName:
    return tenure.place.topic, tenure.place.partition


def _place(tenure: Tenure) -> str:
    return f"{tenure.place.topic}[{tenure.place.partition}]"
