"""The audit middleware for WSGI: Flask and every other; the entry is sent when the response is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Unpack

from tidings.events.correlation import current_correlation_id, set_correlation_id
from tidings.publishing.contracts import Sender
from tidings.web.auditing import Auditor, AuditStats
from tidings.web.bodies import WatchedStream
from tidings.web.facts import from_environ
from tidings.web.options import AuditOptions
from tidings.web.visit import Visit

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class WSGIAuditMiddleware:
    """One AuditEntry for each request, and a correlation id for everything published meanwhile.

        app.wsgi_app = WSGIAuditMiddleware(app.wsgi_app, audit_sender(publisher), service="orders")  # Flask

    Bodies pass through as they come. The entry is sent when the server closes the response, which PEP 3333
    says every server does; a sender that fails is logged, counted in ``stats()``, and changes nothing.
    ``options``: ``AuditOptions``; with ``wait_safe`` the last bytes of a response wait.
    """

    def __init__(self, app: App, sender: Sender, **options: Unpack[AuditOptions]) -> None:
        self.app = app
        self._auditor = Auditor(sender, **options)

    def stats(self) -> AuditStats:
        """What became of the requests so far. Any thread."""
        return self._auditor.stats()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        auditor = self._auditor
        visit = auditor.visit(from_environ(environ, auditor.more), environ)
        before = current_correlation_id()
        set_correlation_id(visit.correlation_id)
        if visit.capture is not None and "wsgi.input" in environ:
            environ["wsgi.input"] = WatchedStream(environ["wsgi.input"], visit.capture)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            visit.respond(int(status[:3]) if status[:3].isdecimal() else 500)
            if visit.waits:
                visit.expect(headers)
            there = {name.lower() for name, _ in headers}
            ids = [(_title(name), value) for name, value in visit.ids.items() if name not in there]
            return start_response(status, [*headers, *ids], *more)

        try:
            body = self.app(environ, start)
        except BaseException as error:
            _fail(visit, error)
            set_correlation_id(before)
            raise
        wrapper = environ.get("wsgi.file_wrapper")
        is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
        if is_file and not visit.waits and _is_closed_with(body, visit, before):
            return body  # as it is, so that the server can still use sendfile
        try:
            return (_SizedBody if hasattr(body, "__len__") else _Body)(body, visit, before)
        except BaseException as error:  # of the body's __iter__
            _fail(visit, error)
            _close(visit, before, getattr(body, "close", None))
            raise


class _Body:
    """A response body on its way, whose close ends the visit."""

    def __init__(self, body: Iterable[bytes], visit: Visit, before: str | None) -> None:
        self._body = body
        self._parts = iter(body)
        self._visit = visit
        self._before = before
        self._exhausted = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        visit = self._visit
        try:
            part = next(self._parts)
        except StopIteration:
            self._exhausted = True
            if visit.waits:
                visit.end_safely()
            raise
        except BaseException as error:
            _fail(visit, error)
            raise
        if visit.waits and visit.completes(len(part)):
            visit.end_safely()
        return part

    def close(self) -> None:
        """What the server calls at the end, whatever the end was."""
        visit = self._visit
        visit.disconnected = not self._exhausted and not self._is_whole()
        _close(visit, self._before, getattr(self._body, "close", None))

    def _is_whole(self) -> bool:
        """Servers need not ask for what may not be there."""
        return self._visit.facts.method == "HEAD" or self._visit.status in {204, 304}


class _SizedBody(_Body):
    """One that says how many parts it has: some servers then write a content length."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]


def _is_closed_with(file: Any, visit: Visit, before: str | None) -> bool:
    close = getattr(file, "close", None)
    try:
        file.close = lambda: _close(visit, before, close)
    except AttributeError:  # mod_wsgi's is written in C
        return False
    return True


def _close(visit: Visit, before: str | None, close: Callable[[], object] | None) -> None:
    try:
        if close is not None:
            close()
    finally:
        visit.end()
        set_correlation_id(before)


def _fail(visit: Visit, error: BaseException) -> None:
    visit.status = visit.status or 500
    visit.end("exception" if isinstance(error, Exception) else "cancelled")


def _title(name: str) -> str:
    return "-".join("ID" if part == "id" else part.capitalize() for part in name.split("-"))
