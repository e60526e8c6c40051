"""How the client's requests fared before, during and after the outage."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from examples.users_demo.facts import Answer


def latency_table(answers: Sequence[Answer], down: float, up: float) -> str:
    """One row for each part of the run; ``down`` and ``up`` are the moments the outage began and ended."""
    parts = {
        "before the outage": [a for a in answers if a.at < down],
        "during the outage": [a for a in answers if down <= a.at < up],
        "after the outage": [a for a in answers if a.at >= up],
    }
    rows = [f"  {'':<20}{'requests':>10}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}   status codes"]
    for name, part in parts.items():
        times = [answer.milliseconds for answer in part]
        codes = Counter(answer.status for answer in part)
        statuses = ", ".join(f"{code}: {codes[code]:,}" for code in sorted(codes))
        rows.append(
            f"  {name:<20}{len(part):>10,}{_quantile(times, 50):>10.1f}{_quantile(times, 99):>10.1f}"
            f"{max(times, default=0):>10.1f}   {statuses}"
        )
    return "\n".join(rows)


def _quantile(times: Sequence[float], percent: int) -> float:
    return (
        statistics.quantiles(times, n=100, method="inclusive")[percent - 1] if len(times) > 1 else sum(times)
    )
