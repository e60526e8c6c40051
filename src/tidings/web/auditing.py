"""The auditor: one AuditEntry for a request, sent through a Sender; nothing of it can break the request."""

from __future__ import annotations

import logging
import random
import traceback
from collections.abc import Callable, Iterable
from os.path import basename
from typing import Any, Final

import msgspec

from tidings.errors import EventTooLarge, InvalidEvent
from tidings.events.catalogue import AuditEntry
from tidings.events.correlation import current_correlation_id, set_correlation_id
from tidings.publishing.complaints import Complaint
from tidings.publishing.contracts import Sender
from tidings.publishing.entry import Delivery
from tidings.publishing.plain import plain
from tidings.publishing.threads import native_lock
from tidings.web import checking
from tidings.web.bodies import Capture
from tidings.web.clients import Proxies
from tidings.web.correlating import HEADERS, lower_names
from tidings.web.facts import LONGEST_PATH, LONGEST_QUERY, Facts
from tidings.web.identity import NOBODY, Identity, as_identity
from tidings.web.redacting import Redactor
from tidings.web.routes import route_of
from tidings.web.visit import Visit

logger: Final = logging.getLogger("tidings.audit")
_BODY = 16_384
_MOST_BODY = 262_144
_PATIENCE = 5.0
_AGENT = 512


