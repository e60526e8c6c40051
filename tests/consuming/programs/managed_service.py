"""A service with a manager's lifespan, as its users write it; run by uvicorn in a process of its own."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tidings import Manager, event

TOPIC = os.environ["TOPIC"]


@event("note.written", key="text")
class NoteWritten(msgspec.Struct):
    text: str


manager = Manager.from_env(group_protocol="consumer", durability="memory")
notes = manager.consumer(TOPIC, "notes")
seen: list[str] = []


@notes.on(NoteWritten)
async def note(written: NoteWritten) -> None:
    seen.append(written.text)


async def publish(request: Request) -> JSONResponse:
    await request.state.publisher.publish(NoteWritten(request.path_params["text"]), topic=TOPIC)
    return JSONResponse({})


async def look(request: Request) -> JSONResponse:
    each: dict[str, Any] = request.state.manager.health_of_each()
    return JSONResponse({"seen": seen, "health": {name: str(it.status) for name, it in each.items()}})


app = Starlette(
    routes=[Route("/publish/{text}", publish, methods=["POST"]), Route("/look", look)],
    lifespan=manager.lifespan,
)
