"""The table of the outbox, and its three indexes."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):  # type: ignore[misc]
    """The first."""

    initial = True

    dependencies: list[tuple[str, str]] = []  # noqa: RUF012

    operations = [  # noqa: RUF012
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event_id", models.TextField()),
                ("topic", models.CharField(max_length=249)),
                ("key", models.BinaryField(null=True)),
                ("value", models.BinaryField(null=True)),
                ("headers", models.TextField()),
                ("lane", models.BigIntegerField(null=True)),
                ("created_at", models.BigIntegerField()),
                ("held_until", models.BigIntegerField(db_default=0, default=0)),
                ("holder", models.CharField(max_length=100, null=True)),
                ("attempts", models.IntegerField(db_default=0, default=0)),
                ("error", models.TextField(null=True)),
                ("sent_at", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "tidings_outbox",
                "indexes": [
                    models.Index(
                        condition=models.Q(("sent_at__isnull", True)),
                        fields=["id"],
                        name="tidings_outbox_unsent",
                    ),
                    models.Index(
                        condition=models.Q(("held_until__gt", 0)),
                        fields=["lane", "held_until"],
                        name="tidings_outbox_held",
                    ),
                    models.Index(
                        condition=models.Q(("sent_at__isnull", False)),
                        fields=["sent_at"],
                        name="tidings_outbox_sent",
                    ),
                ],
            },
        ),
    ]
