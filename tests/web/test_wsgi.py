"""The WSGI middleware: the entry is sent when the response is closed, whoever closes it, and how."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from support.asgi import call, environ
from tidings import Publisher, correlation, current_correlation_id
from tidings.events.catalogue import AuditEntry
from tidings.publishing.senders import InMemorySender
from tidings.testing import InMemoryTransport
from tidings.web.kafka import audit_sender
from tidings.web.wsgi import WSGIAuditMiddleware


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


@pytest.fixture
def sender() -> InMemorySender:
    return InMemorySender()


def only(sender: InMemorySender) -> AuditEntry:
    ((key, entry),) = sender.sent
    assert isinstance(entry, AuditEntry)
    assert key == entry.id
    return entry


def test_an_entry_is_sent_when_the_response_is_closed(sender: InMemorySender) -> None:
    app = WSGIAuditMiddleware(
        hello, sender, service="orders", user=lambda environ: {"sub": 7, "tenant": "acme", "jti": "j"}
    )
    asked = environ("/caf\xc3\xa9", "POST", HTTP_HOST="shop.example", HTTP_USER_AGENT="curl/8")
    response = app(asked, lambda *_: None)
    assert list(response) == [b"hello"]
    assert not sender.sent
    response.close()  # type: ignore[attr-defined]
    entry = only(sender)
    assert (entry.subject, entry.tenant_id, entry.jti) == ("7", "acme", "j")
    assert (entry.http_method, entry.resource, entry.service) == ("POST", "/café", "orders")
    assert entry.full_url == "http://shop.example/caf%C3%A9"
    assert (entry.source_ip, entry.user_agent) == ("203.0.113.9", "curl/8")
    assert (entry.status_code, entry.outcome) == (200, "success")


def test_ids_come_and_go_and_the_context_is_as_before(sender: InMemorySender) -> None:
    seen: list[str | None] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        seen.append(current_correlation_id())
        yield b"a"
        seen.append(current_correlation_id())
        yield b"b"

    with correlation("outer"):
        answer = call(WSGIAuditMiddleware(app, sender), environ(HTTP_X_REQUEST_ID="r-1"))
        assert current_correlation_id() == "outer"
    assert seen == ["r-1", "r-1"]
    assert ("X-Correlation-ID", "r-1") in [(n.decode(), v.decode()) for n, v in answer.pairs]
    assert answer.headers["x-request-id"] == "r-1"


def test_exceptions_before_and_within_the_body(sender: InMemorySender) -> None:
    def broken(environ: Any, start_response: Any) -> list[bytes]:
        raise ZeroDivisionError

    def breaks(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise ZeroDivisionError

    for app, status in ((broken, 500), (breaks, 200)):
        with pytest.raises(ZeroDivisionError):
            call(WSGIAuditMiddleware(app, sender), environ())
        assert (only(sender).status_code, only(sender).outcome) == (status, "exception")
        sender.sent.clear()
        assert current_correlation_id() is None


def test_a_response_that_is_closed_early(sender: InMemorySender) -> None:
    closed: list[bool] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    call(WSGIAuditMiddleware(app, sender), environ(), most=3)
    assert only(sender).outcome == "client_disconnected"
    assert closed == [True]
    sender.sent.clear()
    call(WSGIAuditMiddleware(app, sender), environ(method="HEAD"), most=1)
    assert only(sender).outcome == "success"


def test_uploads_are_read_as_the_application_reads_them(sender: InMemorySender) -> None:
    class Stream(io.BytesIO):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            self.asked: list[Any] = []

        def read(self, *size: Any) -> bytes:
            self.asked.append(size)
            return super().read(*size)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        stream = environ["wsgi.input"]
        found = [stream.read(3), stream.readline(), *stream.readlines(1), *stream, stream.read()]
        return [b"".join(found)]

    stream = Stream(b'{"pas\nsword": \n"x",\n "a":1}')
    asked = environ("/", "PUT", CONTENT_TYPE="application/json", more={"wsgi.input": stream})
    answer = call(WSGIAuditMiddleware(app, sender, capture_body=True), asked)
    assert answer.body == stream.getvalue()
    assert stream.asked == [(3,), ()]
    assert only(sender).payload["omitted"] == "it is not what its content type says"


def test_a_file_wrapper_stays_what_it_is(sender: InMemorySender) -> None:
    file = io.BytesIO(b"content")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    response = WSGIAuditMiddleware(app, sender)(
        environ(more={"wsgi.file_wrapper": FileWrapper}), lambda *_: None
    )
    assert isinstance(response, FileWrapper)
    assert next(iter(response)) == b"content"
    response.close()
    assert file.closed
    assert only(sender).outcome == "success"


def test_a_file_wrapper_that_cannot_be_changed(sender: InMemorySender) -> None:
    class Wrapper:
        """As mod_wsgi's: ``close`` is read-only."""

        __slots__ = ("_file",)

        def __init__(self, file: io.BytesIO) -> None:
            self._file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._file)

        def close(self) -> None:
            self._file.close()

    file = io.BytesIO(b"content")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file)

    answer = call(WSGIAuditMiddleware(app, sender), environ(more={"wsgi.file_wrapper": Wrapper}))
    assert answer.body == b"content"
    assert file.closed
    assert only(sender).outcome == "success"


