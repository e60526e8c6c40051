"""The demo of two services: it ends well, its judge finds what is wrong, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from examples.kafka_demo.reading import Seen
from examples.kafka_demo.verdict import Sent, judge
from support.processes import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


def start(scratch: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "examples.kafka_demo", "--users", "8"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch), "KAFKA_BROKERS": "of.this.shell.invalid:9092"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )


def children() -> dict[int, str]:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,stat=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return {int(row[0]): row[2] for row in rows if "examples.kafka_demo" in row[-1] and row[1][0] != "Z"}


def test_two_services_answer_each_other(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        output, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, output
    shown = Counter(re.findall(r"(users|translations) \| ((?:user|translation)\.\w+)", output))
    assert min(shown.values()) >= 2
    assert shown.keys() == {
        ("users", "user.created"),
        ("users", "user.updated"),
        ("users", "user.deleted"),
        ("translations", "translation.requested"),
        ("users", "translation.completed"),
        ("users", "translation.failed"),
    }
    assert re.search(r"translation.completed welcome-u-0: Willkommen, Ada! +\[request-0\]", output)
    assert "Every event is there" in output
    assert not list(tmp_path.iterdir())


def test_a_service_that_dies_is_no_success(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        before: list[int] = []

        def is_there() -> bool:
            before.extend(pid for pid, command in children().items() if "translation_service" in command)
            return bool(before)

        assert wait_until(is_there)
        os.kill(before[-1], signal.SIGKILL)
        output, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 1, output
    assert "FAILED: the translations service ended with status -9" in output
    assert not list(tmp_path.iterdir())


def seen(
    topic: str, offset: int, event_id: str, event_type: str, key: str, correlation_id: str = "r"
) -> Seen:
    return Seen(topic, 0, offset, key, event_id, event_type, correlation_id, {})


SENT = [
    Sent("a", "user.created", "u", "r", "translation.completed"),
    Sent("b", "user.updated", "u", "r", "translation.completed"),
    Sent("c", "user.deleted", "u", "r", "translation.completed"),
]
USERS = [
    seen("users", 0, "a", "user.created", "u"),
    seen("users", 1, "b", "user.updated", "u"),
    seen("users", 2, "c", "user.deleted", "u"),
]
TALK = [
    seen("talk", 0, "d", "translation.requested", "welcome-u"),
    seen("talk", 1, "e", "translation.completed", "welcome-u"),
]
SHOWN = {"users": Counter("abce"), "translations": Counter("d")}


def test_the_judge_is_content_with_all_of_it_and_with_duplicates() -> None:
    assert judge(SENT, USERS, TALK, SHOWN) == []
    again = [*TALK, seen("talk", 2, "e", "translation.completed", "welcome-u")]
    assert judge(SENT, USERS, again, {**SHOWN, "users": Counter("abcee")}) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"users": USERS[:2]}, "user.deleted of u is not in its topic as it was sent"),
        ({"users": [*USERS[:2], USERS[2]._replace(correlation_id="x")]}, "as it was sent"),
        ({"users": [*USERS[:2], USERS[2]._replace(key="x")]}, "as it was sent"),
        ({"users": [USERS[0], *(it._replace(offset=9 - it.offset) for it in USERS[1:])]}, "out of order"),
        ({"users": [*USERS, seen("users", 3, "z", "user.created", "z")]}, "nobody sent this"),
        ({"talk": TALK[1:]}, "translation.requested for u is not there under r"),
        ({"talk": TALK[:1]}, "translation.completed for u is not there under r"),
        ({"talk": [TALK[0], TALK[1]._replace(correlation_id="x")]}, "is not there under r"),
        ({"talk": [*TALK, seen("talk", 2, "z", "translation.failed", "welcome-u")]}, "nobody sent this"),
        ({"shown": {**SHOWN, "users": Counter("abe")}}, "users service did not show user.deleted of u"),
        ({"shown": {**SHOWN, "translations": Counter()}}, "did not show translation.requested of welcome-u"),
    ],
)
def test_the_judge_names_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    found = {"users": USERS, "talk": TALK, "shown": SHOWN, **change}
    problems = judge(SENT, found["users"], found["talk"], found["shown"])
    assert any(problem in each for each in problems), problems


def test_the_readme_says_how_to_test_without_kafka() -> None:
    text = (ROOT / "examples" / "kafka_demo" / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(program, "README.md", "exec"), {})
