"""Forks: a child gets an engine of its own; the parent's client and threads stay the parent's.

A fork copies the locks that C libraries hold in other threads, held for ever. So the parent's threads stand
still while it forks: of 220 children that were forked while a store was being opened and a client connected,
4 hung in sqlite's allocator or in getaddrinfo.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable
from typing import Protocol

from tidings.publishing.threads import acquire, native_lock


class Forkable(Protocol):
    """Something that must stand still in a fork, and start afresh in the child."""

    def before_fork(self) -> Callable[[], None]:
        """Stand still, within about a second; returns what ends that in the parent."""

    def after_fork(self) -> object:
        """Replace whatever the child cannot use; returns what must never be freed in the child."""


_logger = logging.getLogger("tidings.publisher")
_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_leaked: list[object] = []
"""Clients of parent processes. Freeing one closes it, and closing an inherited client hangs."""
_forking = native_lock()
_LONGEST_FORK = 5.0
_resumes: list[Callable[[], None]] = []


def watch(forkable: Forkable) -> None:
    """Have its methods called around every fork of this process from now on."""
    _watched.add(forkable)


def _before() -> None:
    acquire(_forking, _LONGEST_FORK)  # another thread may be forking too
    for forkable in list(_watched):
        try:
            _resumes.append(forkable.before_fork())
        except Exception:
            _logger.exception(f"{forkable!r} could not stand still for a fork")


def _in_parent() -> None:
    while _resumes:
        _resumes.pop()()
    if _forking.locked():
        _forking.release()


def _in_child() -> None:
    global _forking  # noqa: PLW0603 - the parent's is held
    _forking = native_lock()
    _resumes.clear()
    for forkable in list(_watched):
        try:
            _leaked.append(forkable.after_fork())
        except Exception:  # the others must start afresh all the same
            _logger.exception(f"{forkable!r} could not start afresh after a fork")


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
