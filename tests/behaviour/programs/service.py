"""A web service as users write it: one publisher, made at import, closed by the lifespan."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tidings import Publisher

publisher = Publisher.from_env()


async def publish(request: Request) -> JSONResponse:
    number = int(request.path_params["number"])
    publisher.publish_json(os.environ["TOPIC"], {"number": number, "pid": os.getpid()})
    return JSONResponse({"pid": os.getpid()})


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with publisher:
        yield


app = Starlette(routes=[Route("/publish/{number:int}", publish, methods=["POST"])], lifespan=lifespan)
