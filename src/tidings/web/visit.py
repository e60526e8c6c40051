"""A visit: one request under audit, from its first byte to the end of its response."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from time import perf_counter_ns
from typing import TYPE_CHECKING

from tidings.events.ids import new_id
from tidings.publishing.entry import Delivery
from tidings.web.bodies import Capture
from tidings.web.correlating import ids_for
from tidings.web.facts import Facts
from tidings.web.identity import Identity

if TYPE_CHECKING:
    from tidings.web.auditing import Auditor


class Visit:
    """What is known of one request, and its entry's one way out: ``end``."""

    __slots__ = (
        "_auditor",
        "_clock",
        "_ended",
        "_left",
        "began",
        "capture",
        "correlation_id",
        "disconnected",
        "facts",
        "failed",
        "id",
        "identity",
        "ids",
        "request",
        "resource",
        "route",
        "status",
    )

    def __init__(self, auditor: Auditor, facts: Facts, request: object, *, recorded: bool) -> None:
        self._auditor = auditor
        self._clock = perf_counter_ns()
        self._ended = not recorded
        self._left = -1
        self.began = datetime.now(UTC)
        self.facts = facts
        self.request = request
        self.id = new_id()
        self.correlation_id, self.ids = ids_for(facts.headers, auditor.names, self.id)
        """``ids`` is what the response says, by the headers' names."""
        most = auditor.most_body if recorded else 0
        self.capture = Capture(facts, most, auditor.redactor) if most else None
        self.status: int | None = None
        self.identity: Identity | None = None
        self.resource: str | None = None
        self.route: str | None = None
        self.disconnected = False
        self.failed = False
        """The application raised, and something else answers in its place."""

    @property
    def waits(self) -> bool:
        """Whether the response waits for the entry to be safe."""
        return self._auditor.patience > 0 and not self._ended

    def respond(self, status: int) -> None:
        """The response begins: the user is known by now, and the framework still has the request."""
        self.status = status
        if not self._ended and self.identity is None:
            self._auditor.identify(self)

    @property
    def asks(self) -> bool:
        """Whether ``identify`` would call functions of the application."""
        return self._auditor.asks and not self._ended and self.identity is None

    def identify(self) -> None:
        """Ask whose request it is, before the response begins: elsewhere, where that may wait."""
        self._auditor.identify(self)

    def end(self, outcome: str | None = None) -> Delivery | None:
        """The request has ended, by its status or as ``outcome`` says; only the first call counts."""
        if self._ended:
            return None
        self._ended = True
        if self.identity is None:
            self._auditor.identify(self)
        return self._auditor.record(self, outcome or self._outcome(), perf_counter_ns() - self._clock)

    def end_safely(self) -> None:
        """``end``, and wait until the entry is safe, no longer than ``wait_safe`` says. For threads."""
        if (delivery := self.end()) is not None:
            try:
                delivery.wait_safe(self._auditor.patience)
            except Exception as error:
                self._auditor.unsafe(error)

    async def aend_safely(self) -> None:
        """``end_safely`` for a coroutine."""
        if (delivery := self.end()) is not None:
            import asyncio  # noqa: PLC0415 - whoever awaits has it

            try:
                await asyncio.wait_for(delivery.safe(), self._auditor.patience)
            except Exception as error:
                self._auditor.unsafe(error)

    def expect(self, headers: Iterable[tuple[str, str]]) -> None:
        """The response's headers: with a content length its last bytes end it, before the server says so."""
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        self._left = int(lengths[0]) if lengths and lengths[0].isdecimal() else -1

    def completes(self, size: int) -> bool:
        """Whether ``size`` more bytes are the response's last, by its content length."""
        before, self._left = self._left, self._left - size
        return before > 0 and self._left <= 0

    def _outcome(self) -> str:
        if self.disconnected:
            return "client_disconnected"
        if self.failed:
            return "exception"
        if self.status is None:
            return "incomplete"
        return "server_error" if self.status >= 500 else "client_error" if self.status >= 400 else "success"
