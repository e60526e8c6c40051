"""The processes of the demo: started, listened to, and ended for certain."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Self

import msgspec

from examples.users_demo.facts import Fact

Say = Callable[[str], None]
GRACE = 30.0
"""Seconds for a child to end. The reader, which reads on to the end, bounds itself at 20."""
_PIPES = 5.0
"""Seconds for the rest of an ended child's output."""


class ChildFailed(Exception):
    """A process of the demo ended when it should not have, or with an error."""


class Child:
    """One process: a module of this package. Its stdout is facts, its stderr is said aloud, line by line.

    It gets a session of its own, so that Ctrl-C reaches the demo alone, which then ends everything in order;
    if the demo itself is killed, the end of the child's stdin tells it (see leash.py).
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        say: Say,
        learn: Callable[[Fact], None],
        env: Mapping[str, str] | None,
        pass_fds: Sequence[int],
    ) -> None:
        self.name = name
        self._say = say
        self._learn = learn
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"examples.users_demo.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self._listeners = [
            threading.Thread(target=self._hear_facts, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._hear_complaints, args=(self.process.stderr,), daemon=True),
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def running(self) -> bool:
        """True until the process has ended."""
        return self.process.poll() is None

    def end(self, by: signal.Signals) -> None:
        """Ask it to end. Raises ChildFailed unless it says that all went well."""
        self.process.send_signal(by)
        self.finish()

    def finish(self) -> None:
        """Wait for its end, and for the last it has to say. Raises ChildFailed unless all went well."""
        self._wait()
        if self.process.returncode:
            raise ChildFailed(f"the {self.name} ended with status {self.process.returncode}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.running:
            self.process.terminate()
        self._wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _wait(self) -> None:
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._say(f"{self.name} | does not end, and is killed")
            self.process.kill()
            self.process.wait()
        for listener in self._listeners:
            listener.join(_PIPES)

    def _hear_facts(self, stdout: IO[bytes]) -> None:
        facts = msgspec.json.Decoder(Fact)
        for line in stdout:
            try:
                self._learn(facts.decode(line))
            except msgspec.MsgspecError:
                self._say(f"{self.name} said: {line.decode(errors='replace').rstrip()}")

    def _hear_complaints(self, stderr: IO[bytes]) -> None:
        for line in stderr:
            self._say(f"{self.name} | {line.decode(errors='replace').rstrip()}")
