"""OpenTelemetry, as its documentation sets it up by hand."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation import asgi as asgi_instrumentation
from opentelemetry.instrumentation import wsgi as wsgi_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from . import App


def wsgi(app: App) -> Any:
    _start()
    return wsgi_instrumentation.OpenTelemetryMiddleware(app)


def asgi(app: App) -> Any:
    _start()
    return asgi_instrumentation.OpenTelemetryMiddleware(app)


def _start() -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
