"""``manage.py relay``: publishes what is committed to the outbox, until it is told to stop."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from tidings.errors import TidingsError
from tidings.outbox.django.conf import publisher_settings
from tidings.outbox.django.database import DjangoDatabase
from tidings.outbox.relay import Relay


class Command(BaseCommand):  # type: ignore[misc]
    """SIGTERM and SIGINT let it finish what is under way. Any number may run at a time."""

    help = "Publishes the events of the outbox to Kafka."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options of ``tidings.outbox.Relay``."""
        parser.add_argument("--using", default=DEFAULT_DB_ALIAS, help="the database (default: %(default)s)")
        parser.add_argument("--batch", type=int, default=500, help="rows taken at a time")
        parser.add_argument("--lease", type=float, default=30.0, help="seconds; dead relays are waited for")
        parser.add_argument("--poll", type=float, default=0.25, help="seconds between looks")
        parser.add_argument("--keep-sent", type=float, default=0.0, help="seconds to keep rows")
        parser.add_argument("--listen", action="store_true", help="wake up at NOTIFY (Postgres)")
        parser.add_argument("--until-empty", action="store_true", help="end with nothing to do")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run a relay on the main thread."""
        terms = {name: options[name] for name in ("batch", "lease", "poll", "keep_sent", "listen")}
        try:
            relay = Relay(DjangoDatabase(options["using"]), **terms, **publisher_settings())
            report = relay.run(until_empty=options["until_empty"])
        except (TidingsError, TimeoutError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{report.delivered} delivered, {report.dead_lettered} dead-lettered, {report.failed} put back, "
            f"{report.left} still under way"
        )
