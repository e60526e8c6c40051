"""Frameworks are imported in their own rooms alone: whoever uses one needs none of the others."""

from __future__ import annotations

import json

import pytest

from support.scripts import run_script

FRAMEWORKS = {
    "starlette",
    "fastapi",
    "flask",
    "werkzeug",
    "django",
    "asgiref",
    "celery",
    "rq",
    "redis",
    "pydantic",
}
ROOMS = {
    "asgi": set(),
    "wsgi": set(),
    "auth": set(),
    "usage": set(),
    "kafka": set(),
    "carrying": set(),
    "fastapi": {"fastapi", "starlette", "pydantic"},
    "flask": {"flask", "werkzeug"},
    "celery": {"celery", "django"},  # Celery looks for Django by itself
    "rq": {"rq", "redis"},
    "django.middleware": {"django", "asgiref"},
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_its_own_framework_alone(room: str) -> None:
    said = run_script("-c", f"import json, sys, tidings.web.{room}\nprint(json.dumps([*sys.modules]))")
    imported = {name.partition(".")[0] for name in json.loads(said.splitlines()[-1])}
    assert imported & FRAMEWORKS == ROOMS[room]
