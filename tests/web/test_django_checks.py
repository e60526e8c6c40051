"""What ``manage.py check`` says of options that cannot work, and of where the middleware stands."""

from __future__ import annotations

from typing import Any

import pytest

OURS = "tidings.web.django.AuditMiddleware"


def found(tidings: Any, middleware: list[str]) -> list[Any]:
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(TIDINGS={"BROKERS": ["kafka:9092"], **tidings}, MIDDLEWARE=middleware):
        return list(run_checks(tags=["tidings"]))


async def who(request: Any) -> str:
    return "ann"


@pytest.mark.parametrize("wrong", [{"USER": 5}, {"USER": "json"}, {"RESOURCE": "tests"}, {"USER": who}])
def test_a_user_that_is_no_plain_function(django_site: Any, wrong: Any) -> None:
    (error,) = found({"AUDIT": wrong}, [OURS])
    assert error.id == "tidings.E002"
    assert error.msg.startswith(f"{next(iter(wrong)).lower()} is ")


@pytest.mark.parametrize("wrong", [{"EXCLUDE": ["livez"]}, {"EXCLUDE": 5}, {"CORRELATION_HEADERS": ["a b"]}])
def test_other_options(django_site: Any, wrong: Any) -> None:
    assert [it.id for it in found({"AUDIT": wrong}, [OURS])] == ["tidings.E002"]


def test_whatever_stands_before_it_may_answer_unrecorded(django_site: Any) -> None:
    common = "django.middleware.common.CommonMiddleware"
    assert found({}, [OURS, common]) == []
    (warning,) = found({}, [common, OURS])
    assert warning.id == "tidings.W002"
    assert common in warning.msg
