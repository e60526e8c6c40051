"""Paths: what is excluded below a prefix, and what a URL in an entry looks like, whatever was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.asgi import ask, call, environ, scope
from tidings.events.catalogue import AuditEntry
from tidings.publishing.senders import InMemorySender
from tidings.web.asgi import AuditMiddleware
from tidings.web.facts import from_environ, from_scope
from tidings.web.wsgi import WSGIAuditMiddleware


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"ok"]


@pytest.mark.parametrize(
    ("root", "path", "recorded"),
    [
        ("", "/livez", False),
        ("/api", "/api/livez", False),
        ("/api", "/livez", False),
        ("/api", "/api/static/a.css", False),
        ("/api", "/api/whole", False),
        ("/api/", "/api/livez", False),
        ("/api", "/apilivez", True),
        ("/api", "/api/api/livez", True),
        ("", "/api/livez", True),
    ],
)
def test_exclusions_below_a_prefix(root: str, path: str, *, recorded: bool) -> None:
    options: Any = {"exclude": ["/livez", "/static/*", "/api/whole"]}
    sender = InMemorySender()
    ask(AuditMiddleware(asgi_app, sender, **options), scope(path, root_path=root))
    assert bool(sender.sent) is recorded
    if path.startswith(root.rstrip("/") + "/"):
        sender = InMemorySender()
        script = root.rstrip("/")
        asked = environ(path.removeprefix(script), SCRIPT_NAME=script)
        call(WSGIAuditMiddleware(wsgi_app, sender, **options), asked)
        assert bool(sender.sent) is recorded


def asgi(raw: bytes, root: str = "", host: bytes = b"h") -> AuditEntry:
    """The entry of a request for ``raw``, given to the application as uvicorn does."""
    from urllib.parse import unquote

    path, sender = unquote(raw.decode("latin-1")), InMemorySender()
    asked = scope(f"{root}{path}", headers=[(b"host", host)], root_path=root, raw_path=root.encode() + raw)
    ask(AuditMiddleware(asgi_app, sender), asked)
    (entry,) = sender.values
    assert isinstance(entry, AuditEntry)
    return entry


def wsgi(raw: bytes, host: str = "h") -> AuditEntry:
    """The entry of a request for ``raw``, given to the application as wsgiref does."""
    from urllib.parse import unquote_to_bytes

    sender = InMemorySender()
    asked = environ(unquote_to_bytes(raw).decode("latin-1"), HTTP_HOST=host)
    call(WSGIAuditMiddleware(wsgi_app, sender), asked)
    (entry,) = sender.values
    assert isinstance(entry, AuditEntry)
    return entry


@pytest.mark.parametrize(
    ("raw", "url", "resource"),
    [
        (b"/a", "http://h/a", "/a"),
        (b"/caf%C3%A9/100%25", "http://h/caf%C3%A9/100%25", "/café/100%"),
        (b"/a%0D%0ASet-Cookie:x=y", "http://h/a%0D%0ASet-Cookie:x=y", "/a\\r\\nSet-Cookie:x=y"),
        (b"/%FF%FE", "http://h/%FF%FE", "/\ufffd\ufffd"),
        (b"/a%3Fb%23c%20d", "http://h/a%3Fb%23c%20d", "/a?b#c d"),
        (b"/u:p@x/http://y", "http://h/u:p@x/http://y", "/u:p@x/http://y"),
        (b"http://user:hidden@evil/a", "http://h/a", "/a"),
        (b"http://user:hidden@evil", "http://h/", "/"),
        (b"user:hidden@evil:443", "http://h/", "/"),
        (b"*", "http://h/", "/"),
    ],
)
def test_the_url_is_the_one_asked_for(raw: bytes, url: str, resource: str) -> None:
    assert (asgi(raw).full_url, asgi(raw).resource) == (url, resource)
    assert (wsgi(raw).full_url, wsgi(raw).resource) == (url, resource)
    if b"/" in raw:
        behind = asgi(raw, "/api")
        assert (behind.full_url, behind.resource) == (url.replace("//h/", "//h/api/"), f"/api{resource}")


def test_no_user_stands_in_a_url() -> None:
    assert asgi(b"/a", host=b"user:hidden@evil").full_url == "http://evil/a"
    assert asgi(b"/a", host=b"user:" + b"hidden" * 1000 + b"@evil").full_url == "http://evil/a"
    assert wsgi(b"/a", "user:hidden@evil").full_url == "http://evil/a"
    assert asgi(b"http://user:hid%2Fden@evil/a").resource == "/a"


def test_what_a_server_puts_into_raw_path_besides() -> None:
    asked = scope("/a", raw_path=b"/a?token=hidden", headers=[(b"host", b"h")])
    assert from_scope(asked).url == "http://h/a"
    assert from_scope({**asked, "raw_path": None}).url == "http://h/a"


anything = st.binary(max_size=3000) | st.text(st.sampled_from("/:@%?#h\ud800\xff\r\n "), max_size=40)


@given(anything, st.none() | st.binary(max_size=3000), st.sampled_from(["", "/", "/api", "%"]))
def test_whatever_is_asked_for_a_url_is_printable_and_bounded(
    path: str | bytes, raw: bytes | None, root: str
) -> None:
    text = path if isinstance(path, str) else path.decode("latin-1")
    facts = [
        from_scope({**scope(text), "raw_path": raw, "root_path": root}),
        from_environ(environ(text, SCRIPT_NAME=root)),
    ]
    for it in facts:
        assert it.url.isascii()
        assert it.url.isprintable()
        assert len(it.url) < 8192
        assert it.inner_path.isprintable()
