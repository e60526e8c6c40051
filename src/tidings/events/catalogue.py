"""The catalogue: event types that most services have, ready to publish, with the wire types Go expects.

On the wire times are RFC 3339 in UTC, durations integer nanoseconds (Go's ``time.Duration``), and what is
None is left out (Go's ``omitempty``). Only what identifies an event is required; keys keep the events of one
user, request or alert in order. Fields that say who somebody is are marked ``Personal``.

The classes are declared in a registry of their own, so they never collide with an application's. A subclass
that adds fields is an event when it is declared itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec

from tidings.events.declare import Registry
from tidings.events.ids import new_id
from tidings.events.privacy import Personal

registry: Final = Registry()
"""The catalogue's own."""

PersonalText = Annotated[str, Personal]
Details = dict[str, Any]


def _now() -> datetime:
    return datetime.now(UTC)


class CatalogueEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the catalogue's events have in common: immutable, by keyword, None is left out."""


@registry.event("user.logged_in", topic="user-events", key="user_id")
class UserLoggedIn(CatalogueEvent, frozen=True, kw_only=True):
    """Somebody logged in. ``login_method``: password, oauth, sso, …"""

    user_id: str
    email: PersonalText | None = None
    ip_address: PersonalText | None = None
    user_agent: str | None = None
    login_time: datetime = msgspec.field(default_factory=_now)
    session_id: str | None = None
    remember_me: bool | None = None
    login_method: str | None = None
    device_info: str | Details | None = None
    location: str | Details | None = None


@registry.event("user.registered", topic="user-events", key="user_id")
class UserRegistered(CatalogueEvent, frozen=True, kw_only=True):
    """Somebody signed up. ``registration_source``: web, mobile, invitation, …"""

    user_id: str
    email: PersonalText | None = None
    first_name: PersonalText | None = None
    last_name: PersonalText | None = None
    registration_time: datetime = msgspec.field(default_factory=_now)
    ip_address: PersonalText | None = None
    registration_source: str | None = None
    email_verified: bool | None = None
    organization_id: str | None = None


@registry.event("user.logged_out", topic="user-events", key="user_id")
class UserLoggedOut(CatalogueEvent, frozen=True, kw_only=True):
    """A session ended. ``reason``: user, timeout, revoked, …"""

    user_id: str
    session_id: str | None = None
    logout_time: datetime = msgspec.field(default_factory=_now)
    ip_address: PersonalText | None = None
    reason: str | None = None


@registry.event("user.token_refreshed", topic="auth-events", key="user_id")
class UserTokenRefreshed(CatalogueEvent, frozen=True, kw_only=True):
    """A session got a new token. Goes to AUTH_TOPIC."""

    user_id: str
    session_id: str | None = None
    refresh_time: datetime = msgspec.field(default_factory=_now)
    ip_address: PersonalText | None = None
    token_id: str | None = None


class _UserChange(CatalogueEvent, frozen=True, kw_only=True):
    user_id: int | str
    email: PersonalText | None = None
    data: Details | None = None
    occurred_at: datetime = msgspec.field(default_factory=_now)


@registry.event("user.created", topic="user-events", key="user_id")
class UserCreated(_UserChange, frozen=True, kw_only=True):
    """A user exists from now on. ``data`` is what else the service knows of it."""


@registry.event("user.updated", topic="user-events", key="user_id")
class UserUpdated(_UserChange, frozen=True, kw_only=True):
    """A user changed. ``data`` is what changed."""


@registry.event("user.deleted", topic="user-events", key="user_id")
class UserDeleted(_UserChange, frozen=True, kw_only=True):
    """A user is gone."""


@registry.event("api.request", topic="api-events", key="request_id")
class ApiRequest(CatalogueEvent, frozen=True, kw_only=True):
    """A request was answered. ``duration`` is nanoseconds on the wire; sizes are bytes."""

    request_id: str
    user_id: str | None = None
    method: str
    path: str
    status_code: int
    duration: timedelta | None = None
    ip_address: PersonalText | None = None
    request_time: datetime = msgspec.field(default_factory=_now)
    response_size: int | None = None
    request_size: int | None = None


@registry.event("api.error", topic="error-events", key="request_id")
class ApiError(CatalogueEvent, frozen=True, kw_only=True):
    """A request failed. ``error_code`` is the service's own."""

    request_id: str
    method: str
    path: str
    status_code: int
    error_type: str | None = None
    error_message: str | None = None
    error_code: str | None = None
    error_time: datetime = msgspec.field(default_factory=_now)