def test_a_body_that_cannot_be_read(sender: InMemorySender) -> None:
    class Body:
        is_closed = False

        def __iter__(self) -> Iterator[bytes]:
            raise ZeroDivisionError

        def close(self) -> None:
            self.is_closed = True

    body = Body()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    with pytest.raises(ZeroDivisionError):
        WSGIAuditMiddleware(app, sender)(environ(), lambda *_: None)
    assert body.is_closed
    assert only(sender).outcome == "exception"
    assert current_correlation_id() is None


def test_a_strict_server_finds_nothing_wrong(sender: InMemorySender) -> None:
    """The validator of the standard library, on both sides, under a server of its own."""
    out = io.BytesIO()
    app = validator(WSGIAuditMiddleware(validator(hello), sender, capture_body=True))
    asked = {key: value for key, value in environ().items() if isinstance(value, str)}
    SimpleHandler(io.BytesIO(), out, io.StringIO(), asked, multithread=False).run(app)
    head, _, body = out.getvalue().partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"\r\nX-Correlation-ID: " in head
    assert only(sender).status_code == 200


def test_wait_safe_holds_the_last_bytes() -> None:
    transport = InMemoryTransport()
    publisher = Publisher(transport=transport)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")] if environ["PATH_INFO"] == "/4" else [])
        yield b"12"
        yield b"34"

    middleware = WSGIAuditMiddleware(app, audit_sender(publisher), wait_safe=True)
    for path, first in (("/4", [0, 1]), ("/chunked", [1, 1])):
        body: Any = middleware(environ(path), lambda *_: None)
        assert [(part, len(transport.records)) for part in body] == [(b"12", first[0]), (b"34", first[1])]
        body.close()
    assert len(transport.records) == 2
    publisher.close()


def test_many_threads_are_counted(sender: InMemorySender) -> None:
    app = WSGIAuditMiddleware(hello, sender, exclude=["/no"])

    def work() -> None:
        for number in range(200):
            call(app, environ("/no" if number % 2 else "/yes"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (app.stats().recorded, app.stats().excluded) == (400, 400)
    assert len({key for key, _ in sender.sent}) == 400


def test_flask_says_its_route(sender: InMemorySender) -> None:
    from flask import Flask

    app = Flask("tests", root_path=".")
    app.add_url_rule("/users/<name>", view_func=lambda name: "ok", endpoint="users")
    app.wsgi_app = WSGIAuditMiddleware(app.wsgi_app, sender)  # type: ignore[method-assign]
    with app.test_client() as client, client.get("/users/ann") as answer:
        assert answer.data == b"ok"
    assert (only(sender).endpoint, only(sender).resource) == ("/users/<name>", "/users/ann")
