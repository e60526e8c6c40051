"""tidings in Django: ``"tidings.web.django"`` in INSTALLED_APPS, and a setting ``TIDINGS = {…}``.

TIDINGS has the settings of the publisher (``"BROKERS"``, ``"SERVICE"``, … as in ``KAFKA_*``, which they go
before), and under ``"AUDIT"`` the options of the middleware in capitals (``{"USER": "shop.users.who"}``);
a function may be named by its dotted path.
"""

from __future__ import annotations

from tidings.web.django.commits import publish, publish_on_commit
from tidings.web.django.holding import get_publisher, use_publisher
from tidings.web.django.middleware import AuditMiddleware

__all__ = ["AuditMiddleware", "get_publisher", "publish", "publish_on_commit", "use_publisher"]
