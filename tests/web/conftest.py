"""One Django for all tests of this folder: that of the example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def django_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Django's settings, with the example's apps loaded and its tables made.

    The variables are there while it starts and no longer: a Celery worker takes up DJANGO_SETTINGS_MODULE.
    """
    pytest.importorskip("django")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_SETTINGS_MODULE", "examples.django_orders.settings")
        patch.setenv("TZ", "UTC")  # which Django sets too
        patch.setenv("DATABASE", str(tmp_path_factory.mktemp("django") / "db.sqlite3"))
        import django
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", run_syncdb=True, verbosity=0)
    yield settings
    connections.close_all()
