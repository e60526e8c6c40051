"""Facts: what a request says of itself, read alike from ASGI scopes, WSGI environs and request objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from tidings.publishing.plain import plain
from tidings.web import paths

LONGEST_PATH: Final = 2048
LONGEST_QUERY: Final = 16_384
_LONGEST_NAME = 255
_LONGEST_LIST = 8192
_METHOD = 32
_LISTS = frozenset({b"x-forwarded-for", b"forwarded"})
_NAMES = frozenset({b"host", b"user-agent", b"content-type", b"content-encoding", *_LISTS})


class Facts(msgspec.Struct):
    """One request. ``headers`` has the few that are looked at, by their names in lower case.

    All of it is the client's word but for ``peer``, the address at the other end of the connection, and
    ``root``, the prefix under which the server has the application. ``url_path`` is ``path`` as it was asked
    for, percent-encoded. ``query`` is empty, or whole, or longer than LONGEST_QUERY: half of one cannot be
    redacted.
    """

    method: str
    path: str
    url_path: str
    root: str
    query: str
    scheme: str
    server: str
    peer: str | None
    headers: dict[str, str]

    @property
    def inner_path(self) -> str:
        """The path within the application."""
        return paths.inside(self.path, self.root)

    @property
    def url(self) -> str:
        """The address without the query, and without a user: not the one in the client's bar, if a proxy
        rewrote it."""
        host = (self.headers.get("host") or self.server).rpartition("@")[2]
        return f"{self.scheme}://{plain(host, _LONGEST_NAME)}{self.url_path}"


def from_scope(scope: Mapping[str, Any], more: frozenset[bytes] = frozenset()) -> Facts:
    """The facts of an ASGI scope of type http or websocket; ``more`` are headers to read besides."""
    client, server = scope.get("client"), scope.get("server")
    query = scope.get("query_string", b"")[: LONGEST_QUERY + 1]
    path, root, raw = scope["path"], scope.get("root_path") or "", scope.get("raw_path")
    asked = (
        paths.in_url(raw.partition(b"?")[0][:LONGEST_PATH], escaped=True)
        if isinstance(raw, bytes)
        else paths.in_url(path[:LONGEST_PATH])
    )
    if (url_path := paths.of_target(asked, root)) != asked:
        path = unquote(url_path)
    return Facts(
        plain(scope.get("method", "GET"), _METHOD),
        plain(path, LONGEST_PATH),
        url_path,
        root,
        query if isinstance(query, str) else query.decode("latin-1"),  # str: of Django's AsyncClient
        scope.get("scheme", "http"),
        f"{server[0]}:{server[1]}" if server else "",
        (client[0] or None) if client else None,
        _read(scope["headers"], _NAMES | more if more else _NAMES),
    )


def from_environ(
    environ: Mapping[str, Any],
    more: frozenset[bytes] = frozenset(),
    in_bytes: Callable[[str], bytes] = paths.of_wsgi,
) -> Facts:
    """The facts of a WSGI environ; ``more`` are headers to read besides. ``in_bytes`` undoes what was done to
    the path."""
    root, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    whole = in_bytes(f"{root}{paths.of_target(path) if path else ''}")
    found = {}
    for name in _NAMES | more:
        text = name.decode()
        variable = text.upper().replace("-", "_")
        if value := environ.get(variable if name == b"content-type" else f"HTTP_{variable}"):
            found[text] = value[-_LONGEST_LIST:] if name in _LISTS else value
    return Facts(
        plain(environ.get("REQUEST_METHOD", "GET"), _METHOD),
        plain(whole.decode(errors="replace"), LONGEST_PATH),
        paths.in_url(whole[:LONGEST_PATH]),
        in_bytes(root).decode(errors="replace"),
        environ.get("QUERY_STRING", "")[: LONGEST_QUERY + 1],
        environ.get("wsgi.url_scheme", "http"),
        f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}",
        environ.get("REMOTE_ADDR") or None,
        found,
    )


def from_request(request: Any, more: frozenset[bytes] = frozenset()) -> Facts:
    """The facts of a scope, an environ, or a request of Starlette, FastAPI, Litestar, Quart, Flask or Django.

    Raises TypeError for anything else.
    """
    for source in (request, *(getattr(request, name, None) for name in ("scope", "environ", "META"))):
        if isinstance(source, Mapping):
            if "type" in source and "headers" in source:
                return from_scope(source, more)
            if "REQUEST_METHOD" in source:
                is_django = hasattr(request, "META")
                return from_environ(source, more, paths.of_django if is_django else paths.of_wsgi)
    raise TypeError(f"a {type(request).__qualname__} is no request: give an ASGI scope or a WSGI environ")


def _read(headers: Iterable[tuple[bytes, bytes]], wanted: frozenset[bytes]) -> dict[str, str]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in wanted:
            if name not in found:
                found[name] = value
            elif name in _LISTS:
                found[name] = b"%b,%b" % (found[name][-_LONGEST_LIST:], value[-_LONGEST_LIST:])
    return {name.decode(): value.decode("latin-1") for name, value in found.items()}
