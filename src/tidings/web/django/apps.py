"""The app: its checks run with ``manage.py check``, and when the service starts."""

from __future__ import annotations

from django.apps import AppConfig


class TidingsConfig(AppConfig):  # type: ignore[misc]
    """``"tidings.web.django"`` in INSTALLED_APPS."""

    name = "tidings.web.django"
    label = "tidings"
    verbose_name = "tidings"

    def ready(self) -> None:
        """Register the checks, and follow changes of the setting in tests."""
        from django.core.checks import register  # noqa: PLC0415 - apps are loaded before checks are
        from django.core.signals import setting_changed  # noqa: PLC0415

        from tidings.web.django.checks import check_settings  # noqa: PLC0415
        from tidings.web.django.holding import forget_when_changed  # noqa: PLC0415

        register(check_settings, "tidings")
        setting_changed.connect(forget_when_changed)
