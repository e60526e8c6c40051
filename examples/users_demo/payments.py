"""The payments program of the second act: write-ahead, so that a SIGKILL loses nothing that was safe.

``publish`` goes on until it is killed, ``resume`` sends what was left behind, ``oversize`` publishes an event
that the topic refuses, ``replay`` sends its letter again. All share one store.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time

from examples.users_demo.events import DEAD_LETTERS, PAYMENTS, PaymentTaken
from examples.users_demo.facts import Books, Found, Safe, tell
from examples.users_demo.leash import end_with_parent
from tidings import DeadLetterTopic, DeliveryError, Publisher, Replay, Settings

PATIENCE = 30.0
_NAP = 0.005


def publish(publisher: Publisher, _: Settings, __: str) -> None:
    """A payment every 5 ms; each is told of once it is safe, for as long as the process lives."""
    for number in range(1_000_000):
        delivery = publisher.publish(PaymentTaken(f"p-{number}", "groceries"))
        delivery.wait_safe(PATIENCE)
        tell(Safe(event_id=delivery.event_id))
        time.sleep(_NAP)


def resume(publisher: Publisher, _: Settings, known: str) -> None:
    """Take over what the killed process left, and send it."""
    find(publisher, "left behind by the killed process", known)
    publisher.publish(PaymentTaken("p-resumed", "after the restart"))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        stats = publisher.stats()
        if stats.adopted and stats.delivered == stats.adopted + stats.accepted:
            break
        time.sleep(_NAP)
    find(publisher, "adopted, and sent", known)


def oversize(publisher: Publisher, _: Settings, __: str) -> None:
    """An event that the topic does not take: it ends as a letter."""
    note = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5_000))
    delivery = publisher.publish(PaymentTaken("p-large", note))
    try:
        delivery.wait(PATIENCE)
    except DeliveryError as error:
        print(error, file=sys.stderr)
    end = time.monotonic() + PATIENCE
    while publisher.stats().dead_letter_queue_size and time.monotonic() < end:
        time.sleep(_NAP)
    find(publisher, "refused by the topic", delivery.event_id)
    find(publisher, "never published", "00000000-0000-7000-8000-000000000000")


def replay(publisher: Publisher, settings: Settings, known: str) -> None:
    """The topic was mended: send the letter again."""
    source = DeadLetterTopic(settings, DEAD_LETTERS)
    run = Replay(source=source, publisher=publisher, where={"topic": PAYMENTS}, limit=10)
    print(run.dry_run().message, file=sys.stderr)
    print(run.run().message, file=sys.stderr)
    find(publisher, "replayed", known)


def find(publisher: Publisher, what: str, event_id: str) -> None:
    """Tell where one event is."""
    found = publisher.find(event_id, topic=PAYMENTS)
    tell(Found(what=what, event_id=event_id, place=found.place, message=found.message))


PARTS = {"publish": publish, "resume": resume, "oversize": oversize, "replay": replay}


def main() -> int:
    """Play one part, close, and tell the counters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--brokers", required=True, help="host:port")
    parser.add_argument("--store", required=True, help="a directory")
    parser.add_argument("--known", default="", help="an event_id to look for")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    end_with_parent()
    settings = Settings(
        brokers=arguments.brokers,
        service="payments",
        durability="write-ahead",
        store_dir=arguments.store,
        retry_max=1,
        dlq_topic=DEAD_LETTERS,
    )
    with Publisher(settings) as publisher:
        PARTS[arguments.part](publisher, settings, arguments.known)
        report = publisher.close()
    tell(Books(**{name: getattr(report, name) for name in Books.__struct_fields__}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
