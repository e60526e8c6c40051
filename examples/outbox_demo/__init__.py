"""Orders and their events in one transaction, relays that are killed: ``python -m examples.outbox_demo``."""
