"""JSON lines over a socket between a process and the child it started: one message a line, both ways."""

from __future__ import annotations

import json
import socket
import time
from typing import Any


class Channel:
    """One end of the connection. Not thread-safe: the owner of each end takes care of that."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def send(self, message: object) -> None:
        """Send one message; OSError when the other end is gone."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float) -> Any:
        """The next message. TimeoutError after ``timeout`` seconds, EOFError when the other end is gone."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._rest:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                data = self._connection.recv(65536)
            except ConnectionError:
                data = b""
            finally:
                self._connection.settimeout(None)
            if not data:
                raise EOFError("the other end of the channel is gone")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)

    def close(self) -> None:
        """Close this end. The other end's ``receive`` raises EOFError, if nobody else holds this end open."""
        self._connection.close()
