import { SlotwiseError, type SlotwiseErrorCode } from "./error.js";
import { EventQueue, type DeliveryCounts, type ResultObserver } from "./events.js";
import { Observers, type Hook } from "./hooks.js";
import {
  decodeDecision,
  encodeFeatures,
  ownDecision,
  type Candidate,
  type Consent,
  type Decision,
  type DecideRequest,
  type DecideResponse,
  type FeatureValue,
  type RewardEvent,
  type RewardResult,
} from "./model.js";
import { Transport } from "./transport.js";

/** Time that a decision may take, milliseconds: what a page can wait for. */
const DECIDE_MS = 250;
/** Time that another call may take, milliseconds. */
const CALL_MS = 10_000;
/** Events that may wait for their delivery: some megabytes. */
const EVENTS = 10_000;
/** Time that closing waits for the delivery of events, milliseconds. */
const CLOSE_MS = 5_000;

/** Options of a client. */
export interface SlotwiseOptions {
  /** Key of the service, if it asks for one. A web page gives a publishable key. */
  readonly key?: string;
  /**
   * Time that a decision may take, milliseconds; 250 by default. After it the client decides: the candidates in the caller's
   * order.
   */
  readonly timeoutMs?: number;
  /** Greatest number of events that wait for their delivery; 10,000 by default. Further ones are dropped and counted. */
  readonly events?: number;
  /** Function that learns of each delivered event and its result. */
  readonly onResult?: ResultObserver;
  /** Observers of calls, such as `openTelemetryHook`. */
  readonly hooks?: readonly Hook[];
  /** Function to fetch with; the global one by default. */
  readonly fetch?: typeof fetch;
}

/** Options of a call. */
export interface CallOptions {
  /** Time that the call may take, milliseconds. */
  readonly timeoutMs?: number;
}

/** Options of a decision beside its slot. */
export interface DecideOptions extends CallOptions {
  /** Id of the customer. */
  readonly subject?: string;
  /** Id of the session. */
  readonly session?: string;
  /** Features of the request. */
  readonly context?: Readonly<Record<string, FeatureValue>>;
  /** Arms that the request allows, in the caller's order, which is the baseline; all arms if it is left out. */
  readonly candidates?: readonly (string | Candidate)[];
  /** Number of arms to show; the slot's own if it is left out. */
  readonly count?: number;
  /** Id by which a repetition within ten minutes gets the same decision. */
  readonly requestId?: string;
  /** Extent to which the subject may be used; the slot's default if it is left out. */
  readonly consent?: Consent;
}

/** Request of a page for one of its slots. */
export interface PageRequest extends Omit<DecideOptions, "timeoutMs"> {
  readonly slot: string;
}

/** Options of an event. */
export interface RewardOptions {
  /** Money or quantity. */
  readonly value?: number;
  /** Arm that it is about; needed where the decision shows several. */
  readonly arm?: string;
  /** Id by which the event counts once; a new one if it is left out. */
  readonly eventId?: string;
  /** Time of the event; now if it is left out. */
  readonly time?: Date;
}

/** Names of the codes that a request of a page can have, by their numbers. */
const CODES: Readonly<Record<number, SlotwiseErrorCode>> = {
  3: "INVALID_ARGUMENT",
  5: "NOT_FOUND",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
};

/** Client of a service. */
export class Slotwise {
  readonly #transport: Transport;
  readonly #events: EventQueue;
  readonly #timeoutMs: number;
  readonly #hooks: readonly Hook[];

  /**
   * Creates a client.
   *
   * @param url - Address of the service's HTTP port, as in `http://127.0.0.1:8080`.
   */
  constructor(url: string, options: SlotwiseOptions = {}) {
    const { key, timeoutMs = DECIDE_MS, events = EVENTS, onResult, hooks = [], fetch: fetchFunction } = options;
    if (!/^https?:\/\//.test(url)) throw new TypeError(`url: '${url}' must begin with http:// or https://`);
    if (!(timeoutMs > 0) || !(events >= 1)) throw new RangeError("timeoutMs and events must be above 0");
    this.#transport = new Transport(url.replace(/\/+$/, ""), key, fetchFunction);
    this.#events = new EventQueue(this.#transport, hooks, events, onResult);
    this.#timeoutMs = timeoutMs;
    this.#hooks = hooks;
  }

  /**
   * Decides which arms of a slot to show.
   *
   * If the service cannot be reached, is overloaded or takes too long, the client decides: the candidates in the caller's order,
   * with the reason in `Decision.error`.
   *
   * @throws SlotwiseError if the request is wrong: there is no such slot, a field is out of its range, the key is not taken.
   */
  async decide(slot: string, options: DecideOptions = {}): Promise<Decision> {
    const request = requestOf({ ...options, slot });
    const answered = async (headers: Record<string, string>): Promise<Decision[]> => {
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
      const answer = await this.#transport.call("Decide", request, timeoutMs, headers);
      return [decodeDecision(slot, answer as DecideResponse)];
    };
    const [decision] = await this.#decided("Decide", [request], answered);
    return decision ?? ownDecision(request, new SlotwiseError("there is no answer", "INTERNAL"));
  }

  /**
   * Decides for all the slots of a page, in order, in one call. A request in error gets a decision of the client, whose `error`
   * says why.
   *
   * @throws SlotwiseError if the call itself is wrong.
   */
  async decidePage(
    requests: readonly PageRequest[],
    options: CallOptions & { readonly distinctArms?: boolean } = {},
  ): Promise<Decision[]> {
    const { timeoutMs = this.#timeoutMs, distinctArms = false } = options;
    const page = requests.map(requestOf);
    return await this.#decided("BatchDecide", page, async (headers) => {
      const answer = await this.#transport.call("BatchDecide", { requests: page, distinctArms }, timeoutMs, headers);
      const { results = [] } = answer as { results?: PageResult[] };
      return page.map((request, at) => decisionOf(request, results[at] ?? {}));
    });
  }

