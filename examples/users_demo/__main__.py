"""`make demo`: python -m examples.users_demo --broker embedded|real

A users service publishes an event for every request. In the middle of the run Kafka is taken away for ten
seconds. Exit status 0 means that every request was answered, and that an independent consumer saw every event
that the service had accepted.
"""

from __future__ import annotations

import argparse
import logging
import sys

from examples.users_demo.asking import NoAnswer
from examples.users_demo.brokers import BROKERS
from examples.users_demo.children import ChildFailed
from examples.users_demo.events import PAYMENTS, TOPICS
from examples.users_demo.interrupts import Interrupted, Interrupts
from examples.users_demo.narrator import Narrator
from examples.users_demo.story import Options, Story
from tidings import TidingsError


def main() -> int:
    """Tell the story. 0: everything arrived; 1: not, or something failed; 128 + n: ended by signal n."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.users_demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--broker", choices=BROKERS, default="embedded", help="default: %(default)s")
    parser.add_argument("--requests", type=int, default=2400, metavar="N", help="default: %(default)s")
    parser.add_argument("--outage", type=float, default=10, metavar="SECONDS", help="default: %(default)s")
    parser.add_argument(
        "--calm",
        type=float,
        default=6,
        metavar="SECONDS",
        help="the time before the outage, and again after it (default: %(default)s)",
    )
    parser.add_argument("--no-second-act", action="store_true", help="without the killed payments program")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="         %(message)s")
    interrupts = Interrupts()
    narrator = Narrator(interrupts)
    options = Options(
        requests=arguments.requests,
        calm=arguments.calm,
        outage=arguments.outage,
        second_act=not arguments.no_second_act,
    )
    try:
        verdict = Story(options, narrator, interrupts).tell(BROKERS[arguments.broker]((*TOPICS, PAYMENTS)))
    except Interrupted as interrupted:
        narrator.say(f"Ended by {interrupted}; nothing is left behind.")
        return interrupted.status
    except (ChildFailed, NoAnswer, TidingsError) as error:
        narrator.say(f"FAILED: {error}")
        return 1
    for problem in verdict.problems:
        narrator.say(f"WRONG: {problem}")
    if verdict.problems:
        return 1
    narrator.say("Every request was answered, and every accepted event arrived.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
