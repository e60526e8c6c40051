"""A WSGI and an ASGI service with a publisher made at import; nobody closes it but the end of the process.

It notes the number of each accepted event in the file ACCEPTED, which the test compares with Kafka.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tidings import Publisher
from tidings.stopping import lifespan

publisher = Publisher.from_env()
if os.environ.get("PUBLISH_AT_IMPORT"):  # with --preload: in the process that the workers are forked from
    publisher.publish_json(os.environ["TOPIC"], -1)
_noted = os.open(os.environ["ACCEPTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _publish(number: int) -> str:
    publisher.publish_json(os.environ["TOPIC"], number)
    os.write(_noted, b"%d\n" % number)
    return str(os.getpid())


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    pid = _publish(int(environ["PATH_INFO"].rpartition("/")[2]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [pid.encode()]


async def _post(request: Request) -> PlainTextResponse:
    return PlainTextResponse(_publish(int(request.path_params["number"])))


asgi = Starlette(routes=[Route("/{number:int}", _post, methods=["POST"])], lifespan=lifespan(publisher))
