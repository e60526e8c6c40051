"""How a helper process learns that the process which started it is gone, however that came about.

Two signs together, because each misses a case:

- End of file on the connection to the parent: at once, and also when the parent was killed. But a child that
  the parent has *forked* holds the parent's end open too (fork copies every descriptor), for as long as it
  lives.
- Another parent: the kernel hands orphans to another process, so ``getppid()`` changes. It has to be polled.

Linux could send a signal instead (PR_SET_PDEATHSIG), but it sends it when the *thread* that started the
helper ends: a broker started from a worker thread would die with that thread.
"""

from __future__ import annotations

import os

# How often a helper looks, in seconds: what a forked child can add to a helper's life.
LOOK_EVERY = 0.25


def parent_is_gone(parent: int) -> bool:
    """Whether this process, started by process ``parent``, has been handed to another one since."""
    return os.getppid() != parent
