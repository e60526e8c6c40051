"""What is watched: publishers and consumers, added up. Read when asked; an event costs nothing."""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from tidings.consuming.consumer import Consumer
from tidings.consuming.manager import Manager
from tidings.consuming.member import Member
from tidings.consuming.states import ConsumerStats
from tidings.observe.metrics import CONSUMER, PUBLISHER, Metric
from tidings.publishing.publisher import Publisher
from tidings.publishing.threads import native_lock
from tidings.signals import Closed
from tidings.states import Stats

_MOST_NAMES: Final = 100
OTHERS: Final = "(others)"
T = TypeVar("T")
Owner = tuple[str, str]
"""Whose number it is: the name of the label and its value."""
Name = tuple[Metric, Owner, str | None]


Watchable = Publisher | Consumer | Manager
_Part = Publisher | Consumer | Member


class Sample(msgspec.Struct, frozen=True):
    """A number of the moment. ``part`` is the topic, code or priority where the metric is by that."""

    metric: Metric
    owner: Owner
    part: str | None
    value: int


class Watched:
    """Publishers and consumers, summed up by CLIENT_ID and by group. Any thread.

    A publisher is not held: what it counted stays when it is collected, so no counter goes down. A consumer
    is held until it is closed. ``on_closed`` is called when a publisher is, and reads. Labels have 100 values
    each at most: later ones are added up as ``(others)``.
    """

    def __init__(self, on_closed: Callable[[], None] | None = None) -> None:
        self._on_closed = on_closed or self.refresh
        self._sources: list[_Source] = []
        self._parts: defaultdict[str, set[str]] = defaultdict(set)
        self._owners: set[Owner] = set()
        self._forget()
        _everything.add(self)

    def watch(self, things: Iterable[Watchable]) -> None:
        """Watch these too; what is watched already is not counted twice."""
        with self._lock:
            self._read()
            for thing in things:
                parts = _parts(thing) if isinstance(thing, Manager) else [thing]
                self._sources += [self._source(part) for part in parts if not self._has(part)]

    def samples(self) -> list[Sample]:
        """Every number at this moment. Counters only grow, from one call to the next."""
        with self._lock:
            sources = self._read()
            numbers = dict(self._settled)
            for source, stats in sources:
                owner = self._bounded(source.owner)
                for metric in source.metrics:
                    if metric.kind == "counter" or not source.is_over:
                        self._add(numbers, metric, owner, stats)
            for name, value in numbers.items():  # an event may be taken back that was just being handed over
                if name[0].kind == "counter":
                    numbers[name] = self._highest[name] = max(value, self._highest.get(name, 0))
        return [Sample(*name, value) for name, value in numbers.items()]

    def refresh(self) -> None:
        """Read what there is, as ``samples`` does: it may be gone before anybody asks."""
        with self._lock:
            self._read()

    def after_fork(self) -> None:
        """In a forked child: what was counted is the parent's; publishers count afresh."""
        self._forget()
        self._sources = [source for source in self._sources if source.after_fork()]

    def _has(self, part: _Part) -> bool:
        return any(source.is_of(part) for source in self._sources)

    def _source(self, part: _Part) -> _Source:
        if isinstance(part, Publisher):
            return _OfPublisher(part, self._on_closed)
        return _OfConsumer(part, part.group_id if isinstance(part, Consumer) else part.consumer.group_id)

    def _forget(self) -> None:
        self._lock = native_lock()  # the notify thread takes it too
        self._settled: dict[Name, int] = {}
        self._highest: dict[Name, int] = {}

    def _read(self) -> list[tuple[_Source, Any]]:
        """The stats of what is there; what is gone is settled. The lock is held."""
        found = []
        for source in self._sources:
            for stats in source.read():
                self._settle(source, stats)
            if source.last is not None:
                found.append((source, source.last))
        for source in [it for it in self._sources if it.is_gone]:
            self._sources.remove(source)
            self._settle(source, source.last)
        return [(source, stats) for source, stats in found if not source.is_gone]

    def _settle(self, source: _Source, stats: Any) -> None:
        if stats is not None:
            for metric in source.metrics:
                if metric.kind == "counter":
                    self._add(self._settled, metric, self._bounded(source.owner), stats)

    def _add(self, numbers: dict[Name, int], metric: Metric, owner: Owner, stats: Any) -> None:
        found = metric.read(stats)
        for part, value in found.items() if isinstance(found, dict) else [(None, found)]:
            known = part and _one_of(self._parts[str(metric.by)], part, OTHERS)
            name = (metric, owner, known)
            numbers[name] = numbers.get(name, 0) + int(value)

    def _bounded(self, owner: Owner) -> Owner:
        return _one_of(self._owners, owner, (owner[0], OTHERS))


