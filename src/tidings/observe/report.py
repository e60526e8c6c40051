"""What a HealthRegistry answers: HealthReport, and CheckReport for each check."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from tidings.states import HealthStatus


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found. ``cause`` is a stable word, ``message`` a sentence without secrets, of at most
    500 characters; ``duration_ms`` what it took, and ``checked_at`` (UTC) when: an answer may be a cached
    one."""

    status: HealthStatus
    critical: bool
    cause: str
    message: str
    duration_ms: float
    checked_at: datetime


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What all checks found. ``status`` is the worst of them; one that is not critical makes it ``degraded``
    at most. True only when healthy; ``ready`` also when degraded."""

    status: HealthStatus
    checks: dict[str, CheckReport]
    duration_ms: float
    checked_at: datetime

    @property
    def ok(self) -> bool:
        """True only when healthy."""
        return self.status is HealthStatus.HEALTHY

    @property
    def ready(self) -> bool:
        """True when requests can be taken: healthy or degraded."""
        return self.status is not HealthStatus.UNHEALTHY

    def __bool__(self) -> bool:
        return self.ok

    @property
    def message(self) -> str:
        """What is wrong, in a line: each check that is not healthy, by name. Empty when all are."""
        return "; ".join(f"{name}: {it.message}" for name, it in self.checks.items() if not _is_healthy(it))

    def to_dict(self, *, details: bool = True) -> dict[str, Any]:
        """As JSON values, with ``ready``. Without ``details`` no messages: for an address that anybody may
        ask."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        for check in found["checks"].values():
            if not details:
                del check["message"]
        return {"status": found.pop("status"), "ready": self.ready, **found}


def overall(checks: dict[str, CheckReport]) -> HealthStatus:
    """The status that these come to."""
    if any(it.critical and it.status is HealthStatus.UNHEALTHY for it in checks.values()):
        return HealthStatus.UNHEALTHY
    return HealthStatus.HEALTHY if all(map(_is_healthy, checks.values())) else HealthStatus.DEGRADED


def _is_healthy(check: CheckReport) -> bool:
    return check.status is HealthStatus.HEALTHY
