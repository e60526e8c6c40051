"""The program under test: a child process that writes a ledger, and what may be done to it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tidings.testing.faults.ledger import Ledger, LedgerReader, Life

_POLL = 0.05
_TIMEOUT = 60.0


class Program:
    """A program that is started, killed and started again, and whose ledger the judge reads.

    ``argv`` is any program that writes ``ledger`` (see Ledger), with ``env`` on top of this process's
    environment. Its standard input is a pipe that ends with this process: a program that ends on end of
    file leaves nothing behind. What it prints goes to ``log``, the ledger's path with ``.log`` added.
    Use it from one thread.
    """

    def __init__(self, argv: Sequence[str], ledger: Path, env: Mapping[str, str] | None = None) -> None:
        self.argv = list(argv)
        self.ledger = ledger
        self.log = ledger.with_name(ledger.name + ".log")
        self.env = dict(env or {})
        self._reader = LedgerReader(ledger)
        self._over = 0  # lives that were over when it was last started
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it; a life begins. Raises RuntimeError when it already runs."""
        if self.running:
            raise RuntimeError("the program is already running")
        self._over = len(self.lives)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own program
                self.argv,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                start_new_session=True,  # Ctrl-C is for the judge, who still needs it
            )
        return self

    @property
    def running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def lives(self) -> list[Life]:
        """What the ledger says by now."""
        return self._reader.read()

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        stdin = self._child().stdin
        assert stdin is not None  # noqa: S101 - it was made with a pipe
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone. Does nothing when it has ended."""
        if self.running:
            self._child().kill()
            self._gone()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child().send_signal(number)

    def pause(self) -> None:
        """SIGSTOP."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def wait(self, timeout: float = _TIMEOUT) -> int:
        """Wait until it has ended; its exit status (-9 when it has killed itself). Raises TimeoutError."""
        try:
            self._child().wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the program still runs after {timeout:.0f} s\n{self.log_tail()}") from None
        return self._gone()

    def wait_until(self, true: Callable[[Life], bool], timeout: float = _TIMEOUT) -> Life:
        """Wait until something is true of the present life.

        Raises TimeoutError, and RuntimeError when the program has ended before.
        """
        deadline = time.monotonic() + timeout
        while True:
            lives = self.lives
            if len(lives) > self._over and true(lives[-1]):
                return lives[-1]
            if not self.running:
                raise RuntimeError(f"the program has ended\n{self.log_tail()}")
            if time.monotonic() > deadline:
                said = lives[-1].stats if lives else None
                raise TimeoutError(f"not true after {timeout:.0f} s; {said}\n{self.log_tail()}")
            time.sleep(_POLL)

    def log_tail(self, lines: int = 30) -> str:
        """The end of what it has printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _gone(self) -> int:
        process = self._child()
        if process.stdin is not None:
            process.stdin.close()
        status = process.wait(_TIMEOUT)
        if status == -signal.SIGKILL:
            with Ledger(self.ledger) as ledger:
                ledger.killed()
        return status

    def _child(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the program was never started")
        return self._process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.running:
            self.kill()
