"""Driving ASGI and WSGI applications by hand, as a server would, with whatever a client may send."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from typing import Any

Headers = Iterable[tuple[bytes, bytes]]


class Answer:
    """What an application answered."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], parts: list[bytes]) -> None:
        self.status = status
        self.pairs = headers
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        self.parts = parts
        self.body = b"".join(parts)


def scope(path: str = "/", method: str = "GET", headers: Headers = (), **more: Any) -> dict[str, Any]:
    """A scope of one request from 203.0.113.9."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("203.0.113.9", 5000),
        "server": ("service", 80),
        **more,
    }


def ask(app: Any, asked: dict[str, Any], body: Iterable[bytes] = (b"",), leaves: bool = False) -> Answer:
    """One request with the parts of a body; ``leaves``: then the client is gone."""
    return asyncio.run(aask(app, asked, body, leaves))


async def aask(
    app: Any, asked: dict[str, Any], body: Iterable[bytes] = (b"",), leaves: bool = False
) -> Answer:
    """``ask`` for a coroutine."""
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    parts[-1]["more_body"] = False
    if leaves:
        parts.append({"type": "http.disconnect"})
    waiting = iter(parts)
    sent: list[Any] = []

    async def receive() -> Any:
        message = next(waiting, None)
        return message if message is not None else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(asked, receive, send)
    starts = [it for it in sent if it["type"] == "http.response.start"]
    bodies = [it.get("body", b"") for it in sent if it["type"] == "http.response.body"]
    return (
        Answer(starts[0]["status"], list(starts[0].get("headers", [])), bodies)
        if starts
        else Answer(0, [], [])
    )


def environ(
    path: str = "/", method: str = "GET", body: bytes = b"", more: Any = None, **names: str
) -> dict[str, Any]:
    """An environ of one request from 203.0.113.9."""
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "service",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        **names,
        **(more or {}),
    }


def call(app: Any, asked: dict[str, Any], most: int | None = None) -> Answer:
    """One WSGI request, whose response is closed after ``most`` parts (None: all)."""
    started: list[Any] = []
    response = app(asked, lambda status, headers, *_: started.append((status, headers)))
    parts = []
    try:
        for part in response:
            parts.append(part)
            if most is not None and len(parts) >= most:
                break
    finally:
        if hasattr(response, "close"):
            response.close()
    status, headers = started[-1]
    return Answer(int(status[:3]), [(name.encode(), value.encode()) for name, value in headers], parts)
