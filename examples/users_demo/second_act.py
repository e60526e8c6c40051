"""The second act: a payments program is killed in an outage, and an event is refused; nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from examples.users_demo.brokers import Broker
from examples.users_demo.children import Child, ChildFailed
from examples.users_demo.events import PAYMENTS
from examples.users_demo.facts import Books, Fact, Found, Record, Safe
from examples.users_demo.interrupts import Interrupts
from examples.users_demo.narrator import Narrator

SAFE = 200
"""Payments that are safe before the program is killed."""
PATIENCE = 60.0
HAND_OVERS = 2
"""With RETRY_MAX=1: the first one, and the one alone whose answer counts."""


class SecondAct:
    """Four runs of one program on one store, and an independent reader that knows nothing of them."""

    def __init__(self, broker: Broker, scratch: Path, narrator: Narrator, interrupts: Interrupts) -> None:
        self.problems: list[str] = []
        self._broker = broker
        self._store = scratch / "payments-store"
        self._say = narrator.say
        self._show = narrator.show
        self._interrupts = interrupts
        self._safe: set[str] = set()
        self._seen: set[str] = set()
        self._found: list[Found] = []
        self._books: list[Books] = []
        self._lock = threading.Lock()

    def play(self) -> None:
        """From the outage to the last answer; what went wrong is in ``problems``. Raises ChildFailed."""
        say = self._say
        say("THE SECOND ACT. Kafka is away, and a payments program starts: DURABILITY=write-ahead.")
        self._broker.down()
        with self._payments("publish") as program:
            self._wait(lambda: len(self._safe) >= SAFE, program)
            program.process.send_signal(signal.SIGKILL)
            program.process.wait(PATIENCE)
        say(f"kill -9: {len(self._safe)} payments were safe, on disk only. Kafka is back.")
        self._broker.up()
        with self._child("reader", "--brokers", self._broker.address, PAYMENTS) as reader:
            self._run("resume", max(self._safe))
            say("A payment that is too large for its topic: a letter, and no loss.")
            self._broker.refuse(PAYMENTS, HAND_OVERS)
            self._run("oversize")
            self._broker.relent(PAYMENTS)
            say("The topic was mended: the letter is replayed.")
            self._run("replay", self._refused())
            reader.end(signal.SIGINT)
        self._judge()

    def _judge(self) -> None:
        missing = self._safe - self._seen
        dead = sum(each.dead_lettered for each in self._books)
        lost = sum(each.lost + each.stored for each in self._books)
        replayed = sum(each.replayed for each in self._books)
        expected = ["stored", "delivered", "dead_lettered", "not_found", "delivered"]
        checks = {
            f"{len(missing)} safe payments never arrived": not missing,
            f"{dead} letters, {replayed} replayed, one of each was to be": dead == replayed == 1,
            f"{lost} lost or stored at the end": not lost,
            "find() answered wrongly": [each.place for each in self._found] == expected,
        }
        self.problems = [problem for problem, fine in checks.items() if not fine]
        rows = "\n".join(f"  {each.what:<36}{each.place:<16}{each.message}" for each in self._found)
        self._show(
            f"  safe when it was killed: {len(self._safe)}, in Kafka: {len(self._safe & self._seen)}\n\n"
            f"  WHERE IS EVENT X?\n{rows}"
        )

    def _refused(self) -> str:
        return next((each.event_id for each in self._found if each.place == "dead_lettered"), "")

    def _run(self, part: str, known: str = "") -> None:
        with self._payments(part, f"--known={known}") as program:
            self._wait(lambda: not program.running, program)
            program.finish()

    def _payments(self, part: str, *more: str) -> Child:
        return self._child(
            "payments", part, "--brokers", self._broker.address, "--store", str(self._store), *more
        )

    def _child(self, module: str, *arguments: str) -> Child:
        self._interrupts.check()
        return Child(module, module, arguments, say=self._say, learn=self._learn, env=None, pass_fds=())

    def _wait(self, condition: Callable[[], bool], program: Child) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end or not program.running:
                raise ChildFailed(f"the {program.name} program does not come to its end")
            self._interrupts.sleep(0.05)

    def _learn(self, fact: Fact) -> None:
        with self._lock:
            if isinstance(fact, Safe):
                self._safe.add(fact.event_id)
            elif isinstance(fact, Record):
                self._seen.add(fact.event_id)
            elif isinstance(fact, Found):
                self._found.append(fact)
            elif isinstance(fact, Books):
                self._books.append(fact)
