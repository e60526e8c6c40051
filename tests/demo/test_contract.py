"""The demo keeps what its committed AsyncAPI document promises."""

from __future__ import annotations

import pytest
from jsonschema import Draft7Validator

from support.asyncapi_schema import official_schema
from tidings.events.asyncapi import read
from tidings.events.compatibility import check_compatibility
from tools.contract import FILE, contract


def test_no_consumer_of_the_demo_is_broken() -> None:
    check_compatibility(FILE, contract())


def test_the_document_is_up_to_date() -> None:
    assert read(FILE) == contract(), "run `make docs`"


def test_the_document_is_asyncapi(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    schema = official_schema(pytestconfig.cache.mkdir("asyncapi"))
    Draft7Validator(schema).validate(read(FILE))
