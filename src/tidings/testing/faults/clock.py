"""A wall clock that is wrong, for this process alone and as far as Python asks it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

_TIME, _TIME_NS = time.time, time.time_ns
_now: dict[str, Callable[[], float]] = {"time": _TIME, "time_ns": _TIME_NS}


def shift_clock(seconds: float) -> None:
    """From now on ``time.time()`` and ``time.time_ns()`` are so far off the machine's clock; 0 heals.

    Modules that imported either by its name get the new one too. The monotonic clock, datetime and what is
    written in C go right.
    """
    new: dict[str, Callable[[], float]] = {
        "time": lambda: _TIME() + seconds,
        "time_ns": lambda: _TIME_NS() + int(seconds * 1e9),
    }
    for module in list(sys.modules.values()):
        for name, clock in new.items():
            if vars(module).get(name) is _now[name]:
                setattr(module, name, clock)
    _now.update(new)
