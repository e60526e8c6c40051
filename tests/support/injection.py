"""Raising at every point where a signal handler could, one point after another: no luck needed.

CPython runs signal handlers on the main thread when a function starts and when a call of a C function ends
(loops aside). ``at_every_point`` runs a piece of code again and again and raises at the first such point
within tidings, then at the second, and so on, until the code comes through.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import tidings

_SOURCE = str(Path(tidings.__file__).parent)


class Injected(BaseException):
    """What the signal handler raised."""


class _Injector:
    def __init__(self, countdown: int, where: tuple[str, ...]) -> None:
        self.countdown = countdown
        self.where = where
        self.place: str | None = None

    def profile(self, frame: FrameType, event: str, arg: object) -> None:
        # What a profiler raises when a function starts, or when a C function has returned, surfaces there.
        if event in {"call", "c_return"} and frame.f_code.co_filename.startswith(self.where):
            self.countdown -= 1
            if self.countdown < 0 and self.place is None:
                called = f" after {getattr(arg, '__name__', arg)}()" if event == "c_return" else ""
                self.place = f"{frame.f_code.co_qualname}, line {frame.f_lineno}{called}"
                raise Injected(self.place)


def at_every_point(run: Callable[[], object], *rooms: str) -> Iterator[str]:
    """Call ``run`` with an interruption one point later each time; yields where it was, after each.

    ``rooms`` are the packages of tidings in which to interrupt. The caller checks the damage and makes
    everything new between two steps. Ends when ``run`` came through five times without reaching the next
    point: with other threads at work it is not always the same way.
    """
    where = tuple(f"{_SOURCE}/{room}" for room in rooms)
    countdown = through = 0
    while through < 5:
        injector = _Injector(countdown, where)
        sys.setprofile(injector.profile)
        try:
            run()
        except Injected:
            pass
        finally:
            sys.setprofile(None)
        if injector.place is None:
            through += 1
        else:
            countdown, through = countdown + 1, 0
        yield injector.place or "came through"
