"""OpenTelemetry spans of requests, calls and steps, where an exporter is configured; else nothing.

Configured by the variables of the OpenTelemetry specification (`OTEL_EXPORTER_OTLP_ENDPOINT` and those beside it). The
library is an extra, `kilonova[otel]`, and is loaded only then.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal

from kilonova.kit.log import logger

log = logger(__name__)

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Kind = Literal["server", "client", "internal"]


class _Tracing:
    """The tracer that `configure` chose; None: no spans are made."""

    tracer: Any = None
    propagator: Any = None
    kinds: Mapping[str, Any] = {}
    provider: Any = None


_tracing = _Tracing()


def configure(program: str) -> None:
    """Once a process, after it has forked: spans are sent from a thread."""
    if not any(os.environ.get(name) for name in VARIABLES):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no traces are sent: the extra kilonova[otel] is not installed")
        return
    use(program, BatchSpanProcessor(OTLPSpanExporter()))


def use(program: str, processor: Any) -> None:
    """Hands spans to an OpenTelemetry span processor."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    name = os.environ.get("OTEL_SERVICE_NAME", program)
    _tracing.provider = TracerProvider(resource=Resource.create({"service.name": name}))
    _tracing.provider.add_span_processor(processor)
    _tracing.tracer = _tracing.provider.get_tracer("kilonova")
    _tracing.propagator = TraceContextTextMapPropagator()
    _tracing.kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


def stop() -> None:
    """Sends what is left, and makes no more."""
    if _tracing.provider is not None:
        _tracing.provider.shutdown()
    _tracing.tracer = _tracing.provider = None


@contextmanager
def span(name: str, kind: Kind, carrier: Mapping[str, str] | None = None, **attributes: Any) -> Iterator[Any]:
    """A span around the block; yields it, or None where none are made. `carrier`: headers that name its parent."""
    if _tracing.tracer is None:
        yield None
        return
    parent = None if carrier is None else _tracing.propagator.extract(carrier)
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    with _tracing.tracer.start_as_current_span(
        name, context=parent, kind=_tracing.kinds[kind], attributes=named
    ) as made:
        yield made


def carry(headers: MutableMapping[str, str]) -> None:
    """Names the current span as the parent of what the other side does (W3C Trace Context)."""
    if _tracing.tracer is not None:
        _tracing.propagator.inject(headers)