  /** Makes a call that decides, or decides in its place if the service gives no answer. */
  async #decided(
    method: string,
    requests: readonly DecideRequest[],
    call: (headers: Record<string, string>) => Promise<Decision[]>,
  ): Promise<Decision[]> {
    const observers = new Observers(this.#hooks, method, requests.map(({ slotId }) => slotId));
    try {
      const decisions = await call(observers.headers()).catch((cause: unknown) => {
        if (!(cause instanceof SlotwiseError)) throw cause;
        observers.failed(cause);
        if (!cause.retryable && cause.code !== "INTERNAL") throw cause;
        return requests.map((request) => ownDecision(request, cause));
      });
      for (const decision of decisions) observers.decided(decision);
      return decisions;
    } finally {
      observers.ended();
    }
  }

  /**
   * Reports what the shopper did. The event is delivered later, in a batch, and again if need be.
   *
   * @param decision - Decision, or its id, as a later request knows it.
   * @param kind - Kind of the slot's goal, such as `click`.
   * @returns The event's id, or `undefined` if the event is not sent: the client made the decision, or too many events wait.
   */
  reward(decision: Decision | string, kind: string, options: RewardOptions = {}): string | undefined {
    const decisionId = typeof decision === "string" ? decision : decision.decisionId;
    return decisionId === "" ? undefined : this.#add({ decisionId }, kind, options);
  }

  /**
   * Reports what a shopper did with an arm, where the decision's id is not known any more. The event joins the latest decision that
   * showed the arm to the subject.
   *
   * @returns The event's id, or `undefined` if too many events wait.
   */
  rewardSubject(
    slot: string,
    arm: string,
    kind: string,
    options: Omit<RewardOptions, "arm"> & { readonly subject?: string; readonly session?: string },
  ): string | undefined {
    const { subject, session, ...rest } = options;
    return this.#add({ slotId: slot, subject: subjectOf(subject, session) }, kind, { ...rest, arm });
  }

  #add(event: Partial<RewardEvent>, kind: string, options: RewardOptions): string | undefined {
    const { value, arm, eventId = newId(), time = new Date() } = options;
    const added = this.#events.add({
      ...event,
      eventId,
      kind,
      // The event is delivered later than it happens, so that it carries its own time.
      time: time.toISOString(),
      ...(value === undefined ? {} : { value }),
      ...(arm === undefined ? {} : { armId: arm }),
    });
    return added ? eventId : undefined;
  }

  /** Reports events now and returns their results, in order. */
  async record(events: readonly RewardEvent[], options: CallOptions = {}): Promise<RewardResult[]> {
    const answer = await this.call<{ results?: Partial<RewardResult>[] }>("RecordRewards", { events }, options);
    return (answer.results ?? []).map(({ status = "", message = "" }) => ({ status, message }));
  }

  /** Calls any method of the API that does not stream, and returns its answer in its JSON form. */
  async call<T = Record<string, unknown>>(method: string, body: unknown, options: CallOptions = {}): Promise<T> {
    const observers = new Observers(this.#hooks, method, []);
    try {
      return (await this.#transport.call(method, body, options.timeoutMs ?? CALL_MS, observers.headers())) as T;
    } catch (cause) {
      if (cause instanceof SlotwiseError) observers.failed(cause);
      throw cause;
    } finally {
      observers.ended();
    }
  }

  /** Waits until all events were delivered. Returns `false` if some still wait after that time. */
  async flush(timeoutMs: number = CALL_MS): Promise<boolean> {
    return await this.#events.flush(timeoutMs);
  }

  /** Counts of events. */
  counts(): DeliveryCounts {
    return this.#events.counts();
  }

  /** Delivers what waits for at most that time. Further events are dropped. */
  async close(timeoutMs: number = CLOSE_MS): Promise<void> {
    await this.#events.close(timeoutMs);
  }
}

interface PageResult {
  readonly response?: DecideResponse;
  readonly status?: { readonly code?: number; readonly message?: string };
}

/** Returns the decision of a request of a page. */
function decisionOf(request: DecideRequest, { response, status = {} }: PageResult): Decision {
  if (response !== undefined) return decodeDecision(request.slotId, response);
  const code = CODES[status.code ?? 2] ?? "UNKNOWN";
  return ownDecision(request, new SlotwiseError(status.message ?? "the request has no result", code));
}

function subjectOf(subject: string | undefined, session: string | undefined): { id?: string; sessionId?: string } {
  return { ...(subject ? { id: subject } : {}), ...(session ? { sessionId: session } : {}) };
}

/** Returns the JSON form of a request. */
function requestOf(options: PageRequest): DecideRequest {
  const { slot, subject, session, context, candidates, count, requestId, consent } = options;
  const request: DecideRequest = { slotId: slot };
  if (subject || session) request.subject = subjectOf(subject, session);
  if (context !== undefined) request.context = encodeFeatures(context);
  if (candidates !== undefined) {
    request.candidates = candidates.map((candidate) =>
      typeof candidate === "string"
        ? { armId: candidate }
        : { armId: candidate.armId, features: encodeFeatures(candidate.features ?? {}) },
    );
  }
  if (count !== undefined) request.count = count;
  if (requestId !== undefined) request.requestId = requestId;
  if (consent !== undefined) request.consent = consent;
  return request;
}

/** Returns an id that no other event has. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
