"""``/livez``, ``/readyz`` and ``/metrics``, as a plain ASGI or WSGI application: mounted, or alone.

    app.mount("/ops", asgi_endpoints(health))                # Starlette, FastAPI
    app = asgi_endpoints(health, app=app)                    # any ASGI application: these paths go first
    app.wsgi_app = wsgi_endpoints(health, app=app.wsgi_app)  # Flask, and any WSGI application

``/livez`` asks the checks registered as ``live``, ``/readyz`` all of them: 200 when healthy or degraded, 503
when not, and a HealthReport as JSON either way. ``/metrics`` is for Prometheus. GET and HEAD; bodies of
requests are not read; nothing is taken from the request but its path, its method and its Accept header.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tidings.observe.health import HealthRegistry
from tidings.observe.report import HealthReport
from tidings.web.paths import inside

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
Scrape = Callable[[str], tuple[bytes, str]]
"""What Prometheus is to get and its content type, for an Accept header."""

_JSON: Final = "application/json"
_LIVE, _READY, _METRICS = "/livez", "/readyz", "/metrics"
_PATHS: Final = frozenset((_LIVE, _READY, _METRICS))


class Answer(msgspec.Struct, frozen=True):
    """An HTTP response."""

    status: HTTPStatus
    body: bytes
    content_type: str = _JSON

    def headers(self) -> list[tuple[str, str]]:
        """Its headers; probes and scrapes are not for caches."""
        found = [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
        ]
        return [*found, ("allow", "GET, HEAD")] if self.status is HTTPStatus.METHOD_NOT_ALLOWED else found


def asgi_endpoints(
    health: HealthRegistry,
    *,
    app: AsgiApp | None = None,
    metrics: bool | Scrape = True,
    details: bool = True,
) -> AsgiApp:
    """An ASGI application with the three paths. ``app`` gets everything else; without one that is 404.

    ``details=False`` leaves the checks' messages out of reports: for addresses that anybody may ask.
    ``metrics``: False for none, or a function from the Accept header to the content and its type; as a rule
    what ``tidings.observe.scrape`` gives (extra ``prometheus``), made on a thread.
    """

    async def endpoints(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = inside(scope["path"], scope.get("root_path", "")).rstrip("/")
            if path in _PATHS or app is None:
                await _send(await answer(path, scope), scope["method"], send)
                return
        if app is not None:
            await app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def answer(path: str, scope: Scope) -> Answer:
        if (refusal := _refusal(path, scope["method"])) is not None:
            return refusal
        if path == _METRICS:
            import asyncio  # noqa: PLC0415 - costs 30 ms, and is there in every ASGI server

            return await asyncio.to_thread(_metrics, metrics, _accept(scope["headers"]))
        return _report(await (health.aalive() if path == _LIVE else health.acheck()), details)

    return endpoints


def wsgi_endpoints(
    health: HealthRegistry,
    *,
    app: WsgiApp | None = None,
    metrics: bool | Scrape = True,
    details: bool = True,
) -> WsgiApp:
    """``asgi_endpoints`` for WSGI."""

    def endpoints(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "").rstrip("/")
        if app is not None and path not in _PATHS:
            return app(environ, start_response)
        found = answer(path, method, environ.get("HTTP_ACCEPT", ""))
        start_response(f"{found.status.value} {found.status.phrase}", found.headers())
        return [] if method == "HEAD" else [found.body]

    def answer(path: str, method: str, accept: str) -> Answer:
        if (refusal := _refusal(path, method)) is not None:
            return refusal
        if path == _METRICS:
            return _metrics(metrics, accept)
        return _report(health.alive() if path == _LIVE else health.check(), details)

    return endpoints


def _refusal(path: str, method: str) -> Answer | None:
    if path not in _PATHS:
        return _problem(HTTPStatus.NOT_FOUND, "There are /livez, /readyz and /metrics.")
    if method not in {"GET", "HEAD"}:
        return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "Ask with GET or HEAD.")
    return None


def _report(report: HealthReport, details: bool) -> Answer:
    status = HTTPStatus.OK if report.ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, msgspec.json.encode(report.to_dict(details=details)))


def _metrics(metrics: bool | Scrape, accept: str) -> Answer:
    if metrics is False:
        return _problem(HTTPStatus.NOT_FOUND, "Metrics are not served here.")
    try:
        body, content_type = (_scrape() if metrics is True else metrics)(accept)
    except ImportError:
        return _problem(HTTPStatus.NOT_FOUND, "Metrics need prometheus_client: install tidings[prometheus].")
    return Answer(HTTPStatus.OK, body, content_type)


def _scrape() -> Scrape:
    from tidings.observe.prometheus import scrape  # noqa: PLC0415 - an extra

    return scrape


def _problem(status: HTTPStatus, detail: str) -> Answer:
    return Answer(status, msgspec.json.encode({"status": status.value, "detail": detail}))


def _accept(headers: Iterable[tuple[bytes, bytes]]) -> str:
    return ",".join(value.decode("latin-1") for name, value in headers if name == b"accept")


async def _send(answer: Answer, method: str, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in answer.headers()]
    await send({"type": "http.response.start", "status": answer.status.value, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan of an application that has nothing to start or to stop."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
