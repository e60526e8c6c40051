"""A load of real HTTP requests over plain sockets, each with an id of its own to be found again by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

TIMEOUT = 60.0


class Answered(msgspec.Struct):
    """What became of one request; ``status`` 0: the connection broke before an answer came."""

    request_id: str
    status: int
    seconds: float
    began: float


async def run_load(
    port: int,
    requests: int,
    concurrency: int,
    *,
    path: str = "/orders/{n}",
    pace: float = 0.0,
    until: Callable[[], bool] | None = None,
    answered: list[Answered] | None = None,
) -> list[Answered]:
    """At least ``requests`` POST requests, ``concurrency`` at a time, and more while ``until`` is false.

    ``pace`` is the rest of each worker between two of its requests, in seconds; ``answered`` grows as they
    are answered. Nothing is tried again.
    """
    answered = [] if answered is None else answered
    numbers = iter(range(10**9))

    async def work() -> None:
        connection = _Connection(port)
        while (number := next(numbers)) < requests or (until is not None and not until()):
            began = time.monotonic()
            status = await asyncio.wait_for(
                connection.post(path.format(n=f"o-{number}"), f"q-{number}"), TIMEOUT
            )
            answered.append(Answered(f"q-{number}", status, time.monotonic() - began, began))
            if pace:
                await asyncio.sleep(pace)
        await connection.close()

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return answered


class _Connection:
    """One connection to the server, made again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, request_id: str) -> int:
        body = b'{"total": 7}'
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"X-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            assert headers["x-request-id"] == request_id
            await reader.readexactly(int(headers["content-length"]))
            if headers.get("connection") == "close":
                await self.close()
            return int(head.split()[1])
        except (OSError, asyncio.IncompleteReadError):
            await self.close()
            return 0

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                return
