"""Small servers for tests: a listener on 127.0.0.1 that treats each connection as it is told."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

Treat = Callable[[socket.socket], None]


class Listener:
    """Accepts connections, with TLS if there is a context, and hands each to ``treat`` on a thread."""

    def __init__(self, treat: Treat, tls: ssl.SSLContext | None = None) -> None:
        self._treat = treat
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in [self._server, *self._open]:
            with suppress(OSError):  # gone already
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                connection, _ = self._server.accept()
                connection.settimeout(10)
                self._open.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError):  # what a client that is only trying does
            if self._tls is not None:
                plain = connection.dup()
                self._open.append(plain)
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except ssl.SSLError:
                    with plain:  # the alert is on its way: end in good order, as a reset would overtake it
                        plain.shutdown(socket.SHUT_WR)
                        while plain.recv(1000):
                            pass
                    raise
                plain.close()
                self._open.append(connection)
            with connection:
                self._treat(connection)


def kafka(mechanisms: Sequence[str] = (), *, handshakes: bool = True) -> Treat:
    """A Kafka listener, of SASL if there are mechanisms; ``handshakes=False`` answers API versions only."""

    def treat(connection: socket.socket) -> None:
        while True:
            (length,) = struct.unpack(">i", exactly(connection, 4))
            if length > 65536:  # TLS, read as a length: Kafka closes too
                return
            request = exactly(connection, length)
            api, _, number, client = struct.unpack_from(">hhih", request)
            if api == 18:
                body = struct.pack(">hi", 0, 0)
            elif not handshakes or (api == 3 and mechanisms):
                return
            elif api == 3:
                body = struct.pack(">iii", 0, -1, 0)
            else:
                (size,) = struct.unpack_from(">h", request, 10 + client)
                wanted = request[12 + client : 12 + client + size].decode()
                code = 34 if not mechanisms else 0 if wanted in mechanisms else 33
                names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in mechanisms)
                body = struct.pack(">hi", code, len(mechanisms)) + names
            connection.sendall(struct.pack(">ii", len(body) + 4, number) + body)

    return treat


def http(connection: socket.socket) -> None:
    """What a web server says to what it does not understand."""
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")


def silent(connection: socket.socket) -> None:
    """Takes everything, says nothing."""
    while connection.recv(1000):
        pass


def closing(connection: socket.socket) -> None:
    """Closes at the first word."""
    connection.recv(1000)


def saying(words: bytes) -> Treat:
    """Answers everything with the same bytes."""

    def treat(connection: socket.socket) -> None:
        while connection.recv(1000):
            connection.sendall(words)

    return treat


def exactly(connection: socket.socket, count: int) -> bytes:
    """``count`` bytes. Raises EOFError at the end of the connection."""
    found = b""
    while len(found) < count:
        part = connection.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found
