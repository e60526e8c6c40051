"""The polling thread: the only one that touches the Kafka consumer (ENGINE C1)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tidings.consuming.client import Client
from tidings.consuming.commands import Commands
from tidings.consuming.fate import Fate
from tidings.consuming.holdings import Holdings, PlaceName
from tidings.consuming.marking import Marking
from tidings.consuming.places import Chunk, Tenure
from tidings.consuming.reading import Route
from tidings.consuming.room import Room
from tidings.errors import ConsumeError
from tidings.publishing.threads import NativeThread

_FETCH = 500
"""The most records of one fetch."""
_POLL = 0.1
_MARK = 0.001
"""Seconds of a poll while a mark is awaited: a callback alone does not end one."""
_LONGEST_REVOKE = 30.0
_NAP = 0.02
_ASK = 10.0
_COMMITTED = 2.0
_JUMP = 60.0
_LOOK = 1.0
"""Seconds between two looks at how far behind we are."""


class Runner(Protocol):
    """What runs handlers."""

    def give(self, chunks: Iterable[Chunk]) -> None: ...
    def let_go(self) -> None: ...
    def probe(self, route: Route) -> None: ...
    def is_running(self, tenures: Iterable[Tenure]) -> bool: ...
    def is_idle(self) -> bool: ...


class Polling:
    """Fetches, stores what is finished, holds back when too much is not, and sees partitions come and go."""

    def __init__(
        self,
        client: Client,
        topics: Sequence[str],
        holdings: Holdings,
        runner: Runner,
        fate: Fate,
        *,
        by: str,
        max_poll_interval: float,
        logger: logging.Logger,
        assigned: Callable[[], None],
        came: Callable[[set[str]], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self.ends: dict[PlaceName, int] = {}
        """The offset after the last of each partition, as far as it is known: a new dict at each look."""
        self.polled = time.monotonic()
        self._client = client
        self._topics = topics
        self._holdings = holdings
        self._runner = runner
        self._fate = fate
        self._longest_revoke = min(_LONGEST_REVOKE, max_poll_interval / 2)
        self._logger = logger
        self._told_assigned = assigned
        self._came = came
        self._ended = ended
        self._commands = Commands(holdings.bell.ring)
        self.ask = self._commands.ask
        self._leave_by: float | None = None
        self._is_over = False
        self._looked = 0.0
        self._marking = Marking(client, holdings, by, runner.is_idle, fate.condemn, logger)
        self._room = Room(client, holdings, lambda: self._marking.is_waiting)
        self._thread = NativeThread(self._run, "tidings-poll")

    def start(self) -> None:
        """Start polling. Raises RuntimeError when no thread can be made."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Begin nothing more, and end when what is under way has ended, or after ``timeout`` seconds."""
        self._leave_by = time.monotonic() + timeout
        self._holdings.bell.ring()

    def join(self, timeout: float | None) -> bool:
        """Wait for the thread's end; True if it came."""
        return self._thread.join(timeout)

    def is_own_thread(self) -> bool:
        """True on the polling thread."""
        return self._thread.is_current

    # -- on the thread

    def seek(self, place: PlaceName, offset: int) -> None:
        """Go on from this offset. Raises ConsumeError. A command: see ``ask``."""
        if type(offset) is not int or not 0 <= offset < 1 << 63:
            raise ConsumeError(f"{offset!r} is no offset: those are numbers from 0 to 2^63 - 1.")
        if place not in self._holdings.tenures:
            raise ConsumeError(f"{place[0]}[{place[1]}] is not assigned to this consumer now.")
        self._client.seek(place, offset)
        was_paused = self._holdings.tenures[place].is_paused
        self._marking.begin(self._holdings.begin(*place))
        self._let_go()
        if was_paused:
            self._client.resume([place])

    def rewind(self, ms: int) -> None:
        """Go to what was written at this time or later, everywhere. Raises ConsumeError. A command."""
        names = list(self._holdings.tenures)
        for place, offset in self._client.offsets_at(names, ms, _ASK).items():
            self.seek(place, offset)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._client.subscribe(
                self._topics,
                assigned=self._assigned,
                revoked=self._revoked,
                lost=self._lost,
                owner=self._holdings.tenures.get,
                committed=self._marking.told,
            )
            while self._leave_by is None:
                self._turn()
            self._finish(list(self._holdings.tenures.values()), self._leave_by)
        except BaseException as raised:
            error = raised
            self._logger.critical(
                "Polling Kafka failed; the consumer stops. What is not finished is read again.",
                exc_info=raised,
            )
        self._is_over = True
        self._commands.refuse()
        self._ended(error)

    def _turn(self) -> None:
        self.polled = time.monotonic()
        self._commands.carry_out()
        self._fate.sweep()
        if self._fate.shut and (route := self._fate.due_probe(self.polled)) is not None:
            self._runner.probe(route)
        self._store()
        self._look()
        chunks: list[Chunk] = []
        if self._room.has_some():
            if groups := self._client.fetch(_FETCH, _MARK if self._marking.is_waiting else _POLL):
                self._came({topic for topic, _, _ in groups})
                chunks = self._holdings.take(groups, self._jumped)
        else:
            self._holdings.bell.wait(_POLL)
        if chunks := self._marking.let_pass(chunks):
            self._runner.give(chunks)

    def _jumped(self, tenure: Tenure, to: int) -> None:
        """Offsets have gaps by compaction and transactions; what retention removed unread is a loss to tell.

        Only the broker knows which it is: asked for the first jump of a tenure, then once a minute.
        """
        if tenure.expected is None or self.polled < tenure.jump_told + _JUMP:
            return
        tenure.jump_told = self.polled
        place = (tenure.place.topic, tenure.place.partition)
        first = self._client.first_offset(place, _ASK)
        if first is not None and (expired := min(first, to) - tenure.expected) > 0:
            self._fate.tally.expired_unread += expired
            self._logger.critical(
                f"{_names([place])}: retention removed {expired} records (offsets {tenure.expected} to "
                f"{min(first, to) - 1}) before they were read. They are lost to this group: read faster, or "
                "raise the topic's retention."
            )

    def _store(self) -> None:
        """Once a partition; another thread would wait for poll() here, over 6 s were measured."""
        due = self._holdings.due()
        if not due:
            return
        places = [(tenure.place.topic, tenure.place.partition, position) for tenure, position in due]
        strange = set(self._client.store(places))
        for tenure, position in due:
            if (tenure.place.topic, tenure.place.partition) not in strange:
                tenure.stored = position

    def _look(self) -> None:
        """How far each partition goes, now and then: the client knows it from its fetches."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            self.ends = {name: self._client.bounds(name)[1] for name in list(self._holdings.tenures)}

    # -- rebalances, from inside fetch()

    def _assigned(self, places: list[PlaceName]) -> None:
        committed = self._client.committed(places, _COMMITTED)
        for place in places:
            tenure = self._holdings.begin(*place)
            tenure.expected, metadata = committed.get(place, (None, ""))
            self._marking.begin(tenure, tenure.expected, metadata)
        if places:
            self._logger.info(f"Assigned: {_names(places)}.")
            self._told_assigned()

    def _revoked(self, places: list[PlaceName]) -> None:
        """Finish what handlers have in hand, store it, and let go; the rest is for the next owner."""
        if self._is_over:  # the group is being left; what could be finished is
            return
        tenures = [it for name in places if (it := self._holdings.tenures.get(name)) is not None]
        self._finish(tenures, time.monotonic() + self._longest_revoke)
        self._holdings.end(places)
        if places:
            self._logger.info(f"Revoked: {_names(places)}.")

    def _lost(self, places: list[PlaceName]) -> None:
        """They are somebody else's already: nothing is stored any more."""
        self._holdings.end(places)
        self._let_go()
        if places:
            self._logger.warning(
                f"Lost to another consumer: {_names(places)}. What was under way may be handled twice. "
                "This consumer was away for longer than SESSION_TIMEOUT or MAX_POLL_INTERVAL."
            )

    def _finish(self, tenures: list[Tenure], end: float) -> None:
        for tenure in tenures:
            tenure.is_leaving = True
        self._let_go()
        while (under_way := self._is_under_way(tenures)) and time.monotonic() < end:
            self._fate.sweep()
            self._holdings.bell.wait(_NAP)
        if under_way:
            self._logger.warning("Handlers still run that may not be waited for; their events come again.")
        self._marking.leave(tenures)
        self._store()

    def _let_go(self) -> None:
        self._runner.let_go()
        self._fate.let_go()

    def _is_under_way(self, tenures: list[Tenure]) -> bool:
        return any(tenure.pending for tenure in tenures) or self._runner.is_running(tenures)


def _names(places: Iterable[PlaceName]) -> str:
    return ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(places))
