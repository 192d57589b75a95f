import type { SlotwiseError } from "./error.js";
import type { Decision } from "./model.js";

/** Observer of one call. A method that is left out does nothing. */
export interface CallObserver {
  /** Returns headers that are sent with the call. */
  headers?(): Record<string, string>;
  /** Is called with each decision, also with one that the client made. */
  decided?(decision: Decision): void;
  /** Is called with the error of the call, before the client decides in its place. */
  failed?(error: SlotwiseError): void;
  /** Is called when the call is over. */
  ended?(): void;
}

/** Something that observes calls: it returns an observer of a call of a method about these slots. */
export type Hook = (method: string, slots: readonly string[]) => CallObserver;

/** Observers of one call, one for each hook. */
export class Observers implements CallObserver {
  readonly #observers: readonly CallObserver[];

  constructor(hooks: readonly Hook[], method: string, slots: readonly string[]) {
    this.#observers = hooks.map((hook) => hook(method, slots));
  }

  headers(): Record<string, string> {
    return Object.assign({}, ...this.#observers.map((observer) => observer.headers?.() ?? {})) as Record<string, string>;
  }

  decided(decision: Decision): void {
    for (const observer of this.#observers) observer.decided?.(decision);
  }

  failed(error: SlotwiseError): void {
    for (const observer of this.#observers) observer.failed?.(error);
  }

  ended(): void {
    for (const observer of this.#observers) observer.ended?.();
  }
}
