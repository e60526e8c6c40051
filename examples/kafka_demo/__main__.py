"""python -m examples.kafka_demo --broker embedded|real

A user service and a translation service in processes of their own, wired by one YAML file. Exit status 0
means that every event is in its topic, in its order and under its correlation id, and was shown.
"""

from __future__ import annotations

import argparse
import logging
import sys

from examples.kafka_demo.processes import ServiceFailed
from examples.kafka_demo.story import tell
from examples.users_demo.brokers import BROKERS
from examples.users_demo.interrupts import Interrupted, Interrupts
from examples.users_demo.narrator import Narrator
from tidings import TidingsError


def main() -> int:
    """Tell the story. 0: all is well; 1: it is not; 128 + n: ended by signal n."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.kafka_demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--broker", choices=BROKERS, default="embedded", help="default: %(default)s")
    parser.add_argument("--users", type=int, default=8, metavar="N", help="default: %(default)s")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="         %(message)s")
    interrupts = Interrupts()
    narrator = Narrator(interrupts)
    try:
        problems = tell(BROKERS[arguments.broker], arguments.users, narrator.say, interrupts)
    except Interrupted as interrupted:
        narrator.say(f"Ended by {interrupted}; nothing is left behind.")
        return interrupted.status
    except (ServiceFailed, TidingsError, TimeoutError) as error:
        narrator.say(f"FAILED: {error}")
        return 1
    for problem in problems:
        narrator.say(f"WRONG: {problem}")
    if problems:
        return 1
    narrator.say("Every event is there, in its order, and under the correlation id it began with.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
