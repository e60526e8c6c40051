"""Listening: users' functions that are told of signals, on the notify thread."""

from __future__ import annotations

from collections.abc import Callable

from tidings.publishing.notifying import Notifier
from tidings.signals import Signal

Listener = Callable[[Signal], object]
_MOST_WAITING = 10_000


class Listening:
    """Passes signals on to those who listen. While nobody does, sending one costs a look at an empty tuple.

    Signals wait on the notify thread, 10,000 of them at most; what a slow
    listener misses beyond that is counted in ``missed``.
    """

    def __init__(self, notifier: Notifier) -> None:
        self.missed = 0
        self._notifier = notifier
        self._listeners: tuple[tuple[Listener, tuple[type[Signal], ...]], ...] = ()

    def add(self, listener: Listener, kinds: tuple[type[Signal], ...]) -> Callable[[], None]:
        """Tell ``listener`` of signals of these kinds from now on; returns what ends it. Any thread."""
        entry = (listener, kinds or (Signal,))
        self._listeners = (*self._listeners, entry)

        def stop() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not entry)

        return stop

    def hears(self, kind: type[Signal]) -> bool:
        """True when somebody listens to signals of this kind."""
        return any(issubclass(kind, kinds) for _, kinds in self._listeners)

    def send(self, signal: Signal) -> None:
        """Have the listeners called, soon, on the notify thread."""
        for listener, kinds in self._listeners:
            if isinstance(signal, kinds):
                if self._notifier.waiting >= _MOST_WAITING:
                    self.missed += 1
                else:
                    self._notifier.call(listener, signal)
