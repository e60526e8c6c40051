"""What the demo knows, from three sides that know nothing of each other: client, reader and service."""

from __future__ import annotations

import threading
from collections import Counter

from examples.users_demo.facts import Answer, Fact, Record


class Ledgers:
    """Fills up while the demo runs. ``learn`` may be called by any thread."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.bad: list[Answer] = []
        """Those of them that are not as they should be."""
        self.accepted: Counter[str] = Counter()
        """The client's: the ids it was given with the service's answers."""
        self.seen: Counter[str] = Counter()
        """The reader's: the ids of the records in Kafka."""
        self.samples: dict[str, Record] = {}
        """The first record of each type of event."""
        self._lock = threading.Lock()

    def learn(self, fact: Fact) -> None:
        """Write down what a process of the demo told."""
        with self._lock:
            if isinstance(fact, Answer):
                self.answers.append(fact)
                if not fact.good:
                    self.bad.append(fact)
                if fact.event_id is not None:
                    self.accepted[fact.event_id] += 1
            elif isinstance(fact, Record):
                self.seen[fact.event_id] += 1
                self.samples.setdefault(dict(fact.headers).get("event_type", "?"), fact)
