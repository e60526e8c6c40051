"""Replay: letters go back to their topic, or straight to a consumer's handlers, on a person's word."""

from __future__ import annotations

import getpass
import hashlib
import logging
import re
import socket
import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tidings.errors import ConfigError, DecodeError, TidingsError
from tidings.letters.letter import DeadLetter
from tidings.letters.replay_parts import LetterConsumer, LetterSource, ReplaySender
from tidings.letters.replay_report import Histogram, ReplayPlan, ReplayReport, nothing_matched
from tidings.letters.replay_run import ReplayRun
from tidings.letters.where import Filter, Where

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,100}")
_DEFAULT = "default"
_SLOWEST = 0.01
_MOST_PROBLEMS = 100


class Replay:
    """Sends the events of letters again, or has them handled, and keeps a record of it.

        plan = Replay(source=DeadLetterTopic(settings, "dead-letters"), publisher=publisher,
                      where={"error_code": "MSG_SIZE_TOO_LARGE"}).dry_run()

    With ``publisher`` an event goes to its original topic with its key, value, headers and event_id, and
    with the headers ``tidings-replay-count`` and ``tidings-letter-id``; its record timestamp is new. Every
    group of that topic sees it again, whoever gave it up. A letter is settled once Kafka has acknowledged
    its event and the note of it.

    With ``consumer``, which need not have started, the letters of its group are given to its handlers, in
    this process: neither the topic nor the group's offsets are touched. A handler gets its event as it
    would from Kafka, with topic, partition and offset of the record that was given up; events of one key
    come one after another in the order of their letters, other keys meanwhile. Its retries hold for as long
    as ``patience`` allows. A letter is settled once its handler has returned, Kafka has what that published,
    and the note is acknowledged. What fails stays; what is rejected is parked with the new reason. A running
    consumer goes on meanwhile: it may have a later event of the same key.

    ``where`` chooses letters (see ``Filter``): a mapping of patterns, or a predicate on a DeadLetter. For a
    consumer they are those of its own group, unless the mapping says ``group``.
    ``rate`` is the most events a second (0.01 at least; None: as fast as Kafka takes them), ``limit`` the
    most letters of one run. A run that would take every letter needs a ``limit`` or ``all=True``. A letter
    whose event was replayed ``max_replays`` times already is parked instead.

    ``name`` is where progress is kept: replayers at work at the same time must share it, and then share the
    letters. Default: ``default``, or the consumer's group. A letter the filter passed over stays: a later run
    finds it, whatever its filter. A killed run is resumed by another of the same name, and repeats at most
    what was in flight: up to 500 events sent, or 16 handled. ``who`` (default: user@host) goes into the
    notes. ``patience`` is how long, in seconds, the acknowledgements of a batch are waited for; or one
    handler's repeats and what it published.

    One run at a time; ``stop`` may be called by any thread, or in a signal handler. Raises ConfigError.
    """

    def __init__(
        self,
        *,
        source: LetterSource,
        publisher: ReplaySender | None = None,
        consumer: LetterConsumer | None = None,
        where: Where = None,
        rate: float | None = None,
        limit: int | None = None,
        max_replays: int = 3,
        all: bool = False,
        name: str | None = None,
        who: str | None = None,
        patience: float = 60.0,
        logger: logging.Logger | None = None,
    ) -> None:
        problems = []
        if (publisher is None) == (consumer is None):
            problems.append("give a publisher, for the events' topics, or a consumer, for its handlers")
        if rate is not None and not rate >= _SLOWEST:
            problems.append(f"rate: must be {_SLOWEST} events a second at least")
        if limit is not None and limit < 1:
            problems.append("limit: must be 1 at least")
        if max_replays < 1:
            problems.append("max_replays: must be 1 at least")
        if name is not None and not _NAME.fullmatch(name):
            problems.append("name: must be 1 to 100 of a-z A-Z 0-9 . _ -")
        if problems:
            raise ConfigError(f"Replay: {'; '.join(problems)}.")
        self.source = source
        self.publisher = publisher
        self.consumer = consumer
        self.filter = Filter(where, None if consumer is None else consumer.group_id)
        self.rate = rate
        self.limit = limit
        self.max_replays = max_replays
        self.name = name or (_DEFAULT if consumer is None else _name_of(consumer.group_id))
        self.who = who or _somebody()
        self.patience = patience
        self.logger = logger or logging.getLogger("tidings.replay")
        self.stopping = threading.Event()
        self._all = all

    def dry_run(self) -> ReplayPlan:
        """Count what ``run()`` would do now; nothing is sent, written or committed.

        Raises BrokersUnavailable when Kafka does not answer, ConsumeError when there is no such topic or it
        may not be read.
        """
        histogram, seen = Histogram(datetime.now(UTC)), Counter[str]()
        counts: Counter[str] = Counter()
        problems: list[str] = []
        for taken, settled in self.source.survey(self.name):
            counts["considered"] += 1
            if settled:
                counts["duplicates"] += 1
                continue
            try:
                letter = DeadLetter.decode(taken.value)
            except DecodeError as error:
                counts["unreadable"] += 1
                if len(problems) < _MOST_PROBLEMS:
                    problems.append(f"{taken.place}: {error}")
                continue
            if self.filter(letter):
                counts["matched"] += 1
                counts["to_park"] += letter.replay_count >= self.max_replays
                histogram.add(letter)
            else:
                counts["skipped"] += 1
                histogram.count(seen, letter.error_code)
        fields: dict[str, Any] = dict(counts)
        plan = ReplayPlan(
            **fields,
            by_reason=dict(histogram.by_reason),
            by_topic=dict(histogram.by_topic),
            by_age=dict(histogram.by_age),
            problems=tuple(problems),
        )
        return plan.saying(self._plan_in_words(plan, seen))

    def run(self) -> ReplayReport:
        """Replay the letters that are there now. Blocks; async handlers run on an event loop of their own.

        Raises ConfigError when the filter takes every letter and neither ``limit`` nor ``all`` was given, or
        the consumer has no handlers, and what ``dry_run`` raises while nothing was sent. Trouble after that
        ends the run: the report's ``stopped`` says why, and the next run goes on where this one ended.
        """
        return self._run(None)

    async def arun(self) -> ReplayReport:
        """``run`` for a coroutine: async handlers run on this event loop, everything else beside it.
        Cancelled, it stops, and waits for the letters in flight."""
        import asyncio  # noqa: PLC0415

        work = asyncio.ensure_future(asyncio.to_thread(self._run, asyncio.get_running_loop()))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([work])
            raise

    def _run(self, loop: Any) -> ReplayReport:
        self._check_reach()
        handlers = self.consumer._letter_handlers(loop) if self.consumer is not None else None
        run = ReplayRun(self, handlers)
        try:
            self.source.begin(self.name, run.note("started"), run.key)
            try:
                run.work()
                self.source.note(run.note("finished"), run.key)
            except TidingsError as error:
                run.stopped = run.stopped or str(error)
        finally:
            self.source.close()
            run.close()
            self.stopping.clear()
        report = run.report()
        self.logger.info(f"replay {run.run_id} of {self.source.name} by {self.who}: {report.message}")
        return report

    def stop(self) -> None:
        """End the run after the letters in flight; the next one resumes. Without a run, the next ends at
        once."""
        self.stopping.set()

    def _check_reach(self) -> None:
        if self.limit is not None or self._all:
            return
        every = f"The filter ({self.filter}) takes every letter of {self.source.name}"
        if self.filter.takes_everything:
            raise ConfigError(f"{every}: give limit=…, or all=True if that is what you want.")
        if self.filter.is_code:
            plan = self.dry_run()
            if plan.matched > 1 and not plan.skipped:
                raise ConfigError(f"{every}, {plan.matched} of them: give limit=…, or all=True.")

    def _plan_in_words(self, plan: ReplayPlan, seen: Counter[str]) -> str:
        if not plan.matched:
            return nothing_matched(plan, str(self.filter), seen)
        most = f", at most {self.limit} in a run" if self.limit is not None else ""
        return (
            f"{plan.matched} of {plan.considered} letters match ({self.filter}){most}; {plan.to_park} of "
            f"them would be parked. {plan.duplicates} are settled already, {plan.unreadable} are unreadable."
        )


def _name_of(group: str) -> str:
    """A name that the replayers of a group share: its own, where that can be one."""
    if _NAME.fullmatch(group) and group != _DEFAULT:
        return group
    return f"group-{hashlib.blake2b(group.encode(), digest_size=8).hexdigest()}"


def _somebody() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
