"""One node of a real Kafka: its process, its log, and what a test can do to it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tidings.testing.errors import RealKafkaError

_END_TIMEOUT = 20.0  # seconds for an orderly end, with a class archive to write; 0.2 to 2 on an idle machine
_KILL_TIMEOUT = 10.0


def launch(pid_file: Path, log: Path, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program whose output goes to ``log``, leading a session of its own.

    A session of its own, so that Ctrl-C ends the tests and leaves the broker to their teardown. The shell
    writes its id before it becomes the program, so that the watchdog knows every process there is: if the
    directory is gone by then, so is the reason to start.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the programs are chosen by kafkahome
            ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(pid_file), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=pid_file.parent,  # where a JVM writes about its own crash
            start_new_session=True,
        )


class KafkaNode:
    """A broker and controller in one JVM, on ports and a directory that outlive its process."""

    def __init__(self, number: int, directory: Path, address: str) -> None:
        self.number = number
        self.address = address  # host:port of the plaintext listener
        self.paused = False
        self.log_file = directory / f"node{number}.log"
        self._pid_file = directory / f"node{number}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, argv: Sequence[str]) -> None:
        """Start the process; returns before it serves. Does nothing when it runs."""
        if not self.running:
            self._process = launch(self._pid_file, self.log_file, argv)

    @property
    def running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id. Raises RealKafkaError when the node is not running."""
        return self._alive().pid

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told. Does nothing when it is not running."""
        self._end(signal.SIGKILL, _KILL_TIMEOUT)

    def end(self) -> None:
        """SIGTERM: leaders move first where they can; killed after 20 s."""
        self.resume()
        self._end(signal.SIGTERM, _END_TIMEOUT)

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered, as on a machine that hangs."""
        self._alive().send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT. Does nothing when the node is not paused."""
        if self.paused and self.running:
            self._alive().send_signal(signal.SIGCONT)
        self.paused = False

    def log(self) -> str:
        """All the node has logged, over all its processes."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _end(self, how: signal.Signals, timeout: float) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_KILL_TIMEOUT)
        self._pid_file.unlink(missing_ok=True)
        self._process, self.paused = None, False

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise RealKafkaError(f"node {self.number} is not running:\n{tail(self.log())}")
        return self._process


def tail(text: str, lines: int = 30) -> str:
    """The last lines of a log."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
