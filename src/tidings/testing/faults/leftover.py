"""What a program has left in its store: read from a copy, so that the judge changes nothing."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

import msgspec

from tidings.letters.journal import Journal
from tidings.testing.faults.reading import Identify, Letter, by_event_id, letter_of

_READ = 1000
_UNLIMITED = 1 << 50
_log = logging.getLogger(__name__)


class Leftover(msgspec.Struct):
    """Events that wait in stores, by mark, and letters that are not on the dead-letter topic yet."""

    events: set[str] = set()
    letters: list[Letter] = []


def read_store(directory: Path, identify: Identify = by_event_id) -> Leftover:
    """What all journals in a STORE_DIR hold, when no process uses them. Raises what opening one raises."""
    leftover = Leftover()
    for path in sorted(directory.glob("*.journal")):
        with tempfile.TemporaryDirectory(prefix="tidings-judge-") as place:
            for part in directory.glob(path.name + "*"):
                if part.suffix != ".lock":
                    shutil.copy(part, place)
            _take(Path(place) / path.name, identify, leftover)
    return leftover


def _take(path: Path, identify: Identify, leftover: Leftover) -> None:
    journal = Journal.open(path, max_bytes=_UNLIMITED, logger=_log)
    try:
        for topic in journal.topics():
            after = -1
            while owed := journal.read(topic, after, _READ):
                after = owed[-1].seq
                marks = (identify(event.value, dict(event.headers)) for event in owed)
                leftover.events.update(mark for mark in marks if mark is not None)
        for parked in (False, True):
            row = -1
            while letters := journal.letters(row, _READ, parked):
                row = letters[-1].row
                leftover.letters += [letter_of(letter.value, identify) for letter in letters]
    finally:
        journal.close(clean=False)