class _Source(ABC):
    """Where numbers come from. ``last`` is what it said last, ``is_over`` that it is closed."""

    metrics: tuple[Metric, ...]
    owner: Owner
    last: Any = None
    is_over = False
    is_gone = False

    @abstractmethod
    def is_of(self, thing: object) -> bool:
        """True for what it reads."""

    @abstractmethod
    def read(self) -> list[Any]:
        """Renew ``last``; returns the stats of former lives, each once."""

    @abstractmethod
    def after_fork(self) -> bool:
        """Start afresh in a child; False where there is nothing to start."""


class _OfPublisher(_Source):
    """Not held: it says when it is closed, and is read once more then."""

    metrics = PUBLISHER
    last: Stats | None

    def __init__(self, publisher: Publisher, on_closed: Callable[[], None]) -> None:
        self.owner = ("client_id", publisher._settings.client_id)
        self._publisher = weakref.ref(publisher)
        self._on_closed = on_closed
        self._listen(publisher)

    def is_of(self, thing: object) -> bool:
        return self._publisher() is thing

    def read(self) -> list[Stats]:
        if (publisher := self._publisher()) is None:
            self.is_gone = True
        else:
            self.last = publisher.stats()
            self.is_over = self.last.is_closed
        return []

    def after_fork(self) -> bool:
        self.last = None
        if (publisher := self._publisher()) is not None:
            self._listen(publisher)
        return publisher is not None

    def _listen(self, publisher: Publisher) -> None:
        publisher.listen(lambda _: self._on_closed(), Closed)


class _OfConsumer(_Source):
    """Of a consumer, or a manager's: held until it is closed, for who forgets it may have it run on."""

    metrics = CONSUMER
    last: ConsumerStats | None

    def __init__(self, consumer: Consumer | Member, group: str) -> None:
        self.owner = ("group", group)
        self._consumer = weakref.ref(consumer)
        self._held: Consumer | Member | None = consumer
        self._life: object = None

    def is_of(self, thing: object) -> bool:
        return _consumer_of(self._consumer()) is _consumer_of(thing)

    def read(self) -> list[ConsumerStats]:
        consumer, former = self._consumer(), self.last
        if consumer is None:
            self.is_gone = True
            return []
        life = _life_of(consumer)
        self.last = now = consumer.stats()
        self.is_over = now.is_closed
        self._held = None if self.is_over else consumer
        began_anew, self._life = life is not self._life, life  # a Consumer's, under a Manager
        is_former = began_anew and former is not None and isinstance(consumer, Consumer)
        return [former] if former is not None and is_former else []

    def after_fork(self) -> bool:
        # Its locks may be held for ever: whatever has begun is the parent's.
        consumer = self._consumer()
        return consumer is not None and _life_of(consumer) is None


def _consumer_of(thing: object) -> object:
    return thing.consumer if isinstance(thing, Member) else thing


def _life_of(consumer: Consumer | Member) -> object:
    return (consumer.consumer if isinstance(consumer, Member) else consumer)._engine


def _parts(manager: Manager) -> list[_Part]:
    """Its publisher, and its consumers as it counts them: over all their lives."""
    return [manager.publisher, *manager._members.values()]


def _one_of(known: set[T], name: T, instead: T) -> T:
    """``name``, or ``instead`` once 100 others are known."""
    if name not in known:
        if len(known) >= _MOST_NAMES:
            return instead
        known.add(name)
    return name


_everything: weakref.WeakSet[Watched] = weakref.WeakSet()


def _in_child() -> None:
    for watched in list(_everything):
        watched.after_fork()


os.register_at_fork(after_in_child=_in_child)  # after the publishers' own, which is registered before
