import type { SlotwiseError } from "./error.js";
import type { CallObserver, Hook } from "./hooks.js";
import type { Decision } from "./model.js";

/** Span of a trace, as far as it is needed here. */
interface Span {
  setAttribute(name: string, value: string | boolean): unknown;
  setStatus(status: { code: number; message?: string }): unknown;
  end(): void;
}

/**
 * The parts of `@opentelemetry/api` that are needed, so that this package does not depend on it.
 *
 * `Context` is that package's own, and `Kind` its `SpanKind`.
 */
export interface OpenTelemetryApi<Context = never, Kind extends number = number> {
  readonly SpanKind: { readonly CLIENT: Kind };
  readonly trace: {
    getTracer(name: string): {
      startSpan(name: string, options: { kind: Kind; attributes: Record<string, string | string[]> }): Span;
    };
    setSpan(context: Context, span: never): Context;
  };
  readonly context: { active(): Context };
  readonly propagation: { inject(context: Context, carrier: Record<string, string>): void };
}

/** Code of the status of a span that failed, in `@opentelemetry/api`. */
const STATUS_ERROR = 2;

/**
 * Returns a hook that makes a span of each call, and passes the trace on to the service (W3C trace context).
 *
 * @param api - The package `@opentelemetry/api`: `import * as api from "@opentelemetry/api"`.
 */
export function openTelemetryHook<Context, Kind extends number>(api: OpenTelemetryApi<Context, Kind>): Hook {
  const tracer = api.trace.getTracer("slotwise");
  return (method, slots): CallObserver => {
    const attributes = { "rpc.system": "slotwise", "rpc.method": method, "slotwise.slots": [...slots] };
    const span = tracer.startSpan(`slotwise ${method}`, { kind: api.SpanKind.CLIENT, attributes });
    return {
      headers(): Record<string, string> {
        const carrier: Record<string, string> = {};
        api.propagation.inject(api.trace.setSpan(api.context.active(), span as never), carrier);
        return carrier;
      },
      decided(decision: Decision): void {
        if (decision.error !== undefined) {
          span.setAttribute("slotwise.fallback", "client");
          return;
        }
        span.setAttribute("slotwise.decision_id", decision.decisionId);
        span.setAttribute("slotwise.exploring", decision.exploring);
        if (decision.fallback !== "") span.setAttribute("slotwise.fallback", decision.fallback);
      },
      failed(error: SlotwiseError): void {
        span.setAttribute("error.type", error.code);
        span.setStatus({ code: STATUS_ERROR, message: error.message });
      },
      ended(): void {
        span.end();
      },
    };
  };
}
