"""The demo, as a newcomer runs it: it ends well, it tells the truth, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from examples.users_demo.facts import Answer
from examples.users_demo.verdict import judge
from tidings import Stats
from tidings.testing.errors import RealKafkaUnavailable

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
SHORT = ("--requests=400", "--calm=1.5", "--outage=3", "--no-second-act")


class Demo:
    """The demo in a process of its own; ``seen`` are all its descendants of all times, by ``ps``."""

    def __init__(self, scratch: Path, *options: str) -> None:
        self.lines: list[str] = []
        self.seen: dict[int, str] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.users_demo", *options],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(scratch)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            self.look()
            time.sleep(0.02)

    def says(self, text: str) -> Callable[[], object]:
        return lambda: any(text in line for line in self.lines)

    def look(self) -> None:
        family = {self.process.pid}
        for pid, parent, command in processes():
            if parent in family:
                family.add(pid)
                self.seen[pid] = command

    def status(self) -> int:
        """The exit status; every descendant was looked for until the end."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end, self.output
            self.look()
            time.sleep(0.02)
        self._listener.join(PATIENCE)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())


def processes() -> list[tuple[int, int, str]]:
    """(pid, parent, command) of everything that runs, parents first; zombies have ended and are left out."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()]
    return sorted((int(r[0]), int(r[1]), r[3]) for r in rows if len(r) == 4 and not r[2].startswith("Z"))


def left_behind(demo: Demo) -> dict[int, str]:
    return {pid: command for pid, _, command in processes() if demo.seen.get(pid) == command}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    place = tmp_path / "scratch"
    place.mkdir()
    return place


@pytest.fixture
def start(scratch: Path) -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def run(*options: str) -> Demo:
        started.append(Demo(scratch, *options))
        return started[-1]

    yield run
    for demo in started:
        demo.close()


def test_every_accepted_event_arrives(start: Callable[..., Demo], scratch: Path) -> None:
    demo = start("--broker", "embedded", *SHORT)

    assert demo.status() == 0, demo.output
    table = {name.strip(" =+"): number for name, _, number in (line.rpartition(" ") for line in demo.lines)}
    assert table["accepted, says the service"] == "400"
    assert table["delivered"] == table["seen by the consumer"] == "400"
    assert {table[term] for term in ("lost", "dead-lettered", "stored", "in flight", "missing")} == {"0"}
    assert "correlation_id: caller" in demo.output
    assert not left_behind(demo)
    assert not list(scratch.iterdir())


def test_the_second_act_loses_nothing_to_a_kill_and_replays_a_letter(
    start: Callable[..., Demo], scratch: Path
) -> None:
    demo = start("--broker", "embedded", "--requests=50", "--calm=0.5", "--outage=1")

    assert demo.status() == 0, demo.output
    _, _, answers = demo.output.partition("WHERE IS EVENT X?")
    places = [line[38:].split()[0] for line in answers.splitlines()[1:6]]
    assert places == ["stored", "delivered", "dead_lettered", "not_found", "delivered"]
    assert not left_behind(demo)
    assert not list(scratch.iterdir())


def test_every_accepted_event_arrives_at_a_real_kafka(start: Callable[..., Demo], scratch: Path) -> None:
    demo = start("--broker", "real", *SHORT)

    status = demo.status()
    if RealKafkaUnavailable.code in demo.output:
        pytest.skip(demo.lines[-1])
    assert status == 0, demo.output
    assert not left_behind(demo)
    assert not list(scratch.iterdir())


def test_a_reader_that_dies_is_no_success(start: Callable[..., Demo], scratch: Path) -> None:
    demo = start(*SHORT)
    demo.wait_for(demo.says("KAFKA IS AWAY"))
    demo.look()
    [reader] = [pid for pid, command in demo.seen.items() if "users_demo.reader" in command]
    os.kill(reader, signal.SIGKILL)

    assert demo.status() == 1
    assert "FAILED: the reader ended with status -9" in demo.output
    assert not left_behind(demo)
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "Starting"),
        (signal.SIGINT, "The client begins"),
        (signal.SIGINT, "KAFKA IS AWAY"),
        (signal.SIGTERM, "KAFKA IS AWAY"),
        (signal.SIGINT, "KAFKA IS BACK"),
    ],
)
def test_an_interrupted_demo_leaves_nothing_behind(
    start: Callable[..., Demo], scratch: Path, number: signal.Signals, moment: str
) -> None:
    demo = start("--requests=400", "--calm=1.5", "--outage=1")
    demo.wait_for(demo.says(moment))
    os.killpg(demo.process.pid, number)

    assert demo.status() == 128 + number, demo.output
    assert not left_behind(demo)
    assert not list(scratch.iterdir())


def answer(event_id: str) -> Answer:
    return Answer(at=0, kind="login", status=200, good=True, milliseconds=1, event_id=event_id, trouble=None)


ANSWERS = [answer("a"), answer("b")]
BOTH = Counter(["a", "b"])
TERMS = Stats(accepted=2, delivered=2)


def test_the_verdict_is_good_when_the_ledgers_agree_and_duplicates_are_allowed() -> None:
    verdict = judge(TERMS, ANSWERS, BOTH, Counter(["a", "b", "b"]), expected=2)

    assert not verdict.problems
    assert verdict.duplicates == 1


@pytest.mark.parametrize(
    ("terms", "answers", "accepted", "seen", "problem"),
    [
        (TERMS, ANSWERS, BOTH, Counter(["a"]), "1 accepted events never arrived, such as b"),
        (TERMS, ANSWERS, BOTH, Counter(["a", "b", "c"]), "1 events arrived that nobody was told of"),
        (TERMS, ANSWERS, Counter(["a", "a"]), Counter(["a"]), "accepted 2 events, the client knows of 1"),
        (Stats(accepted=2, delivered=1), ANSWERS, BOTH, BOTH, "the terms do not balance"),
        (Stats(accepted=2, delivered=1, lost=1), ANSWERS, BOTH, BOTH, "1 lost"),
        (Stats(accepted=2, delivered=1, dead_lettered=1), ANSWERS, BOTH, BOTH, "1 dead-lettered"),
        (Stats(accepted=2, delivered=1, in_flight=1), ANSWERS, BOTH, BOTH, "1 in flight"),
        (Stats(accepted=2, delivered=1, stored=1), ANSWERS, BOTH, BOTH, "1 stored"),
        (TERMS, ANSWERS[:1], BOTH, BOTH, "1 of 2 requests were made"),
        (
            TERMS,
            [ANSWERS[0], msgspec.structs.replace(ANSWERS[1], good=False, status=500)],
            BOTH,
            BOTH,
            "1 requests were not answered",
        ),
    ],
)
def test_the_verdict_names_what_is_wrong(
    terms: Stats, answers: list[Answer], accepted: Counter[str], seen: Counter[str], problem: str
) -> None:
    [found] = judge(terms, answers, accepted, seen, expected=2).problems

    assert problem in found
