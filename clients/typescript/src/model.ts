import { SlotwiseError } from "./error.js";

/** Value of a feature: a number, a word, a flag, several words, or a small vector. */
export type FeatureValue = boolean | number | string | readonly string[] | readonly number[];

/** Extent to which the subject may be used. */
export type Consent = "CONSENT_FULL" | "CONSENT_SESSION_ONLY" | "CONSENT_NONE";

/** Arm that a request allows, with features of its own in this request. */
export interface Candidate {
  readonly armId: string;
  readonly features?: Readonly<Record<string, FeatureValue>>;
}

/** Arm to show. */
export interface ChosenArm {
  readonly armId: string;
  /** Place in the slate; 1 is the first. */
  readonly position: number;
  /** Probability with which the arm took its place; 0 in a decision of the client's own. */
  readonly propensity: number;
  /** Expected reward in this context, in the goal's units. */
  readonly expectedReward: number;
  /** Reason why the arm stands here, such as `REASON_EXPLORING`. */
  readonly reason: string;
  /** Content that the slot has for the arm. */
  readonly payload?: Readonly<Record<string, unknown>>;
}

/** Decision of the service, or of the client if the service gave none in time. */
export interface Decision {
  readonly slotId: string;
  /** Id that rewards name; empty if the client decided. */
  readonly decisionId: string;
  /** Arms to show, best first. */
  readonly arms: readonly ChosenArm[];
  /** Id of the first arm, or `undefined` if there is none to show. */
  readonly arm: string | undefined;
  /** `true` if the subject belongs to the holdout and got the baseline. */
  readonly holdout: boolean;
  /** `true` if at least one position is not the best guess. */
  readonly exploring: boolean;
  /**
   * Reason why no model decided, such as `FALLBACK_SAFE_CHOICE`; `CLIENT` if the client decided; empty if a model did.
   */
  readonly fallback: string;
  readonly revision: number;
  readonly model: string;
  /** Error for which the client decided. */
  readonly error?: SlotwiseError;
}

/** Event as the API takes it. */
export interface RewardEvent {
  readonly eventId: string;
  readonly kind: string;
  readonly decisionId?: string;
  readonly slotId?: string;
  readonly subject?: { readonly id?: string; readonly sessionId?: string };
  readonly armId?: string;
  readonly value?: number;
  /** Time in the form of RFC 3339. */
  readonly time?: string;
  readonly reversesEventId?: string;
}

/** Result of an event: its status, such as `REWARD_STATUS_ACCEPTED`, and what to do about it. */
export interface RewardResult {
  readonly status: string;
  readonly message: string;
}

/** Request for a decision in its JSON form. */
export interface DecideRequest {
  slotId: string;
  subject?: { id?: string; sessionId?: string };
  context?: Record<string, unknown>;
  candidates?: { armId: string; features?: Record<string, unknown> }[];
  count?: number;
  requestId?: string;
  consent?: Consent;
}

/** Decision in its JSON form, in which fields at their default are left out. */
export interface DecideResponse {
  readonly decisionId?: string;
  readonly arms?: readonly (Partial<ChosenArm> & { readonly armId: string })[];
  readonly holdout?: boolean;
  readonly exploring?: boolean;
  readonly fallback?: string;
  readonly revision?: string;
  readonly model?: string;
}

function encodeFeature(name: string, value: FeatureValue): unknown {
  if (typeof value === "boolean") return { flag: value };
  if (typeof value === "number") return { number: value };
  if (typeof value === "string") return { text: value };
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return { texts: { values: value } };
  if (Array.isArray(value) && value.every((one) => typeof one === "number")) return { vector: { values: value } };
  throw new TypeError(
    `the feature '${name}' is neither a number, a text or a flag, nor a list of texts or numbers`,
  );
}

/** Returns the JSON form of features. One without a value is left out. */
export function encodeFeatures(features: Readonly<Record<string, FeatureValue>>): Record<string, unknown> {
  const given = Object.entries(features).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given.map(([name, value]) => [name, encodeFeature(name, value)]));
}

/** Returns the decision of an answer. */
export function decodeDecision(slotId: string, answer: DecideResponse): Decision {
  const arms = (answer.arms ?? []).map((arm) => ({
    armId: arm.armId,
    position: arm.position ?? 0,
    propensity: arm.propensity ?? 0,
    expectedReward: arm.expectedReward ?? 0,
    reason: arm.reason ?? "",
    ...(arm.payload === undefined ? {} : { payload: arm.payload }),
  }));
  return {
    slotId,
    decisionId: answer.decisionId ?? "",
    arms,
    arm: arms[0]?.armId,
    holdout: answer.holdout ?? false,
    exploring: answer.exploring ?? false,
    fallback: answer.fallback ?? "",
    revision: Number(answer.revision ?? 0),
    model: answer.model ?? "",
  };
}

/** Returns the client's decision for a request: the candidates in the caller's order. */
export function ownDecision(request: DecideRequest, error: SlotwiseError): Decision {
  const candidates = request.candidates ?? [];
  const arms = candidates.slice(0, request.count || candidates.length).map(({ armId }, at) => ({
    armId,
    position: at + 1,
    propensity: 0,
    expectedReward: 0,
    reason: "REASON_FALLBACK",
  }));
  return {
    slotId: request.slotId,
    decisionId: "",
    arms,
    arm: arms[0]?.armId,
    holdout: false,
    exploring: false,
    fallback: "CLIENT",
    revision: 0,
    model: "",
    error,
  };
}
