"""The audit middleware for Django, for sync and async views, under WSGI and ASGI servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async

from tidings.events.correlation import current_correlation_id, set_correlation_id
from tidings.web.auditing import Auditor, AuditStats
from tidings.web.bodies import WatchedStream
from tidings.web.config import audit_options
from tidings.web.django.conf import tidings_setting
from tidings.web.django.holding import CurrentSender
from tidings.web.facts import from_request
from tidings.web.visit import Visit

Response = Any


class AuditMiddleware:
    """One AuditEntry for each request: ``"tidings.web.django.AuditMiddleware"``, first in MIDDLEWARE.

    Its options are ``TIDINGS["AUDIT"]``; functions get the HttpRequest, with its user. The entry is sent when
    the response is closed. Raises ConfigError when Django loads it with wrong options.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._auditor = Auditor(CurrentSender(), **audit_options(tidings_setting()))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def stats(self) -> AuditStats:
        """What became of the requests so far. Any thread."""
        return self._auditor.stats()

    def __call__(self, request: Any) -> Response | Awaitable[Response]:
        if self._is_async:
            return self._acall(request)
        before = current_correlation_id()
        visit = self._begin(request)
        try:
            response = self._answered(self._get_response(request), visit)
            if visit.waits and not response.streaming:
                visit.end_safely()
            return response
        except BaseException:
            visit.end("exception")
            raise
        finally:
            set_correlation_id(before)

    async def _acall(self, request: Any) -> Response:
        before = current_correlation_id()
        visit = self._begin(request)
        try:
            response = await self._get_response(request)
            await _identify(visit)
            response = self._answered(response, visit)
            if visit.waits and not response.streaming:
                await visit.aend_safely()
            return response
        except Exception:
            await _identify(visit)
            visit.end("exception")
            raise
        except BaseException:  # Django cancels the view of a client that has gone
            try:
                await _identify(visit)
            finally:
                visit.end("client_disconnected")
            raise
        finally:
            set_correlation_id(before)

    def process_exception(self, request: Any, exception: Exception) -> None:
        """A view raised: Django answers in its place."""
        request.tidings_visit.failed = True

    def _begin(self, request: Any) -> Visit:
        visit = self._auditor.visit(from_request(request, self._auditor.more), request)
        set_correlation_id(visit.correlation_id)
        request.tidings_visit = visit
        if visit.capture is not None:
            request._stream = WatchedStream(request._stream, visit.capture)
        return visit

    def _answered(self, response: Response, visit: Visit) -> Response:
        visit.respond(response.status_code)
        visit.failed = visit.failed and response.status_code >= 500  # Http404 and the like are answers
        for name, value in visit.ids.items():
            response.headers.setdefault(name, value)
        if response.streaming:
            flow = _aflow if response.is_async else _flow
            response.streaming_content = flow(response.streaming_content, visit)
        close = response.close

        def close_and_end() -> None:
            try:
                close()
            finally:
                visit.end()

        response.close = close_and_end
        return response


async def _identify(visit: Visit) -> None:
    if visit.asks:  # request.user reads the database when it is first looked at, which no event loop may
        await sync_to_async(visit.identify, thread_sensitive=True)()


def _flow(parts: Iterable[bytes], visit: Visit) -> Iterator[bytes]:
    """The parts of a stream, made under the request's correlation id."""
    before = current_correlation_id()
    set_correlation_id(visit.correlation_id)
    visit.disconnected = True  # unless it comes to its end
    try:
        yield from parts
        visit.disconnected = False
        if visit.waits:
            visit.end_safely()
    except Exception:
        visit.disconnected, visit.failed = False, True
        raise
    finally:
        set_correlation_id(before)


async def _aflow(parts: AsyncIterator[bytes], visit: Visit) -> AsyncIterator[bytes]:
    """``_flow`` for a stream that is made by a coroutine."""
    set_correlation_id(visit.correlation_id)
    visit.disconnected = True
    try:
        async for part in parts:
            yield part
        visit.disconnected = False
        if visit.waits:
            await visit.aend_safely()
    except Exception:
        visit.disconnected, visit.failed = False, True
        raise
