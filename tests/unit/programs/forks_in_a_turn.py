"""Forks while the keeper is at work; prints how many of the children found it in the middle of a turn."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from tidings import Publisher
from tidings.publishing.keeper import Keeper
from tidings.testing import InMemoryTransport

in_turn = False
turn = Keeper._turn


def slow_turn(keeper: Keeper) -> Any:
    global in_turn  # noqa: PLW0603 - a fork copies it
    in_turn = True
    time.sleep(0.02)
    try:
        return turn(keeper) or True  # and at once again
    finally:
        in_turn = False


Keeper._turn = slow_turn  # type: ignore[method-assign,assignment]
publisher = Publisher(transport=InMemoryTransport(), durability="spill", store_dir=Path(sys.argv[1]))
publisher.publish_json("t", 1)
found = 0
for _ in range(30):
    child = os.fork()
    if not child:
        os._exit(in_turn)
    found += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    time.sleep(0.003)
print(found)
publisher.close()
