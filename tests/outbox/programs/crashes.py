"""Dies by SIGKILL at each step of an outbox, in a child for each: ``crashes.py DSN BROKERS TOPIC``.

Each step has a table of its own name. What is printed, one JSON line a step, is what the step had promised.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from support.events import OrderPlaced, registry
from support.outbox import Desk
from tidings import Publisher
from tidings.outbox import Relay
from tidings.outbox.press import Press
from tidings.outbox.rows import Rows
from tidings.outbox.working import Work

DSN, BROKERS, TOPIC = sys.argv[1:4]
TOTALS = range(20)
MIDDLE = 12


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("dead by now")


def say(step: str, *, committed: list[str], never: list[str]) -> None:
    print(json.dumps({"step": step, "committed": committed, "never": never}), flush=True)


def adding(step: str, *, commits: bool) -> None:
    """Die in the application's transaction, or right behind it."""
    app = Desk(DSN, step)
    with Session(app.engine) as session:
        ids = [app.outbox.add(session, OrderPlaced(step, total), topic=TOPIC) for total in TOTALS]
        if commits:
            session.commit()
            say(step, committed=ids, never=[])
        else:
            session.flush()
            say(step, committed=[], never=ids)
        die()


def relaying(step: str, arm: Callable[[Publisher], None]) -> None:
    """Die in a relay, where ``arm`` says."""
    app = Desk(DSN, step)
    say(step, committed=app.add(step, *TOTALS, topic=TOPIC), never=[])
    publisher = Publisher(brokers=BROKERS, registry=registry, durability="memory")
    arm(publisher)
    Relay(app.engine, publisher, table=step, lease=1.0, poll=0.01).run()


def taken(_: Publisher) -> None:
    take = Rows.take

    def take_and_die(self: Rows, *arguments: Any) -> Any:
        take(self, *arguments)
        die()

    Rows.take = take_and_die  # type: ignore[method-assign, assignment]


def middle(publisher: Publisher) -> None:
    publish, count = Press.publish, iter(range(MIDDLE))

    def publish_some(self: Press, row: Any) -> None:
        if next(count, None) is None:
            publisher.flush(30)
            die()
        publish(self, row)

    Press.publish = publish_some  # type: ignore[method-assign]


def published(publisher: Publisher) -> None:
    all_at_once(publisher)

    def die_first(*_: Any, **__: Any) -> int:
        die()

    Rows.finish = die_first  # type: ignore[method-assign]


def finishing(publisher: Publisher) -> None:
    """After the rows were removed, and before that was committed."""
    all_at_once(publisher)
    run = Rows._run

    def run_and_die(self: Rows, cursor: Any, sql: str, *rest: Any) -> Any:
        found = run(self, cursor, sql, *rest)
        if sql.startswith("DELETE"):
            die()
        return found

    Rows._run = run_and_die  # type: ignore[method-assign, assignment]


def finished(publisher: Publisher) -> None:
    all_at_once(publisher)
    finish = Rows.finish

    def finish_and_die(self: Rows, *arguments: Any, **options: Any) -> int:
        finish(self, *arguments, **options)
        die()

    Rows.finish = finish_and_die  # type: ignore[method-assign]


def all_at_once(publisher: Publisher) -> None:
    """The whole batch is in Kafka before the relay looks."""
    settle = Work.settle

    def flush_and_settle(self: Work) -> bool:
        publisher.flush(30)
        return settle(self)

    Work.settle = flush_and_settle  # type: ignore[method-assign]


ARMS = (taken, middle, published, finishing, finished)
STEPS: dict[str, Callable[[], None]] = {
    "before_commit": lambda: adding("before_commit", commits=False),
    "after_commit": lambda: adding("after_commit", commits=True),
    **{arm.__name__: partial(relaying, arm.__name__, arm) for arm in ARMS},
}

for work in STEPS.values():
    if (child := os.fork()) == 0:
        work()
        os._exit(3)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), status