class AuditStats(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the requests so far.

    ``recorded`` entries were taken by the sender, ``failed`` ones were not; ``excluded`` and ``sampled_out``
    requests have none on purpose. ``misled`` counts functions of the application that raised, ``unsafe``
    entries that were not safe within ``wait_safe``.
    """

    recorded: int = 0
    failed: int = 0
    excluded: int = 0
    sampled_out: int = 0
    misled: int = 0
    unsafe: int = 0


class Auditor:
    """What the middlewares share. Raises ConfigError for a wrong option. Any thread."""

    def __init__(
        self,
        sender: Sender,
        *,
        service: str | None = None,
        user: Callable[[Any], object] | None = None,
        resource: Callable[[Any], object] | None = None,
        exclude: Iterable[str] = (),
        sample: float = 1.0,
        capture_body: bool | int = False,
        redact: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        proxy_header: str | None = None,
        correlation_headers: Iterable[str] = HEADERS,
        wait_safe: bool | float = False,
    ) -> None:
        self._sender = checking.sender(sender)
        self._service = service
        self._user = checking.function(user, "user")
        self._resource = checking.function(resource, "resource")
        self.asks = user is not None or resource is not None
        self._excludes = checking.Exclusions(checking.several(exclude, "exclude"))
        self._sample = checking.within(sample, 1, "sample")
        self.most_body = (
            _BODY if capture_body is True else int(checking.within(capture_body, _MOST_BODY, "capture_body"))
        )
        self.redactor = Redactor(checking.several(redact, "redact"))
        self._proxies = Proxies(checking.several(trusted_proxies, "trusted_proxies"), proxy_header)
        self.names = lower_names(checking.several(correlation_headers, "correlation_headers"))
        self.more = frozenset(name.encode() for name in self.names)
        self.patience = _PATIENCE if wait_safe is True else checking.within(wait_safe, 3600, "wait_safe")
        self._lock = native_lock()
        self._recorded = self._excluded_count = self._sampled_out = 0
        self._failed = Complaint(logger, "An audit entry was not taken; the request went on without it")
        self._misled = Complaint(
            logger, "A function given to the audit middleware raised; the entry does without"
        )
        self._unsafe = Complaint(logger, "An audit entry was not known to be safe when the response ended")

    def visit(self, facts: Facts, request: object) -> Visit:
        """The beginning of a request."""
        return Visit(self, facts, request, recorded=self._is_recorded(facts))

    def stats(self) -> AuditStats:
        """The counters, read at one moment."""
        return AuditStats(
            recorded=self._recorded,
            failed=self._failed.count,
            excluded=self._excluded_count,
            sampled_out=self._sampled_out,
            misled=self._misled.count,
            unsafe=self._unsafe.count,
        )

    def identify(self, visit: Visit) -> None:
        """Ask the application's functions, and the framework for its route. Raises nothing of theirs."""
        visit.identity = self._identity(visit.request)
        visit.resource = self._resource_of(visit.request)
        visit.route = route_of(visit.request, visit.facts.root)

    def record(self, visit: Visit, outcome: str, duration: int) -> Delivery | None:
        """Send the entry of a request that has ended. Raises nothing: what fails is logged and counted."""
        before = current_correlation_id()
        set_correlation_id(visit.correlation_id)
        try:
            delivery = self._send(self._entry(visit, outcome, duration), visit.capture)
        except Exception as error:
            self._failed.record(error)
            return None
        finally:
            set_correlation_id(before)
        self._failed.relieve()
        with self._lock:
            self._recorded += 1
        return delivery

    def unsafe(self, error: BaseException) -> None:
        """An entry was not safe in time."""
        self._unsafe.record(error)

    def _entry(self, visit: Visit, outcome: str, duration: int) -> AuditEntry:
        facts, headers, identity = visit.facts, visit.facts.headers, visit.identity or NOBODY
        return AuditEntry(
            id=visit.id,
            timestamp=visit.began,
            subject=identity.subject,
            tenant_id=identity.tenant_id,
            jti=identity.jti,
            http_method=facts.method,
            resource=visit.resource or facts.path,
            source_ip=self._proxies.client(facts.peer, headers),
            user_agent=plain(headers["user-agent"], _AGENT) if "user-agent" in headers else None,
            service=self._service,
            endpoint=visit.route or facts.path,
            full_url=self._url(facts),
            payload=None if visit.capture is None else visit.capture.payload(),
            status_code=visit.status,
            duration=duration,
            outcome=outcome,
            correlation_id=visit.correlation_id,
        )

    def _send(self, entry: AuditEntry, capture: Capture | None) -> Delivery | None:
        try:
            return self._sender.send(entry.id, entry)
        except (EventTooLarge, InvalidEvent) as error:
            if capture is None or entry.payload is None:
                raise
            reason = (
                "more than MAX_EVENT_BYTES" if isinstance(error, EventTooLarge) else "JSON cannot carry it"
            )
            return self._sender.send(
                entry.id, msgspec.structs.replace(entry, payload=capture.left_out(reason))
            )

    def _is_recorded(self, facts: Facts) -> bool:
        if self._excludes(facts.path) or (facts.root and self._excludes(facts.inner_path)):
            with self._lock:
                self._excluded_count += 1
            return False
        if self._sample < 1 and random.random() >= self._sample:  # noqa: S311 - nothing to guess
            with self._lock:
                self._sampled_out += 1
            return False
        return True

    def _identity(self, request: object) -> Identity:
        if self._user is None:
            return NOBODY
        try:
            return as_identity(self._user(request))
        except Exception as error:
            self._misled.record(f"user: {_place(error)}")
            return NOBODY

    def _resource_of(self, request: object) -> str | None:
        if self._resource is None:
            return None
        try:
            found = self._resource(request)
            return None if found is None else plain(str(found), LONGEST_PATH)
        except Exception as error:
            self._misled.record(f"resource: {_place(error)}")
            return None

    def _url(self, facts: Facts) -> str:
        if not facts.query:
            return plain(facts.url, LONGEST_PATH)
        query = self.redactor.query(facts.query) if len(facts.query) <= LONGEST_QUERY else "…"
        return plain(f"{facts.url}?{query}", LONGEST_PATH)


def _place(error: Exception) -> str:
    """An error by its class and where it was raised: its text may repeat what the client sent."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__qualname__} in {frame.name} ({basename(frame.filename)}:{frame.lineno})"
