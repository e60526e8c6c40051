"""Identity: who the user of a request is, as a function of the application says it."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import iscoroutine
from typing import Any

import msgspec

from tidings.publishing.plain import plain

_LONGEST = 512


class Identity(msgspec.Struct, frozen=True):
    """Who it is: ``subject`` (the user's id), ``tenant_id``, and ``jti``, the id of its token."""

    subject: str | None = None
    tenant_id: str | None = None
    jti: str | None = None


NOBODY = Identity()


def as_identity(found: Any) -> Identity:
    """An Identity; a mapping with ``subject`` (or ``sub``), ``tenant_id`` (or ``tenant``) and ``jti``, as the
    claims of a token are; a subject alone; or None. Raises TypeError for anything else."""
    if found is None:
        return NOBODY
    if isinstance(found, Identity):
        return Identity(_text(found.subject), _text(found.tenant_id), _text(found.jti))
    if isinstance(found, Mapping):
        subject = found.get("subject", found.get("sub"))
        return Identity(
            _text(subject), _text(found.get("tenant_id", found.get("tenant"))), _text(found.get("jti"))
        )
    if iscoroutine(found):
        found.close()
        raise TypeError("the function is a coroutine function: it may not wait")
    return Identity(_text(found))


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return None if value is None else plain(value, _LONGEST)
    if isinstance(value, bool) or not (isinstance(value, int) or type(value).__str__ is not object.__str__):
        raise TypeError(f"a {type(value).__qualname__} is no id")
    return plain(str(value), _LONGEST)
