"""Routes: the template of the one that answered, as the frameworks tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def route_of(request: Any, root: str) -> str | None:
    """The template of the route that answered (``/users/{id}``), where the framework says it; else None.

    It begins below ``root``, the prefix that the whole application has, with the prefixes of mounts.
    ``request`` is an ASGI scope, a WSGI environ or a request of Django.
    """
    if not isinstance(request, Mapping):
        match = getattr(request, "resolver_match", None)
        return None if match is None else f"/{match.route}"
    if "REQUEST_METHOD" not in request:
        return _of_scope(request)
    rule = getattr(request.get("werkzeug.request"), "url_rule", None)
    return None if rule is None else f"{request.get('SCRIPT_NAME', '').removeprefix(root)}{rule}"


def _of_scope(scope: Mapping[str, Any]) -> str | None:
    if (own := scope.get("path_template")) is None:  # Litestar's
        route = scope.get("route")
        if (own := getattr(route, "path", None)) is None:
            return None
        own = "" if hasattr(route, "routes") else _included(scope, route) or own  # a mount's is in the root
    root = scope.get("root_path") or ""
    return f"{root.removeprefix(scope.get('app_root_path', root))}{own}" or None


def _included(scope: Mapping[str, Any], route: object) -> str | None:
    """A route of FastAPI with the prefixes of ``include_router``, where the scope alone has them."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    return getattr(context, "path", None) if getattr(context, "original_route", None) is route else None
