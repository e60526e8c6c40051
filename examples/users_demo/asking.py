"""What the demo itself asks the service: its health, and where every event is."""

from __future__ import annotations

import http.client
from typing import Any

import msgspec

from tidings import Stats

TIMEOUT = 15.0
"""Seconds. The first question of all waits in the socket's backlog while the service starts."""


class NoAnswer(Exception):
    """The service did not answer the demo's own question."""


def get(port: int, path: str) -> tuple[int, Any]:
    """The status and the decoded body. Raises NoAnswer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, msgspec.json.decode(response.read())
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise NoAnswer(f"GET {path} had no answer: {error!r}") from error
    finally:
        connection.close()


def stats(port: int) -> Stats:
    """The service's accounts."""
    return msgspec.convert(get(port, "/stats")[1], Stats)
