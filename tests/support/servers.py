"""Real web servers around the examples, in processes of their own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from support.processes import wait_until

ROOT = Path(__file__).parents[2]
START = 60.0
UVICORN = ("uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{port}")
GUNICORN = ("gunicorn", "--log-level", "warning", "--graceful-timeout", "20", "--bind", "127.0.0.1:{port}")
RUNSERVER = ("examples.django_orders.manage", "runserver", "--noreload", "127.0.0.1:{port}")


class Server:
    """``python -m *command``, where ``{port}`` is a free port; answers when the ``with`` begins.

    ``stop()`` ends it as a supervisor does, and it must end well; ``said`` is what it wrote to stderr.
    """

    def __init__(self, *command: str, log: Path, **variables: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._log = log
        self._command = [part.format(port=self.port) for part in command]
        self._variables = variables

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                cwd=ROOT,
                env={**os.environ, **self._variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if not wait_until(self._answers, START):
            self._end()
            raise AssertionError(f"{self._command} never answered:\n{self.said}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.stop()
        finally:
            self._end()

    @property
    def said(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            # uvicorn and Django's runserver end by the signal, gunicorn with 0
            assert self.process.wait(60) in {0, -number, 128 + number}, self.said

    def children(self) -> list[int]:
        """The process ids of its workers."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said
        try:
            return self.ask("GET", "/livez")[0] == 200
        except OSError:
            return False

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
