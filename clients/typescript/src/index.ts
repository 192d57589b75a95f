/**
 * Client of Slotwise: decisions within a deadline, and events that are delivered later.
 *
 * It runs where `fetch` does: Node 18 and newer, Deno, Bun, workers and web pages.
 *
 * @packageDocumentation
 */
export { Slotwise, type CallOptions, type DecideOptions, type PageRequest, type RewardOptions, type SlotwiseOptions } from "./client.js";
export { SlotwiseError, type SlotwiseErrorCode } from "./error.js";
export type { DeliveryCounts, ResultObserver } from "./events.js";
export type { CallObserver, Hook } from "./hooks.js";
export type { Candidate, ChosenArm, Consent, Decision, FeatureValue, RewardEvent, RewardResult } from "./model.js";
export { openTelemetryHook, type OpenTelemetryApi } from "./otel.js";
