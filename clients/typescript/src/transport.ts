import { SlotwiseError, errorOf } from "./error.js";

/** Bytes up to which a browser finishes a call although its page is left. */
const KEEPALIVE_BYTES = 60_000;

/** Calls of the API as JSON over HTTP. */
export class Transport {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;

  constructor(url: string, key: string | undefined, fetchFunction: typeof fetch | undefined) {
    this.#url = url;
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    this.#fetch = fetchFunction ?? globalThis.fetch.bind(globalThis);
  }

  /** Calls a method and returns its answer, or throws SlotwiseError. `timeoutMs` bounds the whole call. */
  async call(method: string, body: unknown, timeoutMs: number, more: Record<string, string> = {}): Promise<unknown> {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), timeoutMs);
    const text = JSON.stringify(body);
    try {
      const answer = await this.#fetch(`${this.#url}/v1/${method}`, {
        method: "POST",
        // The service ends a call whose caller has gone.
        headers: { "content-type": "application/json", "grpc-timeout": deadline(timeoutMs), ...this.#headers, ...more },
        body: text,
        signal: control.signal,
        keepalive: method === "RecordRewards" && text.length < KEEPALIVE_BYTES,
      });
      const json = parse(await answer.text());
      if (!answer.ok) throw errorOf(answer.status, json);
      if (typeof json !== "object" || json === null) {
        throw new SlotwiseError(`${method}: the answer is no JSON; is this address Slotwise's`, "UNAVAILABLE");
      }
      return json;
    } catch (cause) {
      if (cause instanceof SlotwiseError) throw cause;
      if (control.signal.aborted) {
        throw new SlotwiseError(`${method} took longer than ${timeoutMs} ms`, "DEADLINE_EXCEEDED", { cause });
      }
      throw new SlotwiseError(`${method}: the service cannot be reached: ${String(cause)}`, "UNAVAILABLE", { cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Returns a deadline in the form of gRPC. */
function deadline(timeoutMs: number): string {
  return `${Math.min(Math.max(Math.floor(timeoutMs), 1), 99_999_999)}m`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
