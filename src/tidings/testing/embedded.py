"""EmbeddedBroker: a Kafka for development and tests without Docker or Java, in a child process.

``python -m tidings.testing.embedded`` serves one from a shell and prints its address.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import IO, Any, Self

from tidings.testing.channel import Channel
from tidings.testing.controls import MockControls, Topics, with_partitions
from tidings.testing.errors import EmbeddedBrokerError
from tidings.testing.mockcluster import EmbeddedCluster, announce

_START_TIMEOUT = 30.0  # seconds; it takes 0.1 on an idle machine
_COMMAND_TIMEOUT = 10.0  # seconds; a command takes 0.1 ms
_STOP_TIMEOUT = 5.0


class EmbeddedBroker(MockControls):
    """librdkafka's mock cluster in a child process: up in 0.1 s, nothing to install, gone with its parent.

        with EmbeddedBroker(topics={"orders": 6}) as broker:
            publisher = Publisher(brokers=broker.bootstrap_servers)

    ``brokers`` is how many there are, numbered from 1; ``topics`` are created at once: a mapping of names to
    partitions, or names alone. Unknown topics are created with 4 partitions when a client asks for them.

    The child dies with the process that started it, however that dies, SIGKILL included. A forked child of
    that process can use the brokers but not command or stop them.

    For development only, and it says so once: it is a mock without TLS, SASL or ACLs, without limits on sizes
    or names and without deduplication, and a partition keeps its newest 5 MiB. Raises EmbeddedBrokerError.
    """

    def __init__(self, brokers: int = 1, topics: Topics | None = None) -> None:
        self.brokers = brokers
        self._topics = with_partitions(topics)
        self._lock = threading.Lock()
        self._owner = 0
        self._requests_sent = 0
        self._servers = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._output: IO[bytes] | None = None

    def start(self) -> Self:
        """Start the child and wait until it serves; a started broker stays as it is."""
        if self._process is not None:
            return self
        announce()
        ours, theirs = socket.socketpair()
        # A file without a name: nothing to read while it runs, and nothing left on disk.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        with theirs:
            # The parent's module path, so that the child finds the same tidings; -P: and nothing in the
            # directory it is started from. A session of its own: Ctrl-C is for the tests, whose teardown
            # still needs it.
            self._process = subprocess.Popen(  # noqa: S603 - this Python, our own module
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "tidings.testing.mockserver",
                    str(os.getpid()),
                    str(self.brokers),
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                stdin=theirs.fileno(),
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
        self._channel, self._owner = Channel(ours), os.getpid()
        try:
            self._servers = self._receive(_START_TIMEOUT)["bootstrap_servers"]
            for name, partitions in self._topics.items():
                self.create_topic(name, partitions)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the brokers and their process; clients see their connections drop. Idempotent."""
        process, channel, output = self._process, self._channel, self._output
        if process is None or channel is None or output is None or self._owner != os.getpid():
            return  # not running; or this is a forked child, and the broker is its parent's
        self._process = self._channel = self._output = None
        channel.close()
        output.close()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_TIMEOUT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port`` of every broker, separated by commas."""
        if self._process is None:
            raise EmbeddedBrokerError("the embedded broker is not running")
        return self._servers

    @property
    def pid(self) -> int:
        """The child's process id."""
        if self._process is None:
            raise EmbeddedBrokerError("the embedded broker is not running")
        return self._process.pid

    def _call(self, command: str, *arguments: Any) -> Any:
        # Before the lock: a fork copies it locked if another thread holds it at that moment.
        if self._process is not None and self._owner != os.getpid():
            raise EmbeddedBrokerError("only the process that started the embedded broker can command it")
        with self._lock:
            if self._channel is None:
                raise EmbeddedBrokerError("the embedded broker is not running")
            self._requests_sent += 1
            try:
                self._channel.send({"id": self._requests_sent, "command": command, "arguments": arguments})
            except OSError as error:
                raise self._gone() from error
            answer = self._receive(_COMMAND_TIMEOUT)
            # An answer to an earlier command is left over when Ctrl-C came between sending and receiving.
            while answer["id"] != self._requests_sent:
                answer = self._receive(_COMMAND_TIMEOUT)
        if "error" in answer:
            raise EmbeddedBrokerError(answer["error"])
        return answer["result"]

    def _receive(self, timeout: float) -> Any:
        if self._channel is None:
            raise EmbeddedBrokerError("the embedded broker is not running")
        try:
            return self._channel.receive(timeout)
        except TimeoutError as error:
            raise EmbeddedBrokerError(f"the embedded broker did not answer within {timeout:.0f} s") from error
        except EOFError as error:
            raise self._gone() from error

    def _gone(self) -> EmbeddedBrokerError:
        """The child has ended by itself: say how, with the last it wrote."""
        status, said = None, ""
        if self._process is not None and self._output is not None:
            status = self._process.wait(_STOP_TIMEOUT)
            self._output.seek(0)
            said = self._output.read().decode(errors="replace").strip()[-2000:]
        return EmbeddedBrokerError(f"the embedded broker's process has ended ({status}). {said}".rstrip())


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; the first line of the output is the address."""
    parser = argparse.ArgumentParser(prog="python -m tidings.testing.embedded", description=main.__doc__)
    parser.add_argument(
        "-b", "--brokers", type=int, default=1, metavar="N", help="how many brokers (default: 1)"
    )
    parser.add_argument(
        "-t",
        "--topic",
        action="append",
        default=[],
        metavar="NAME[:PARTITIONS]",
        help="create a topic; repeatable",
    )
    options = parser.parse_args(arguments)
    topics = (topic.partition(":") for topic in options.topic)
    logging.basicConfig(format="%(message)s")
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with EmbeddedCluster(options.brokers) as cluster:
        for name, _, partitions in topics:
            cluster.create_topic(name, *([int(partitions)] if partitions else []))
        print(cluster.bootstrap_servers, flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
