"""The story: users come, change and go; two services hear of it, and one asks the other."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from examples.kafka_demo.processes import Service
from examples.kafka_demo.reading import read, unfinished
from examples.kafka_demo.verdict import ORDER, Sent, judge
from examples.kafka_demo.wiring import repository_for, settings
from examples.users_demo.brokers import Broker
from examples.users_demo.interrupts import Interrupts
from tidings import UserEvents

PATIENCE = 60.0
"""Seconds for everything to arrive; it takes two."""
LANGUAGES = ("de", "es", "fr", "tlh")
"""The last is one that the translation service does not speak."""
NAMES = ("Ada", "Bo", "Chidi", "Dilara", "Emmy", "Farid", "Grace", "Hedy")
SERVICES = {"users": "user_service", "translations": "translation_service"}


def tell(
    make_broker: Callable[[list[str]], Broker], count: int, say: Callable[[str], None], interrupts: Interrupts
) -> list[str]:
    """From the first process to the verdict: what is wrong. Raises ServiceFailed, Interrupted."""
    for name in [name for name in os.environ if name.startswith("KAFKA_")]:
        del os.environ[name]  # the demo's broker and nobody else's
    config = settings()
    topics = [config.topics["user-events"], config.topics["translation-events"]]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-demo-")))
        broker = make_broker([*topics, config.dlq_topic])
        say(f"Starting {broker.name} ...")
        stack.callback(broker.stop)
        with interrupts.at_once():
            broker.start()
        say(f"Kafka is at {broker.address}.")

        os.environ |= {"KAFKA_BROKERS": broker.address, "KAFKA_STORE_DIR": str(scratch / "store")}
        services: dict[str, Service] = {}
        for name, module in SERVICES.items():
            interrupts.check()
            services[name] = stack.enter_context(Service(name, module, say))

        sent = _live(count)
        say(f"{len(sent)} events of {count} users are sent. The services do the rest.")
        shown = {name: service.shown for name, service in services.items()}
        deadline = time.monotonic() + PATIENCE
        while True:
            users, translations = (read(broker.address, [topic]) for topic in topics)
            problems = judge(sent, users, translations, shown)
            if not problems or time.monotonic() > deadline:
                break
            for service in services.values():
                service.check()
            interrupts.sleep(0.3)

        for service in services.values():
            service.end()
        say("Both services have ended in order. What is in Kafka now:")
        users, translations = (read(broker.address, [topic]) for topic in topics)
        problems = judge(sent, users, translations, shown)
        problems += [f"a letter: {letter}" for letter in read(broker.address, [config.dlq_topic])]
        for name, heard in (("users", topics), ("translations", topics[1:])):
            if left := unfinished(broker.address, f"demo.{name}", heard):
                problems.append(f"the {name} service has not committed {left} records")
        say(f"{len(users)} records in {topics[0]}, {len(translations)} in {topics[1]}.")
        return problems


def _live(count: int) -> list[Sent]:
    """Have users come, change and go; what was sent. Kafka has all of it at the end."""
    sent: list[Sent] = []
    with closing(repository_for("front")) as repository:
        users = UserEvents(repository)
        for number in range(count):
            name, language = NAMES[number % len(NAMES)], LANGUAGES[number % len(LANGUAGES)]
            user_id, request = f"u-{number}", f"request-{number}"
            answer = "translation.failed" if language == LANGUAGES[-1] else "translation.completed"
            about = ({"name": name, "language": language}, {"plan": "paid"}, None)
            for event_type, data in zip(ORDER, about, strict=True):
                email = f"{name.lower()}@example.org"
                delivery = users.produce_user_event(event_type, user_id, email, data, correlation_id=request)
                sent.append(Sent(delivery.event_id, event_type, user_id, request, answer))
    return sent
