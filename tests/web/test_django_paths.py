"""Django's paths, which it decodes in place: entries have them as they were asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tidings.web.facts import from_request


@pytest.mark.parametrize(
    ("asked", "path", "url"),
    [
        ("/caf%C3%A9/%E4%BD%A0", "/café/你", "/caf%C3%A9/%E4%BD%A0"),
        ("/%ff%fe", "/\ufffd\ufffd", "/%FF%FE"),
        ("/100%25/%20", "/100%/ ", "/100%25/%20"),
    ],
)
def test_djangos_paths(django_site: Any, asked: str, path: str, url: str) -> None:
    from django.test import RequestFactory, override_settings

    facts = from_request(RequestFactory().get(asked, headers={"host": "h"}))
    assert (facts.path, facts.url) == (path, f"http://h{url}")
    with override_settings(FORCE_SCRIPT_NAME="/café"):
        facts = from_request(RequestFactory().get(asked, headers={"host": "h"}))
    assert (facts.path, facts.inner_path, facts.url) == (f"/café{path}", path, f"http://h/caf%C3%A9{url}")
