"""Schedules: which fault comes when, for how long and to which node, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import msgspec

_SETTLE = (3.0, 8.0)
"""Seconds between the end of one fault and the next: the shortest is STORE_AFTER's window and a little."""


class Planned(msgspec.Struct, frozen=True):
    """One fault: ``at`` seconds from the start, for ``seconds``, to ``node`` where it is about one."""

    at: float
    name: str
    seconds: float
    node: int

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.name} for {self.seconds:.1f} s, node {self.node}"


class Schedule(msgspec.Struct, frozen=True):
    """Faults one after another. The same seed and arguments give the same schedule on any machine."""

    seed: int
    planned: list[Planned]

    @classmethod
    def random(
        cls,
        seed: int,
        seconds: float,
        lasting: Mapping[str, tuple[float, float]],
        *,
        nodes: int = 3,
        settle: tuple[float, float] = _SETTLE,
    ) -> Schedule:
        """Faults for about ``seconds``; ``lasting`` has each one's shortest and longest duration.

        Every fault comes once before any comes twice.
        """
        chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        names: list[str] = []
        planned: list[Planned] = []
        at = 0.0
        while True:
            if not names:
                names = sorted(lasting)
                chance.shuffle(names)
            name = names.pop()
            at += chance.uniform(*settle)
            fault = Planned(
                round(at, 1), name, round(chance.uniform(*lasting[name]), 1), chance.randint(1, nodes)
            )
            at += fault.seconds
            if at > seconds:
                return cls(seed, planned)
            planned.append(fault)

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.planned)

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {len(self.planned)} faults", *map(str, self.planned)])
