"""The verdict: do the service's accounts and the independent ledgers tell one truth?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from examples.users_demo.facts import Answer
from tidings import Stats


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, and everything that is wrong with it."""

    terms: Stats
    accepted: int
    seen: int
    duplicates: int
    missing: int
    problems: list[str]

    def table(self) -> str:
        """The invariant, term by term, and the comparison of the ledgers."""
        rows = {
            "accepted, says the service": self.terms.accepted,
            "  = delivered": self.terms.delivered,
            "  + dead-lettered": self.terms.dead_lettered,
            "  + lost": self.terms.lost,
            "  + stored": self.terms.stored,
            "  + in flight": self.terms.in_flight,
            "accepted, says the client": self.accepted,
            "  seen by the consumer": self.seen,
            "  missing": self.missing,
            "  duplicates": self.duplicates,
        }
        return "\n".join(f"  {name:<34}{value:>8,}" for name, value in rows.items())


def judge(
    terms: Stats, answers: Sequence[Answer], accepted: Counter[str], seen: Counter[str], expected: int
) -> Verdict:
    """Compare. ``expected`` is the number of requests that were to be made.

    Duplicates are allowed, since they keep their event_id; anything else that differs is a problem.
    """
    missing = accepted.keys() - seen.keys()
    strange = seen.keys() - accepted.keys()
    unanswered = [answer for answer in answers if not answer.good]
    checks = {
        f"{len(missing)} accepted events never arrived, such as {min(missing, default='')}": not missing,
        f"{len(strange)} events arrived that nobody was told of": not strange,
        f"the service accepted {terms.accepted} events, the client knows of {len(accepted)}": (
            terms.accepted == len(accepted) == accepted.total()
        ),
        "the terms do not balance": terms.balanced,
        f"{terms.lost} lost, {terms.dead_lettered} dead-lettered": not terms.lost + terms.dead_lettered,
        f"{terms.stored} stored and {terms.in_flight} in flight at the end": (
            not terms.stored + terms.in_flight
        ),
        f"{len(answers)} of {expected} requests were made": len(answers) == expected,
        f"{len(unanswered)} requests were not answered as they should, such as {unanswered[:1]}": (
            not unanswered
        ),
    }
    return Verdict(
        terms=terms,
        accepted=len(accepted),
        seen=len(seen),
        duplicates=seen.total() - len(seen),
        missing=len(missing),
        problems=[problem for problem, fine in checks.items() if not fine],
    )
