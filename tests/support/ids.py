"""Names of parametrized tests that are the same in every process, as pytest-xdist wants them."""

from __future__ import annotations

import re


def named(value: object) -> str:
    """Its repr, without where in memory it is."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
