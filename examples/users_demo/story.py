"""The story: a service, its client and a reader; Kafka goes away, comes back, and every event arrives."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from examples.users_demo import asking
from examples.users_demo.brokers import Broker
from examples.users_demo.children import Child, ChildFailed
from examples.users_demo.events import TOPICS
from examples.users_demo.interrupts import Interrupts
from examples.users_demo.latencies import latency_table
from examples.users_demo.ledgers import Ledgers
from examples.users_demo.narrator import Narrator
from examples.users_demo.second_act import SecondAct
from examples.users_demo.verdict import Verdict, judge
from tidings import Stats

ARRIVAL = 30.0
"""Seconds for the last answers, and then for the last events: Kafka is back by then."""
PROGRESS = 2.0
"""Seconds between two lines of progress."""
TOLD = 3
"""Answers that are not as they should be: these many are shown, all are counted."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The size of the story: how many requests, and seconds before, during and after the outage."""

    requests: int
    calm: float
    outage: float
    second_act: bool = True

    @property
    def seconds(self) -> float:
        """The time over which the client spreads its requests."""
        return 2 * self.calm + self.outage


class Story:
    """One run of the demo."""

    def __init__(self, options: Options, narrator: Narrator, interrupts: Interrupts) -> None:
        self._options = options
        self._narrator = narrator
        self._interrupts = interrupts
        self._ledgers = Ledgers()
        self._running: list[Child] = []
        self._port = 0
        self._next_progress = 0.0
        self._told = 0

    def tell(self, broker: Broker) -> Verdict:
        """From starting everything to the verdict. Raises ChildFailed, NoAnswer, Interrupted."""
        options, say = self._options, self._narrator.say
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="users-demo-"))
            say(f"Starting {broker.name} ...")
            stack.callback(broker.stop)
            with self._interrupts.at_once():
                broker.start()
            service = self._start_service(stack, broker.address, Path(scratch))
            reader = self._start(stack, "reader", "reader", "--brokers", broker.address, *TOPICS)
            asking.stats(self._port)  # waits until the service serves
            say(f"Kafka is at {broker.address}, the users service at http://127.0.0.1:{self._port}")

            say(f"The client begins: {options.requests:,} HTTP requests in {options.seconds:g} seconds.")
            begun = time.monotonic()
            client = self._start(
                stack,
                "client",
                "client",
                f"--port={self._port}",
                f"--requests={options.requests}",
                f"--seconds={options.seconds}",
            )
            self._go_on(begun + options.calm)
            self._show_sample()

            broker.down()
            down = time.time()
            say(f"KAFKA IS AWAY for {options.outage:g} seconds. Requests go on.")
            self._go_on(begun + options.calm + options.outage / 2)
            self._ask_health()
            self._go_on(begun + options.calm + options.outage)
            say("Bringing Kafka back ...")
            broker.up()
            up = time.time()
            say("KAFKA IS BACK. Requests go on.")

            self._finish(client)
            terms = self._await_arrival()
            self._end(service)
            # Nobody writes any more: the reader goes on to the very end, so that it misses no duplicate.
            self._end(reader, signal.SIGINT)
            second = SecondAct(broker, Path(scratch), self._narrator, self._interrupts)
            if options.second_act:
                second.play()

        verdict = judge(
            terms, self._ledgers.answers, self._ledgers.accepted, self._ledgers.seen, options.requests
        )
        self._narrator.show(f"{latency_table(self._ledgers.answers, down, up)}\n\n{verdict.table()}")
        verdict.problems.extend(second.problems)
        return verdict

    # -- beginning

    def _start_service(self, stack: ExitStack, brokers: str, scratch: Path) -> Child:
        # The demo's broker and nobody else's: what this shell says of Kafka stays outside.
        env = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        env |= {
            "KAFKA_BROKERS": brokers,
            "KAFKA_SERVICE": "users",
            "KAFKA_CLOSE_TIMEOUT": "2s",
            "KAFKA_STORE_DIR": str(scratch / "store"),
        }
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            self._port = listening.getsockname()[1]
            descriptor = listening.fileno()
            return self._start(
                stack, "service", "serve", f"--fd={descriptor}", env=env, pass_fds=[descriptor]
            )

    def _start(
        self,
        stack: ExitStack,
        name: str,
        module: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        self._interrupts.check()
        child = Child(
            name,
            module,
            arguments,
            say=self._narrator.say,
            learn=self._ledgers.learn,
            env=env,
            pass_fds=pass_fds,
        )
        self._running.append(child)
        return stack.enter_context(child)

    # -- going on

    def _go_on(self, until: float) -> None:
        """Let things happen until then, and say how they go."""
        while time.monotonic() < until:
            self._look()

    def _look(self) -> None:
        """One look at everything. Raises ChildFailed if something ended that should not have."""
        self._interrupts.sleep(0.1)
        for child in self._running:
            if not child.running:
                child.finish()
        if time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS
            self._narrator.say(self._progress(asking.stats(self._port)))
            for answer in self._ledgers.bad[self._told : TOLD]:
                self._narrator.say(f"client | {answer.kind}: {answer.status} {answer.trouble}")
            self._told = len(self._ledgers.bad)

    def _progress(self, terms: Stats) -> str:
        ledgers = self._ledgers
        return (
            f"{len(ledgers.answers):6,} answered |{terms.accepted:6,} accepted,{terms.delivered:6,} delivered"
            f",{terms.stored:6,} stored,{terms.in_flight:6,} in flight | the reader saw{len(ledgers.seen):6,}"
        )

    def _show_sample(self) -> None:
        lines = ["  What the reader finds in Kafka:"]
        for record in self._ledgers.samples.values():
            lines.append(f"  {record.topic}[{record.partition}] offset {record.offset}, key {record.key}")
            lines += [f"      {name}: {value}" for name, value in record.headers]
        self._narrator.show("\n".join(lines))

    def _ask_health(self) -> None:
        status, health = asking.get(self._port, "/health")
        self._narrator.say(
            f"GET /health: {status}, {health['status']} ({health['cause']}). {health['message']}"
        )

    # -- ending

    def _finish(self, child: Child) -> None:
        """Let a child come to its own end. Raises ChildFailed when that takes too long."""
        end = time.monotonic() + self._options.calm + ARRIVAL
        while child.running:
            if time.monotonic() > end:
                raise ChildFailed(f"the {child.name} does not come to its end")
            self._look()
        self._running.remove(child)
        child.finish()

    def _await_arrival(self) -> Stats:
        """The service's accounts, once nothing is on its way any more, or when that takes too long."""
        end = time.monotonic() + ARRIVAL
        while True:
            terms = asking.stats(self._port)
            if not terms.in_flight + terms.stored or time.monotonic() > end:
                self._narrator.say(self._progress(terms))
                return terms
            self._look()

    def _end(self, child: Child, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask a child to end."""
        self._running.remove(child)
        child.end(by)
