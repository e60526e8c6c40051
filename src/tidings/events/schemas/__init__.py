"""Schemas: classes as JSON Schema, AsyncAPI documents as files, and reading one schema by another."""
