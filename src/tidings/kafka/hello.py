"""The first words of Kafka's protocol: enough to recognise a listener and to ask what SASL it wants.

ApiVersions v0 is answered by every listener before any authentication. SaslHandshake v1 is answered with
ILLEGAL_SASL_STATE by a listener without SASL, and with the mechanisms it offers by one with SASL; no
credentials are sent. Metadata is answered only where no authentication is wanted.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

_METADATA, _SASL_HANDSHAKE, _API_VERSIONS = 3, 17, 18
_ILLEGAL_SASL_STATE = 34
_LARGEST_REPLY = 64 * 1024


class NotKafkaError(Exception):
    """What came back is no answer of Kafka's."""


@dataclass(frozen=True)
class Sasl:
    """What a listener says of SASL: whether it wants it, and the mechanisms it offers."""

    wanted: bool
    mechanisms: tuple[str, ...]
    ours_offered: bool


def greet(stream: socket.socket, deadline: float) -> None:
    """Ask for the API versions, until ``deadline`` (time.monotonic).

    Raises NotKafkaError, EOFError or OSError (TimeoutError is one).
    """
    _ask(stream, deadline, (_API_VERSIONS, 0, 1), b"")


def ask_brokers(stream: socket.socket, deadline: float) -> None:
    """Ask for the cluster's brokers, without topics. Raises as ``greet``; EOFError where SASL is wanted."""
    _ask(stream, deadline, (_METADATA, 1, 2), struct.pack(">i", 0))


def ask_sasl(stream: socket.socket, deadline: float, mechanism: str) -> Sasl:
    """Ask what SASL is wanted, naming ``mechanism``. Raises as ``greet``."""
    reply = _ask(stream, deadline, (_SASL_HANDSHAKE, 1, 3), _string(mechanism))
    try:
        code, count = struct.unpack_from(">hi", reply)
        names, at = [], 6
        for _ in range(count):
            (length,) = struct.unpack_from(">h", reply, at)
            names.append(reply[at + 2 : at + 2 + length].decode("ascii"))
            at += 2 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise NotKafkaError("its answer to a SASL handshake cannot be read") from error
    return Sasl(code != _ILLEGAL_SASL_STATE, tuple(names), code == 0)


def _ask(stream: socket.socket, deadline: float, head: tuple[int, int, int], body: bytes) -> bytes:
    """Send a request (``head``: API, version, number); return its answer behind the number."""
    request = struct.pack(">hhi", *head) + _string("tidings-diagnose") + body
    stream.settimeout(_left(deadline))
    stream.sendall(struct.pack(">i", len(request)) + request)
    answer = _read(stream, deadline, 8)
    length, number = struct.unpack(">ii", answer)
    if number != head[2] or not 4 < length <= _LARGEST_REPLY:
        raise NotKafkaError("it speaks HTTP" if answer.startswith(b"HTTP") else "it speaks another protocol")
    return _read(stream, deadline, length - 4)


def _read(stream: socket.socket, deadline: float, count: int) -> bytes:
    found = b""
    while len(found) < count:
        stream.settimeout(_left(deadline))
        part = stream.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode("ascii")
