/** Name of an error, as gRPC has it. */
export type SlotwiseErrorCode =
  | "ABORTED"
  | "ALREADY_EXISTS"
  | "CANCELLED"
  | "DATA_LOSS"
  | "DEADLINE_EXCEEDED"
  | "FAILED_PRECONDITION"
  | "INTERNAL"
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "OUT_OF_RANGE"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "UNAUTHENTICATED"
  | "UNAVAILABLE"
  | "UNIMPLEMENTED"
  | "UNKNOWN";

/** Codes of errors that are not the caller's: the same call may succeed later. */
const RETRYABLE: ReadonlySet<string> = new Set([
  "ABORTED",
  "CANCELLED",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "UNAVAILABLE",
  "UNKNOWN",
]);

interface ErrorFacts {
  readonly reason?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** Error of a call. */
export class SlotwiseError extends Error {
  override readonly name = "SlotwiseError";
  /** Name of the error; `UNAVAILABLE` if the service could not be reached. */
  readonly code: SlotwiseErrorCode;
  /** Reason for programs, such as `SLOT_NOT_FOUND`; empty if there is none. */
  readonly reason: string;
  /** Description of what is wrong, by the path of the field. */
  readonly fields: Readonly<Record<string, string>>;
  /** Milliseconds after which the call may be tried again, or `undefined` if the service did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, code: SlotwiseErrorCode, facts: ErrorFacts = {}) {
    super(`${code}: ${message}`, { cause: facts.cause });
    this.code = code;
    this.reason = facts.reason ?? "";
    this.fields = facts.fields ?? {};
    this.retryAfterMs = facts.retryAfterMs;
  }

  /** `true` if the same call may succeed later. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

/** Problem of RFC 9457, as the service answers it. */
interface Problem {
  readonly title?: SlotwiseErrorCode;
  readonly detail?: string;
  readonly reason?: string;
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
  readonly retry_after_ms?: number;
}

/** Returns the error of an answer, which is a problem if the service itself made it. */
export function errorOf(status: number, body: unknown): SlotwiseError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Problem;
  // A proxy between the client and the service answers in its own form.
  const byStatus: Readonly<Record<number, SlotwiseErrorCode>> = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
  };
  const code = problem.title ?? byStatus[status] ?? (status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT");
  return new SlotwiseError(problem.detail ?? `the answer has the status ${status}`, code, {
    reason: problem.reason ?? "",
    fields: Object.fromEntries((problem.errors ?? []).map(({ field, detail }) => [field, detail])),
    retryAfterMs: problem.retry_after_ms,
  });
}
