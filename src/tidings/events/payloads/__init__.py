"""Payloads: what a class holds, field by field; what may be written of it, and shown."""
