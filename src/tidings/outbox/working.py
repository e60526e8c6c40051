"""The work of a relay: one thread takes rows, publishes them, and tells the table what became of them."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

import msgspec

from tidings.consuming.bell import Bell
from tidings.errors import (
    ConfigError,
    DeliveryError,
    PublisherClosed,
    PublisherFailed,
    PublishError,
    TidingsError,
)
from tidings.outbox.choosing import that_fit
from tidings.outbox.flight import Flight
from tidings.outbox.press import NoRoom, Press, Unpublishable
from tidings.outbox.rows import Row, Rows
from tidings.outbox.trouble import Trouble
from tidings.publishing.complaints import Complaint

_MOST_BYTES = 16 << 20
"""Of the values of one batch."""
_WINDOW = 4
"""Batches under way at most: topics that Kafka takes nothing of can fill some of them."""
_RENEWALS = 3
"""Of a lease, before it runs out."""
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 300.0
_NO_ROOM_PAUSE = 0.5
_CONTENTION = 0.02
_GLANCE = 0.25
"""Seconds between two looks at what is under way, at most."""
_LOOK = 10.0
"""Seconds between two looks at how much waits."""
_PURGED_AT_ONCE = 1000
_LONGEST_WORDS = 300


class Terms(msgspec.Struct, frozen=True):
    """How a relay works; times in seconds."""

    holder: str
    batch: int
    lease: float
    poll: float
    keep_sent: float


class Work:
    """What the thread of a relay does. Other threads call ``stop`` and read the fields."""

    def __init__(
        self,
        rows: Rows,
        press: Press | None,
        flight: Flight,
        terms: Terms,
        *,
        listen: Callable[[Bell, float], bool] | None,
        database_errors: tuple[type[Exception], ...],
        logger: logging.Logger,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.waiting: tuple[int, float] | None = None
        """Unsent rows and the age of the oldest, when it was looked last."""
        self.trouble = Trouble(logger, database_errors)
        self.failure: TidingsError | None = None
        """Why the work is over though nobody stopped it: what only a person can mend."""
        self.looked = Bell()
        """Rings once the database has been asked for the first time."""
        self._rows = rows
        self._press = press
        self._flight = flight
        self._terms = terms
        self._listen = listen
        self._deafness = Complaint(logger, "The relay is not told of commits, and looks", logging.WARNING)
        self._database_errors = database_errors
        self._logger = logger
        self._bell = Bell()
        self._end: float | None = None
        self._until_empty = False
        self._is_checked = False
        self._next_renewal = self._next_look = 0.0
        self._crowded: dict[str, float] = {}
        """Until when topics are left out that the publisher had no room for."""

    def stop(self, timeout: float) -> None:
        """Take nothing more, and end once nothing is under way, in ``timeout`` seconds at most. Any
        thread.
        """
        self._end = time.monotonic() + timeout
        self._bell.ring()

    def stop_when_empty(self, patience: float) -> None:
        """End once there is nothing to take and nothing under way, or, in ``trouble``, when no row has moved
        for ``patience`` seconds."""
        self._until_empty = True
        self.trouble.bear(patience)

    def run(self) -> None:
        """Work until stopped, or until there is a ``failure``."""
        while not self._is_over() and not self.trouble.is_unbearable(len(self._flight)):
            try:
                if self._step():
                    break
            except (ConfigError, PublisherClosed, PublisherFailed) as error:
                self.failure = error
                self._logger.error(f"The relay ends: {error}")
                break
            except Exception as error:  # whatever it is, the rows are still there: tried again
                self.counts["troubles"] += 1
                self.looked.ring()
                self._bell.wait(self.trouble.record(error))
        self.looked.ring()

    def _step(self) -> bool:
        """A turn, and a rest where there was nothing to take; True when an outbox is empty that was to be."""
        took = self._turn()
        self.trouble.relieve()
        if took:
            return False
        if self._until_empty and not self._flight and not self._crowded:
            return True
        self._rest()
        return False

    def settle(self) -> bool:
        """Tell the table what became of rows under way; False when there was nothing to tell."""
        judged = self._flight.judge()
        done = [*judged.delivered, *judged.dead_lettered]
        if done:
            terms = self._terms
            held = self._rows.finish(done, terms.holder, keep=terms.keep_sent > 0)
            self.counts["leases_lost"] += len(done) - held
            self._landed("delivered", judged.delivered)
            self._landed("dead_lettered", judged.dead_lettered)
        self._put_failed_back(judged.failed)
        if judged:
            self.trouble.moved()
        return bool(judged)

    def _turn(self) -> bool:
        now = time.monotonic()
        if not self._is_checked:
            self._rows.check()
            self._is_checked = True
            self.looked.ring()
        self.settle()
        if self._is_renewal_due():
            self._renew()
        if now >= self._next_look:
            self._next_look = now + _LOOK
            self.waiting = self._rows.waiting()
            self._purge()
        return self._end is None and self._take()

    def _take(self) -> bool:
        """Take what there is room for and have it published; False when there is nothing to take."""
        terms, under_way = self._terms, self._flight.by_topic()
        if self._press is None or len(self._flight) > (_WINDOW - 1) * terms.batch:
            return False
        began = time.monotonic()
        self._crowded = {topic: until for topic, until in self._crowded.items() if until > began}
        full = {topic for topic, count in under_way.items() if count > terms.batch // 2}
        could = self._rows.candidates(terms.batch, full | self._crowded.keys())
        wanted = that_fit(could, under_way, terms.batch, _MOST_BYTES)
        if not wanted:
            return False
        taken = self._rows.take(wanted, terms.holder, terms.lease)
        self.counts["taken"] += len(taken)
        if not taken:  # another relay was first
            self._bell.wait(random.random() * _CONTENTION)  # noqa: S311 - jitter
        elif (
            time.monotonic() - began > terms.lease / 2
        ):  # this process stood still: somebody else may have them
            self.counts["leases_lost"] += len(taken)
        else:
            self.trouble.moved()
            self._publish(self._press, taken)
        return True

    def _publish(self, press: Press, taken: Sequence[Row]) -> None:
        """Publish rows in their order. Of a lane, nothing behind a row that could not go."""
        if not self._flight:
            self._next_renewal = time.monotonic() + self._terms.lease / _RENEWALS
        ids = [row.id for row in taken]
        back, shut, crowded = list[int](), set[int | None](), set[str]()
        for number, row in enumerate(taken):
            if self._is_renewal_due() and not self._renew([*back, *ids[number:]]):
                back += ids[number:]
                break
            if row.lane in shut or row.topic in crowded:
                back.append(row.id)
                continue
            try:
                press.publish(row)
            except Unpublishable as error:
                shut |= {row.lane} - {None}
                self._put_back([row.id], row.attempts, str(error))
            except NoRoom as error:
                if not error.of_topic:
                    back += ids[number:]
                    break
                crowded.add(row.topic)
                back.append(row.id)
        if back:
            self.counts["released"] += self._rows.put_back(
                back, self._terms.holder, _NO_ROOM_PAUSE, untried=True
            )
        self._crowded |= dict.fromkeys(crowded, time.monotonic() + _NO_ROOM_PAUSE)

    def _is_renewal_due(self) -> bool:
        return time.monotonic() >= self._next_renewal

    def _renew(self, waiting: Collection[int] = ()) -> bool:
        """Renew the leases of what is under way, and of a batch's rows that are ``waiting`` to be; False when
        some of these were lost."""
        terms = self._terms
        self._next_renewal = time.monotonic() + terms.lease / _RENEWALS
        if self._flight:
            self._rows.renew(self._flight.ids, terms.holder, terms.lease)
        lost = len(waiting) - self._rows.renew(waiting, terms.holder, terms.lease) if waiting else 0
        self.counts["leases_lost"] += lost
        return not lost

    def _put_failed_back(self, failed: Collection[int]) -> None:
        groups: dict[tuple[int, str], list[int]] = {}
        for number in failed:
            groups.setdefault(self._flight.failure(number), []).append(number)
        for (attempts, error), numbers in groups.items():
            self._put_back(numbers, attempts, error)
            for number in numbers:
                self._flight.remove(number)

    def _put_back(self, numbers: Collection[int], attempts: int, error: str) -> None:
        most = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(attempts, 32))
        pause = 0.0 if self._end is not None else random.random() * most  # noqa: S311 - jitter
        self._rows.put_back(numbers, self._terms.holder, pause, error)
        self.counts["failed"] += len(numbers)
        self._logger.warning(
            f"{len(numbers)} row(s) of the outbox could not be published, and are tried again in "
            f"{pause:.1f} s: {error[:_LONGEST_WORDS]}"
        )

    def _landed(self, what: str, numbers: Collection[int]) -> None:
        self.counts[what] += len(numbers)
        for number in numbers:
            self._flight.remove(number)

    def _purge(self) -> None:
        purged = _PURGED_AT_ONCE
        while self._terms.keep_sent > 0 and purged == _PURGED_AT_ONCE and self._end is None:
            purged = self._rows.purge(self._terms.keep_sent, _PURGED_AT_ONCE)
            self.counts["purged"] += purged

    def _rest(self) -> None:
        if self._flight or self._until_empty:
            self._watch(min(self._terms.poll, _GLANCE))
        elif self._listen is not None and self._end is None:
            self._hear(self._listen)
        else:
            self._bell.wait(self._terms.poll)

    def _hear(self, listen: Callable[[Bell, float], bool]) -> None:
        try:
            listen(self._bell, self._terms.poll)
        except self._database_errors as error:  # it connects anew next time; meanwhile there are looks
            self._deafness.record(error)
            self._bell.wait(_FIRST_RETRY)
        else:
            self._deafness.relieve()

    def _watch(self, most: float) -> None:
        """Wait for the first delivery that has not settled; leases have to be renewed all the same."""
        if (delivery := self._flight.first_open()) is not None:
            with suppress(TimeoutError, DeliveryError, PublishError):  # settle() looks what it is
                delivery.wait(most)
        elif not self._flight.judge():  # all are in the publisher's store
            self._bell.wait(most)

    def _is_over(self) -> bool:
        return self._end is not None and (not self._flight or time.monotonic() >= self._end)
