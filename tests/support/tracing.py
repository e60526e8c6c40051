"""Spans, kept in memory by OpenTelemetry's SDK."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from support.processes import wait_until


class Spans:
    """A tracer provider of one's own, and what it was told."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str, count: int = 1) -> list[ReadableSpan]:
        """The spans of this name that have ended: ``count`` of them, which are waited for."""
        assert wait_until(lambda: len(self._named(name)) >= count), self._exporter.get_finished_spans()
        found = self._named(name)
        assert len(found) == count
        return found

    def _named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


def context_of(span: ReadableSpan) -> SpanContext:
    """Which span it is."""
    context = span.get_span_context()
    assert context is not None
    return context


def traceparent_of(span: ReadableSpan) -> str:
    """What the header of a record that was sent in this span holds."""
    context = context_of(span)
    ids = f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}"
    return f"00-{ids}-{context.trace_flags:02x}"