@registry.event("system.alert", topic="system-events", key="alert_id")
class SystemAlert(CatalogueEvent, frozen=True, kw_only=True):
    """Something needs attention. ``severity``: info, warning, error, critical."""

    alert_id: str
    alert_type: str
    service: str | None = None
    component: str | None = None
    message: str | None = None
    severity: str | None = None
    alert_time: datetime = msgspec.field(default_factory=_now)
    metadata: Details | None = None
    resolved: bool | None = None


@registry.event("translation.requested", topic="translation-events", key="translation_id")
class TranslationRequested(CatalogueEvent, frozen=True, kw_only=True):
    """A text is to be translated. Languages are BCP 47 tags: ``en``, ``pt-BR``."""

    translation_id: str
    source_language: str
    target_language: str
    source_text: str
    requested_at: datetime = msgspec.field(default_factory=_now)


@registry.event("translation.completed", topic="translation-events", key="translation_id")
class TranslationCompleted(CatalogueEvent, frozen=True, kw_only=True):
    """A text was translated."""

    translation_id: str
    source_language: str | None = None
    target_language: str | None = None
    source_text: str | None = None
    translated_text: str
    completed_at: datetime = msgspec.field(default_factory=_now)


@registry.event("translation.failed", topic="translation-events", key="translation_id")
class TranslationFailed(CatalogueEvent, frozen=True, kw_only=True):
    """A text will not be translated. ``error_code`` is the service's own."""

    translation_id: str
    source_language: str | None = None
    target_language: str | None = None
    error_message: str | None = None
    error_code: str | None = None
    failed_at: datetime = msgspec.field(default_factory=_now)


@registry.event("audit.recorded", topic="audit-events", key="id")
class AuditEntry(CatalogueEvent, frozen=True, kw_only=True):
    """Who did what to which resource; one for a request. Goes to AUDIT_TOPIC. ``jti`` is the token's id.

    ``endpoint`` is the route (``/users/{id}``), ``duration`` whole nanoseconds, ``outcome`` how the request
    ended: success, client_error, server_error, exception, client_disconnected, cancelled, incomplete.
    """

    id: str = msgspec.field(default_factory=new_id)
    tenant_id: str | None = None
    subject: PersonalText | None = None
    jti: str | None = None
    http_method: str | None = None
    resource: str | None = None
    timestamp: datetime = msgspec.field(default_factory=_now)
    source_ip: PersonalText | None = None
    user_agent: str | None = None
    service: str | None = None
    endpoint: str | None = None
    full_url: str | None = None
    payload: Any = None
    status_code: int | None = None
    duration: int | None = None
    outcome: str | None = None
    correlation_id: str | None = None


AuthType = Literal[
    "login.success",
    "login.failure",
    "access.granted",
    "access.denied",
    "logout",
    "token.issued",
    "token.refreshed",
    "token.revoked",
]


@registry.event("auth.recorded", topic="auth-events", key="id")
class AuthEvent(CatalogueEvent, frozen=True, kw_only=True):
    """Somebody logged in or out, was let in or not, got or lost a token. Goes to AUTH_TOPIC.

    ``resource`` is what access was asked to, ``jti`` the token's id, ``error`` why it failed.
    """

    id: str = msgspec.field(default_factory=new_id)
    service_name: str | None = None
    type: AuthType
    subject: PersonalText | None = None
    tenant_id: str | None = None
    error: str | None = None
    path: str | None = None
    user_agent: str | None = None
    remote_addr: PersonalText | None = None
    timestamp: datetime = msgspec.field(default_factory=_now)
    resource: str | None = None
    jti: str | None = None
    correlation_id: str | None = None


@registry.event("usage.recorded", topic="usage-events", key="id")
class UsageEvent(CatalogueEvent, frozen=True, kw_only=True):
    """Something was used that is billed or limited. Goes to USAGE_TOPIC; ``id`` tells repeats apart.

    ``metric`` is what is counted (``api.calls``), ``unit`` in what (``bytes``; default: pieces).
    """

    id: str = msgspec.field(default_factory=new_id)
    service: str | None = None
    metric: str
    quantity: int | float = 1
    unit: str | None = None
    tenant_id: str | None = None
    subject: PersonalText | None = None
    resource: str | None = None
    timestamp: datetime = msgspec.field(default_factory=_now)
    metadata: Details | None = None
    correlation_id: str | None = None
