"""The settings: what is tidings' stands in TIDINGS; brokers and the like may come from KAFKA_* variables."""

from __future__ import annotations

import os

SECRET_KEY = "only for this example"
DEBUG = os.environ.get("DEBUG") == "yes"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "examples.django_orders.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "tidings.web.django",
    "examples.django_orders",
]
MIDDLEWARE = ["tidings.web.django.AuditMiddleware", "django.middleware.common.CommonMiddleware"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", ":memory:")}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIGRATION_MODULES = {"django_orders": None}  # the table is made as the model says; a service has migrations
USE_TZ = True

TIDINGS = {
    "SERVICE": "orders",
    "AUDIT": {
        "USER": "examples.django_orders.views.who",
        "CAPTURE_BODY": True,
        "EXCLUDE": ["/livez"],
        "WAIT_SAFE": os.environ.get("WAIT_SAFE") == "yes",
    },
}
