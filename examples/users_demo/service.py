"""The users service: answers HTTP requests and publishes what happened, without ever waiting for Kafka.

KAFKA_BROKERS=localhost:9092 uvicorn examples.users_demo.service:app
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from examples.users_demo.events import LoginFailed, UserLoggedIn, UserRegistered, UserUpdated
from examples.users_demo.users import User
from examples.users_demo.web import CorrelationIds, Login, Registration, Update, body, malformed, not_taken
from tidings import Publisher, PublishError

logger = logging.getLogger("users")


class Holdings(TypedDict):
    """What lives as long as the service; Starlette puts it into ``request.state``."""

    publisher: Publisher
    users: dict[str, User]


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[Holdings]:
    """One publisher for the whole process. Making it connects to nothing: Kafka may be away."""
    publisher = Publisher.from_env()
    try:
        yield {"publisher": publisher, "users": {}}
    finally:
        report = await publisher.aclose()
        logger.info(
            "closed: %d accepted, %d delivered, %d lost", report.accepted, report.delivered, report.lost
        )


async def register(request: Request) -> JSONResponse:
    """POST /users: 201 and the user's id."""
    new = await body(request, Registration)
    user = User.create(uuid.uuid4().hex, new.name, new.email, new.password)
    answer = publish(request, 201, user.user_id, UserRegistered(user.user_id, user.name, user.email))
    request.state.users[user.user_id] = user  # after publish(): when it raises, nothing has happened
    return answer


async def login(request: Request) -> JSONResponse:
    """POST /users/{user_id}/login: 200, or 401. A failed login is news, too."""
    user_id, attempt = request.path_params["user_id"], await body(request, Login)
    user: User | None = request.state.users.get(user_id)
    if user is None:
        return publish(request, 401, user_id, LoginFailed(user_id, "unknown user"))
    if not user.has_password(attempt.password):
        return publish(request, 401, user_id, LoginFailed(user_id, "wrong password"))
    return publish(request, 200, user_id, UserLoggedIn(user_id))


async def update(request: Request) -> JSONResponse:
    """PATCH /users/{user_id}: 200, or 404."""
    user_id, change = request.path_params["user_id"], await body(request, Update)
    user: User | None = request.state.users.get(user_id)
    if user is None:
        return JSONResponse({"error": "unknown user"}, 404)
    answer = publish(request, 200, user_id, UserUpdated(user_id, change.email))
    user.email = change.email
    return answer


def publish(request: Request, status: int, user_id: str, event: msgspec.Struct) -> JSONResponse:
    """Publish and answer at once: from publish() on, delivering the event is the publisher's business."""
    publisher: Publisher = request.state.publisher
    delivery = publisher.publish(event)
    return JSONResponse({"user_id": user_id, "event_id": delivery.event_id}, status)


async def health(request: Request) -> JSONResponse:
    """GET /health: 503 only when new events would be at risk, and then why."""
    publisher: Publisher = request.state.publisher
    found = await publisher.ahealth(timeout=2)
    return JSONResponse(msgspec.to_builtins(found), 200 if found.ready else 503)


async def stats(request: Request) -> JSONResponse:
    """GET /stats: where every accepted event is."""
    publisher: Publisher = request.state.publisher
    return JSONResponse(msgspec.to_builtins(publisher.stats()))


app = Starlette(
    routes=[
        Route("/users", register, methods=["POST"]),
        Route("/users/{user_id}", update, methods=["PATCH"]),
        Route("/users/{user_id}/login", login, methods=["POST"]),
        Route("/health", health),
        Route("/stats", stats),
    ],
    middleware=[Middleware(CorrelationIds)],
    exception_handlers={msgspec.MsgspecError: malformed, PublishError: not_taken},
    lifespan=lifespan,
)
