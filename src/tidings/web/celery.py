"""Celery: correlation ids go from who asks for a task to the task, and a worker's publisher is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import signals

from tidings.events.correlation import current_correlation_id, set_correlation_id

if TYPE_CHECKING:
    from tidings.publishing.publisher import Publisher

_HEADER = "tidings_correlation_id"
_before: dict[str, str | None] = {}


def connect(publisher: Publisher | None = None) -> None:
    """Call it once, in the module of the Celery application, in the worker and in whoever asks for tasks.

    A task runs under the correlation id that was in force when it was asked for, and so do the tasks and
    retries it asks for itself; one that came without runs under the id of the first task of its workflow.
    ``publisher``, made when the module is imported, is closed when a worker's process ends, which delivers
    what is under way. Calling it again changes nothing.
    """
    signals.before_task_publish.connect(_send_id, dispatch_uid="tidings.before_task_publish", weak=False)
    signals.task_prerun.connect(_enter, dispatch_uid="tidings.task_prerun", weak=False)
    signals.task_postrun.connect(_leave, dispatch_uid="tidings.task_postrun", weak=False)
    if publisher is not None:

        def close(**_: Any) -> None:
            publisher.close()

        uid = f"tidings.close.{id(publisher)}"
        signals.worker_process_shutdown.connect(close, dispatch_uid=uid, weak=False)


def _send_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None and (correlation_id := current_correlation_id()) is not None:
        headers.setdefault(_HEADER, correlation_id)


def _enter(task_id: str, task: Any, **_: Any) -> None:
    _before[task_id] = before = current_correlation_id()
    request = task.request
    came_with = getattr(request, _HEADER, None)
    set_correlation_id(came_with or before or request.root_id or task_id)


def _leave(task_id: str, **_: Any) -> None:
    set_correlation_id(_before.pop(task_id, None))
