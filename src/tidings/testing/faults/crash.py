"""Crash points: a process that kills itself at a named place in its own code."""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import signal
from typing import Any


def arm(point: str) -> None:
    """Kill this process with SIGKILL around the n-th call of a function.

    ``point`` is ``module:function:before:n`` or ``module:Class.method:after:n``: before or after the n-th
    call, from 1, in whatever thread it comes. The function is replaced where it is defined, so a module
    that had imported it by name keeps the old one. Raises ValueError, ImportError or AttributeError where
    there is no such thing.
    """
    module, path, when, number = point.split(":")
    if when not in {"before", "after"}:
        raise ValueError(f"{point!r}: a crash is before or after a call")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls, last = itertools.count(1), int(number)

    @functools.wraps(original)
    def crashing(*args: Any, **kwargs: Any) -> Any:
        call = next(calls)
        if call == last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if call == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, crashing)
