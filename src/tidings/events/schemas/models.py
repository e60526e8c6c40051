"""JSON Schemas of pydantic models, as they serialize. Imports pydantic."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from tidings.events.payloads.shape import shape_of
from tidings.events.schemas.classes import REF
from tidings.events.schemas.fields import DURATION, Schema, correct, default_on_wire


def model_schema(cls: type[BaseModel]) -> tuple[Schema, dict[str, Schema]]:
    """A reference to the schema of a model, and by name the schemas it needs."""
    roots, whole = models_json_schema(
        [(cls, "serialization")], ref_template=REF + "{model}", schema_generator=_OnTheWire
    )
    return roots[cls, "serialization"], whole["$defs"]


class _OnTheWire(GenerateJsonSchema):
    """What ``model_dump_json`` writes, but for durations, which are nanoseconds."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        # Whether aliases are written is each model's own affair; what is nested and no model follows suit.
        outer, self.by_alias = self.by_alias, bool(schema["cls"].model_config.get("serialize_by_alias"))
        try:
            return _corrected(super().model_schema(schema), schema["cls"])
        finally:
            self.by_alias = outer

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> Schema:
        return _corrected(super().dataclass_schema(schema), schema["cls"])

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> Schema:
        return _corrected(super().typed_dict_schema(schema), schema.get("cls"))

    def timedelta_schema(self, schema: core_schema.TimedeltaSchema) -> Schema:
        return dict(DURATION)

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, (timedelta, list, tuple, set, frozenset)):
            return default_on_wire(dft, super().encode_default)
        return super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # it would only repeat the field's name


def _corrected(schema: Schema, cls: Any) -> Schema:
    if (shape := shape_of(cls)) is not None:
        correct(schema, shape)
    return schema
