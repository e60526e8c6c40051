"""Consuming: handlers for events, each event handled at least once or a letter."""
