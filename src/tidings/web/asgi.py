"""The audit middleware for ASGI: Starlette, FastAPI, Litestar, Quart, and Django under an ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from tidings.events.correlation import current_correlation_id, set_correlation_id
from tidings.publishing.contracts import Sender
from tidings.web.auditing import Auditor, AuditStats
from tidings.web.facts import from_scope
from tidings.web.options import AuditOptions
from tidings.web.visit import Visit

# Each framework has types of its own for these; what they share is Any.
Scope = Any
Message = Any
Receive = Callable[..., Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]


class AuditMiddleware:
    """One AuditEntry for each HTTP request, and a correlation id for everything published meanwhile.

        service = AuditMiddleware(app, audit_sender(publisher), service="orders")              # any ASGI
        app.add_middleware(AuditMiddleware, sender=audit_sender(publisher), service="orders")  # Starlette

    Around the whole application it also sees what a framework answers outside of its own middlewares: the 500
    for an exception in Starlette and FastAPI, 404 and 405 in Litestar. Raises ConfigError for wrong options:
    at once when wrapped around, from ``add_middleware`` when the application starts.

    Pure ASGI: bodies pass through as they come, neither held nor copied but for what ``capture_body`` asks.
    The entry is sent when the response has ended; a sender that fails is logged, counted in ``stats()``, and
    changes nothing. Websockets and lifespan pass through. ``options``: ``AuditOptions``.
    """

    def __init__(self, app: App, sender: Sender, **options: Unpack[AuditOptions]) -> None:
        self.app = app
        self._auditor = Auditor(sender, **options)

    def stats(self) -> AuditStats:
        """What became of the requests so far. Any thread."""
        return self._auditor.stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        auditor = self._auditor
        visit = auditor.visit(from_scope(scope, auditor.more), scope)
        before = current_correlation_id()
        set_correlation_id(visit.correlation_id)
        passing = _Passing(visit, receive, send)
        try:
            await self.app(scope, passing.receive, passing.send)
        except Exception:
            visit.status = visit.status or 500
            visit.end("client_disconnected" if visit.disconnected else "exception")
            raise
        except BaseException:
            visit.end("client_disconnected" if visit.disconnected else "cancelled")
            raise
        else:
            visit.end("client_disconnected" if visit.disconnected else "incomplete")
        finally:
            set_correlation_id(before)


class _Passing:
    """What passes between a server and an application, looked at on its way."""

    __slots__ = ("_receive", "_send", "_visit")

    def __init__(self, visit: Visit, receive: Receive, send: Send) -> None:
        self._visit = visit
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        visit = self._visit
        if message["type"] == "http.disconnect":
            visit.disconnected = True
        elif visit.capture is not None:
            visit.capture.feed(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        kind, visit = message["type"], self._visit
        if kind == "http.response.start":
            visit.respond(message["status"])
            message = {**message, "headers": self._headers(message.get("headers") or ())}
        ends = _ends(kind, message)
        if visit.waits and (ends or visit.completes(len(message.get("body", b"")))):
            await visit.aend_safely()
        try:
            await self._send(message)
        except OSError:  # what servers raise when the client has gone
            visit.disconnected = True
            raise
        if ends:
            visit.end()

    def _headers(self, given: Any) -> list[tuple[bytes, bytes]]:
        visit = self._visit
        headers = list(given)
        if visit.waits:
            visit.expect((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        there = {name.lower() for name, _ in headers}
        for name, value in visit.ids.items():
            if (encoded := name.encode()) not in there:
                headers.append((encoded, value.encode()))
        return headers


def _ends(kind: str, message: Message) -> bool:
    if kind in {"http.response.body", "http.response.zerocopysend"}:
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"
