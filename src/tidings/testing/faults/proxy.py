"""Proxies: a network that a test may break, between clients and each node of a real Kafka."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from tidings.testing.realkafka import RealKafka

_HOST = "127.0.0.1"
_CHUNK = 65_536
_STEADY = 20  # a slow link passes its bytes in so many pieces a second
_TIMEOUT = 10.0


class Link:
    """What happens to the bytes between clients and one node. Owned by the loop of its Proxies."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._cut = False
        self._mute = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._rate = 0
        self._delay = 0.0
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, until either side ends it or the link is cut."""
        ends = {writer}
        self._open.add(writer)  # from the start: a cut may come while the node is being called
        try:
            if self._cut:
                return
            node_reader, node_writer = await asyncio.open_connection(_HOST, self._target)
            ends.add(node_writer)
            self._open.add(node_writer)
            if writer.transport.is_closing():
                return
            to_node = asyncio.create_task(self._pass_on(reader, node_writer, from_node=False))
            to_client = asyncio.create_task(self._pass_on(node_reader, writer, from_node=True))
            await asyncio.wait({to_node, to_client}, return_when=asyncio.FIRST_COMPLETED)
            for task in (to_node, to_client):
                task.cancel()
            await asyncio.gather(to_node, to_client, return_exceptions=True)
        except OSError:
            return  # the node is down, and its clients are told so by the end of their connection
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_node: bool
    ) -> None:
        while True:
            size = max(1, self._rate // _STEADY) if self._rate else _CHUNK
            try:
                data = await reader.read(size)
                await self._flows.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._rate:
                    await asyncio.sleep(len(data) / self._rate)
                if not data:
                    return
                if not (from_node and self._mute):
                    writer.write(data)
                    await writer.drain()
            except OSError:  # either side is gone: a connection's usual end here
                return

    def cut(self) -> None:
        self._cut = True
        self.hang_up()

    def hang_up(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    def hold(self) -> None:
        self._flows.clear()

    def mute(self) -> None:
        self._mute = True

    def slow(self, rate: int, delay: float) -> None:
        self._rate, self._delay = rate, delay

    def heal(self) -> None:
        if self._mute:  # bytes are missing from the middle of these
            self.hang_up()
        self._cut = self._mute = False
        self._rate, self._delay = 0, 0.0
        self._flows.set()


class Proxies:
    """A TCP proxy before each node of ``RealKafka(fronted=True)``; clients use its ``bootstrap_servers``.

        with RealKafka(3, fronted=True) as kafka, Proxies(kafka.fronts) as network:
            publisher = Publisher(brokers=network.bootstrap_servers)
            with network.acknowledgements_dropped():
                ...

    Each fault is a context manager and heals at its end; ``nodes`` names whom it is between clients and
    (default: all of them). Nodes reach each other past the proxies. One fault at a time on one node. Safe
    from any thread; the bytes are passed on by a thread of its own, which ends with ``stop``.
    """

    def __init__(self, fronts: Mapping[int, tuple[int, int]]) -> None:
        self._fronts = dict(fronts)
        self._links: dict[int, Link] = {}
        self._servers: list[asyncio.Server] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    @classmethod
    def before(cls, kafka: RealKafka) -> Self:
        """Proxies before every node of a running ``RealKafka(fronted=True)``."""
        return cls(kafka.fronts)

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port`` of every proxy, separated by commas."""
        return ",".join(f"{_HOST}:{front}" for front, _ in self._fronts.values())

    def start(self) -> Self:
        """Listen at every front. Raises OSError where a port is taken."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_TIMEOUT)
        return self

    def stop(self) -> None:
        """Cut everything and end the thread. Not to be started again."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_TIMEOUT)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_TIMEOUT)
            self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def cut(self, *nodes: int) -> Iterator[None]:
        """Both ways: connections are reset and new ones refused."""
        with self._broken(nodes, Link.cut):
            yield

    @contextmanager
    def black_hole(self, *nodes: int) -> Iterator[None]:
        """Nothing passes and nobody is told; what was sent meanwhile arrives afterwards, as with TCP."""
        with self._broken(nodes, Link.hold):
            yield

    @contextmanager
    def acknowledgements_dropped(self, *nodes: int) -> Iterator[None]:
        """What clients send arrives; what nodes answer does not. Those connections end with the fault."""
        with self._broken(nodes, Link.mute):
            yield

    @contextmanager
    def slow(self, *nodes: int, rate: int = 0, delay: float = 0.0) -> Iterator[None]:
        """Each connection passes ``rate`` bytes a second each way (0: any number), each piece ``delay``
        seconds late."""
        with self._broken(nodes, lambda link: link.slow(rate, delay)):
            yield

    @contextmanager
    def flapping(
        self, *nodes: int, shortest: float = 0.5, longest: float = 1.5, seed: int = 0
    ) -> Iterator[None]:
        """Every ``shortest`` to ``longest`` seconds all connections are reset; new ones may be made."""
        over, chance = threading.Event(), random.Random(seed)  # noqa: S311 - a schedule, not a secret

        def flap() -> None:
            while not over.wait(chance.uniform(shortest, longest)):
                self._each(nodes, Link.hang_up)

        thread = threading.Thread(target=flap, name="flapping")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def heal(self) -> None:
        """End whatever is broken, on every node."""
        self._each((), Link.heal)

    @contextmanager
    def _broken(self, nodes: tuple[int, ...], how: Callable[[Link], None]) -> Iterator[None]:
        self._each(nodes, how)
        try:
            yield
        finally:
            self._each(nodes, Link.heal)

    def _each(self, nodes: tuple[int, ...], do: Callable[[Link], None]) -> None:
        async def run() -> None:
            for node in nodes or self._links:
                do(self._links[node])

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(_TIMEOUT)

    async def _listen(self) -> None:
        for node, (front, target) in self._fronts.items():
            self._links[node] = link = Link(target)
            self._servers.append(await asyncio.start_server(link.serve, _HOST, front))

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for link in self._links.values():
            link.cut()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others)
