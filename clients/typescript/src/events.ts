import { SlotwiseError } from "./error.js";
import { Observers, type Hook } from "./hooks.js";
import type { RewardEvent, RewardResult } from "./model.js";
import type { Transport } from "./transport.js";

/** Events of one call: few enough that a call is short. */
const BATCH = 500;
/** Time between the first event of a batch and its call, milliseconds. */
const LINGER_MS = 100;
/** Time that a call may take, milliseconds. */
const CALL_MS = 10_000;
/** Shortest and longest wait before another try, milliseconds. */
const BACKOFF_MS = [100, 10_000] as const;

/** Function that learns of each event and its result. */
export type ResultObserver = (event: RewardEvent, result: RewardResult) => void;

/** Counts of events. */
export interface DeliveryCounts {
  /** Events that the service took, duplicates included. */
  readonly delivered: number;
  /** Events that the service answered with another status. */
  readonly refused: number;
  /** Events that were given up: the memory was full, the client was closed, or the call was refused for good. */
  readonly dropped: number;
  /** Events that wait for their delivery. */
  readonly waiting: number;
}

/** Delivery of events: in batches, again and again until the service took them, in bounded memory. */
export class EventQueue {
  readonly #transport: Transport;
  readonly #hooks: readonly Hook[];
  readonly #capacity: number;
  readonly #observer: ResultObserver | undefined;
  #events: RewardEvent[] = [];
  #delivered = 0;
  #refused = 0;
  #dropped = 0;
  /** Number of events that a call is about. */
  #sending = 0;
  #running = false;
  #closed = false;
  /** Ends the wait that is under way. */
  #hurry: () => void = () => undefined;
  #idle: (() => void)[] = [];

  constructor(transport: Transport, hooks: readonly Hook[], capacity: number, observer: ResultObserver | undefined) {
    this.#transport = transport;
    this.#hooks = hooks;
    this.#capacity = capacity;
    this.#observer = observer;
  }

  counts(): DeliveryCounts {
    const waiting = this.#waiting();
    return { delivered: this.#delivered, refused: this.#refused, dropped: this.#dropped, waiting };
  }

  #waiting(): number {
    return this.#events.length + this.#sending;
  }

  /** Takes an event, or drops it and returns `false` if too many wait. */
  add(event: RewardEvent): boolean {
    if (this.#closed || this.#waiting() >= this.#capacity) {
      this.#dropped += 1;
      return false;
    }
    this.#events.push(event);
    if (!this.#running) void this.#deliver();
    else if (this.#events.length >= BATCH && this.#sending === 0) this.#hurry();
    return true;
  }

  /** Waits until every event was delivered. Returns `false` if some still wait after that time. */
  async flush(timeoutMs: number): Promise<boolean> {
    if (this.#waiting() === 0) return true;
    if (this.#sending === 0) this.#hurry();
    return await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** Delivers what waits for at most that time, and drops the rest. */
  async close(timeoutMs: number): Promise<void> {
    await this.flush(timeoutMs);
    this.#closed = true;
    this.#dropped += this.#waiting();
    this.#events = [];
    this.#sending = 0;
    this.#hurry();
  }

  async #deliver(): Promise<void> {
    this.#running = true;
    while (this.#events.length > 0 && !this.#closed) {
      await this.#wait(LINGER_MS);
      const batch = this.#events.splice(0, BATCH);
      this.#sending = batch.length;
      await this.#send(batch);
      this.#sending = 0;
    }
    this.#running = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Sends a batch until it is taken. The ids of the events make a repetition harmless. */
  async #send(batch: readonly RewardEvent[]): Promise<void> {
    let backoff: number = BACKOFF_MS[0];
    while (!this.#closed) {
      const wait = await this.#try(batch);
      if (wait === undefined) return;
      // Clients that failed together do not come back together.
      await this.#wait(Math.min(wait || backoff, BACKOFF_MS[1]) * (0.75 + Math.random() / 2));
      backoff = Math.min(2 * backoff, BACKOFF_MS[1]);
    }
  }

  /**
   * Tries to send a batch. Returns `undefined` if nothing of it is left to send, and else the milliseconds to wait, or 0 if the
   * service did not say.
   */
  async #try(batch: readonly RewardEvent[]): Promise<number | undefined> {
    const observers = new Observers(this.#hooks, "RecordRewards", []);
    try {
      const answer = await this.#transport.call("RecordRewards", { events: batch }, CALL_MS, observers.headers());
      const { results = [] } = answer as { results?: Partial<RewardResult>[] };
      if (!this.#closed) batch.forEach((event, at) => this.#take(event, results[at] ?? {}));
      return undefined;
    } catch (cause) {
      const error = cause instanceof SlotwiseError ? cause : new SlotwiseError(String(cause), "INTERNAL", { cause });
      observers.failed(error);
      if (error.retryable) return error.retryAfterMs ?? 0;
      if (!this.#closed) this.#dropped += batch.length;
      return undefined;
    } finally {
      observers.ended();
    }
  }

  #take(event: RewardEvent, { status = "", message = "" }: Partial<RewardResult>): void {
    if (status === "REWARD_STATUS_ACCEPTED" || status === "REWARD_STATUS_DUPLICATE") this.#delivered += 1;
    else this.#refused += 1;
    try {
      this.#observer?.(event, { status, message });
    } catch {
      // An observer's mistake must not keep events from being delivered.
    }
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = () => undefined;
  }
}
