"""Supervision: the thread that looks after a manager's consumers, and ends them all together."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from tidings.consuming.bell import Bell
from tidings.consuming.member import Member, Phase
from tidings.consuming.states import ManagerReport
from tidings.publishing.publisher import Publisher
from tidings.publishing.threads import NativeThread

_LOOK = 0.1
"""Seconds between two looks."""
_SHARE = 0.25
"""What the publisher gets of the time for closing, though the consumers use up theirs."""
LEAVE = 6.0
"""Seconds that closing takes beyond its time at most: 3 for the consumers, 3 for the publisher."""


class Supervision:
    """From the start of the first consumer to the end of the last, and of ``publisher`` where one is given.

    ``ask`` and what only reads: any thread, and inside a signal handler.
    """

    def __init__(
        self,
        members: Mapping[str, Member],
        publisher: Publisher | None,
        patience: float,
        logger: logging.Logger,
    ) -> None:
        self.is_idle = False
        """Every consumer has stopped by itself."""
        self.report: ManagerReport | None = None
        """Of the end, once it has come."""
        self._members = members
        self._publisher = publisher
        self._patience = patience
        self._logger = logger
        self._asked: tuple[float, float] | None = None
        self._bell = Bell()
        self._thread = NativeThread(self._run, "tidings-manager")

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when none can be made."""
        self._thread.start()

    def ask(self, timeout: float | None = None) -> None:
        """Begin the end; returns at once. Only the first call counts."""
        if self._asked is None:
            self._asked = time.monotonic(), self._patience if timeout is None else timeout
        self._bell.ring()

    def join(self, timeout: float) -> bool:
        """Wait for the end for up to ``timeout`` seconds; True if it came."""
        return self._thread.join(timeout)

    def is_own_thread(self) -> bool:
        """True where waiting for the end would wait for oneself: in a handler."""
        return self._thread.is_current or any(it.is_own_thread() for it in self._members.values())

    def _run(self) -> None:
        while self._asked is None:
            try:
                for member in self._members.values():
                    member.look()
            except BaseException as error:
                self._logger.critical("Looking after the consumers failed; it goes on.", exc_info=error)
            self.is_idle = all(it.phase is Phase.ENDED for it in self._members.values())
            self._bell.wait(_LOOK)
        self.report = ended(self._members, self._publisher, *self._asked)


def ended(
    members: Mapping[str, Member], publisher: Publisher | None, began: float, timeout: float
) -> ManagerReport:
    """End all consumers side by side, and then the publisher, within ``timeout`` seconds after ``began``."""
    share = 0.0 if publisher is None else timeout * _SHARE
    patience = timeout - share
    for member in members.values():
        member.stop(patience)
    reports = {name: member.leave(began, patience) for name, member in members.items()}
    closed = None
    if publisher is not None:
        closed = publisher.close(max(share, began + timeout - time.monotonic()))
    return ManagerReport(consumers=reports, publisher=closed, duration=time.monotonic() - began)
