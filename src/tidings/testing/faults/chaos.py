"""Chaos: a random schedule of faults against three brokers and the program under load, and one line of JSON.

``python -m tidings.testing.faults.chaos --seed 7 --minutes 10 --mode write-ahead``; ``make chaos`` does it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidings.testing.faults.named import FAULTS
from tidings.testing.faults.proxy import Proxies
from tidings.testing.faults.schedule import Schedule
from tidings.testing.faults.trial import Trial
from tidings.testing.faults.verdict import Verdict
from tidings.testing.realkafka import RealKafka

_DRAIN = 600.0
_SHOWN = (
    *("accepted", "delivered", "stored", "dead_lettered", "lost", "missing", "false_delivered"),
    *("false_not_delivered", "duplicates", "order_violations", "lost_in_window", "lives"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 when the verdict is good. The schedule and what happens go to standard error."""
    parser = argparse.ArgumentParser(prog="python -m tidings.testing.faults.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--mode", choices=("write-ahead", "spill", "memory"), default="write-ahead")
    parser.add_argument("--rate", type=float, default=1200.0, help="events a second")
    parser.add_argument("--keep", type=Path, help="a directory for the ledger and the log, to be kept")
    options = parser.parse_args(arguments)
    lasting = {name: fault.lasting for name, fault in FAULTS.items()}
    schedule = Schedule.random(options.seed, options.minutes * 60, lasting)
    _say(str(schedule))
    with tempfile.TemporaryDirectory(prefix="tidings-chaos-") as temporary:
        directory = options.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        verdict = _run(schedule, options, directory)
        sys.stdout.write(msgspec.json.encode(_line(verdict, schedule, options)).decode() + "\n")
        if not verdict.ok:
            _say(verdict.line())
    return 0 if verdict.ok else 1


def _run(schedule: Schedule, options: argparse.Namespace, directory: Path) -> Verdict:
    env = {"KAFKA_DURABILITY": options.mode}
    with (
        RealKafka(3, fronted=True) as kafka,
        Proxies.before(kafka) as network,
        Trial(kafka, network, directory, env, rate=options.rate) as trial,
    ):
        trial.begin()
        late = 0.0  # healing takes its time too: the pauses between faults stay what was planned
        start = time.monotonic()
        for planned in schedule:
            time.sleep(max(0.0, start + late + planned.at - time.monotonic()))
            begun = time.monotonic()
            _say(f"{begun - start:7.1f} s  {planned.name} for {planned.seconds} s, node {planned.node}")
            with FAULTS[planned.name].happen(trial, planned.node):
                time.sleep(planned.seconds)
            late += time.monotonic() - begun - planned.seconds
        return trial.end(drained=_DRAIN)


def _line(verdict: Verdict, schedule: Schedule, options: argparse.Namespace) -> dict[str, Any]:
    return {
        **{name: getattr(verdict, name) for name in _SHOWN},
        "unequal": len(verdict.unequal),
        "faults": len(schedule.planned),
        "seed": schedule.seed,
        "minutes": options.minutes,
        "mode": options.mode,
    }


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
