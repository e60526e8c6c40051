"""Forks: a child gets an engine of its own; the parent's client and threads stay the parent's."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that must start afresh in a forked child."""

    def after_fork(self) -> object:
        """Replace whatever the child cannot use; returns what must never be freed in the child."""


_logger = logging.getLogger("tidings.publisher")
_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_leaked: list[object] = []
"""Clients of parent processes. Freeing one closes it, and closing an inherited client hangs."""


def watch(forkable: Forkable) -> None:
    """Have ``after_fork`` called in every child this process forks from now on."""
    _watched.add(forkable)


def _in_child() -> None:
    for forkable in list(_watched):
        try:
            _leaked.append(forkable.after_fork())
        except Exception:  # the others must start afresh all the same
            _logger.exception(f"{forkable!r} could not start afresh after a fork")


os.register_at_fork(after_in_child=_in_child)
