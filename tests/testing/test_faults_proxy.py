"""The proxies: what each fault does to the bytes between a client and a server."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tidings.testing.faults import Proxies

_LONG = 30.0


class Echo:
    """A server that answers with what it was sent, and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                self.received += data
                connection.sendall(data)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(_LONG)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def network(echo: Echo) -> Iterator[Proxies]:
    with Proxies({1: (free_port(), echo.port), 2: (free_port(), echo.port)}) as proxies:
        yield proxies


@pytest.fixture
def client(network: Proxies) -> Iterator[socket.socket]:
    with connect(network) as connection:
        yield connection


def connect(network: Proxies, node: int = 1) -> socket.socket:
    port = int(network.bootstrap_servers.split(",")[node - 1].rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=_LONG)


def ask(connection: socket.socket, data: bytes = b"hello") -> bytes:
    connection.sendall(data)
    answer = b""
    while len(answer) < len(data) and (more := connection.recv(65536)):
        answer += more
    return answer


def is_over(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def waits(connection: socket.socket) -> bool:
    """Nothing is heard on it for a while, and it is not over."""
    connection.settimeout(0.3)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    finally:
        connection.settimeout(_LONG)
    return False


def test_bytes_pass_both_ways(client: socket.socket) -> None:
    data = random.Random(1).randbytes(3_000_000)
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    answer = b""
    while len(answer) < len(data):
        answer += client.recv(65536)
    sender.join()
    assert answer == data


def test_cut_ends_connections_and_refuses_new_ones(network: Proxies, client: socket.socket) -> None:
    assert ask(client) == b"hello"
    with network.cut():
        assert is_over(client)
        with connect(network) as another:
            assert is_over(another)
    with connect(network) as again:
        assert ask(again) == b"hello"


def test_a_fault_may_be_one_nodes(network: Proxies, client: socket.socket) -> None:
    with connect(network, 2) as other, network.cut(1):
        assert is_over(client)
        assert ask(other) == b"hello"


def test_a_black_hole_swallows_nothing_for_good(network: Proxies, client: socket.socket) -> None:
    with network.black_hole():
        client.sendall(b"later")
        assert waits(client)
    assert client.recv(10) == b"later"


def test_only_answers_are_dropped(network: Proxies, echo: Echo, client: socket.socket) -> None:
    assert ask(client) == b"hello"
    with network.acknowledgements_dropped():
        client.sendall(b"heard")
        assert waits(client)
        assert echo.received == b"helloheard"
    assert is_over(client)


def test_a_slow_link_passes_so_many_bytes_a_second(network: Proxies, client: socket.socket) -> None:
    with network.slow(rate=40_000):
        start = time.monotonic()
        assert len(ask(client, b"x" * 20_000)) == 20_000
        assert time.monotonic() - start > 0.4  # 0.5 s one way; a fast link needs 0.001
    assert ask(client) == b"hello"


def test_flapping_ends_connections_now_and_then(network: Proxies, client: socket.socket) -> None:
    with network.flapping(shortest=0.01, longest=0.02):
        assert is_over(client)
    with connect(network) as again:
        assert ask(again) == b"hello"


def test_a_server_that_is_down_is_so_behind_a_proxy() -> None:
    with Proxies({1: (free_port(), free_port())}) as network, connect(network) as connection:
        assert is_over(connection)


def test_faults_heal_at_an_exception_too(network: Proxies, client: socket.socket) -> None:
    with pytest.raises(ZeroDivisionError), network.black_hole():
        raise ZeroDivisionError
    assert ask(client) == b"hello"
