"""Spans and metrics by OpenTelemetry: ``pip install slotwise[otel]``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from ._errors import SlotwiseError
from ._hooks import CallObserver
from ._model import Decision


class _SpanObserver(CallObserver):
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self.outcome = "ok"

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    def decided(self, decision: Decision) -> None:
        if decision.is_from_client:
            self._span.set_attribute("slotwise.fallback", "client")
            return
        self._span.set_attribute("slotwise.decision_id", decision.decision_id)
        self._span.set_attribute("slotwise.exploring", decision.exploring)
        if decision.fallback:
            self._span.set_attribute("slotwise.fallback", decision.fallback)

    def failed(self, error: Exception) -> None:
        self.outcome = error.code if isinstance(error, SlotwiseError) else type(error).__name__
        self._span.set_attribute("error.type", self.outcome)
        self._span.set_status(Status(StatusCode.ERROR, str(error)))


class OpenTelemetryHook:
    """Makes a span and a measurement of each call, and passes the trace on to the service (W3C trace context)."""

    def __init__(
        self, tracer: trace.Tracer | None = None, meter: metrics.Meter | None = None
    ) -> None:
        self._tracer = tracer or trace.get_tracer("slotwise")
        meter = meter or metrics.get_meter("slotwise")
        self._duration = meter.create_histogram("slotwise.client.duration", "s", "Time of a call to Slotwise")

    def call(self, method: str, slots: Sequence[str]) -> AbstractContextManager[CallObserver]:
        """Returns the span of a call."""
        return self._observed(method, slots)

    @contextmanager
    def _observed(self, method: str, slots: Sequence[str]) -> Iterator[CallObserver]:
        attributes: dict[str, str | Sequence[str]] = {"rpc.system": "slotwise", "rpc.method": method}
        if slots:
            attributes["slotwise.slots"] = list(slots)
        begun = time.monotonic()
        with self._tracer.start_as_current_span(
            f"slotwise {method}", kind=SpanKind.CLIENT, attributes=attributes
        ) as span:
            observer = _SpanObserver(span)
            try:
                yield observer
            finally:
                measured = {"rpc.method": method, "outcome": observer.outcome}
                self._duration.record(time.monotonic() - begun, measured)
