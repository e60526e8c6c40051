"""What is around every request: its body, its correlation id, and the answers when something is wrong."""

from __future__ import annotations

import uuid
from typing import TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tidings import correlation

T = TypeVar("T")


class Registration(msgspec.Struct):
    """The body of POST /users."""

    name: str
    email: str
    password: str


class Login(msgspec.Struct):
    """The body of POST /users/{user_id}/login."""

    password: str


class Update(msgspec.Struct):
    """The body of PATCH /users/{user_id}."""

    email: str


async def body(request: Request, kind: type[T]) -> T:
    """The request's body as ``kind``. Raises msgspec.MsgspecError, naming the wrong field."""
    return msgspec.json.decode(await request.body(), type=kind)


class CorrelationIds:
    """Gives every event of a request the correlation id that came with it, or a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        with correlation(Headers(scope=scope).get("x-correlation-id") or uuid.uuid4().hex):
            return await self.app(scope, receive, send)


async def malformed(_: Request, error: Exception) -> JSONResponse:
    """The body is not what the endpoint reads."""
    return JSONResponse({"error": str(error)}, 400)


async def not_taken(_: Request, error: Exception) -> JSONResponse:
    """publish() raised, so nothing has happened and the caller may try again."""
    return JSONResponse({"error": str(error)}, 503)
