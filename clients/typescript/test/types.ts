// Code that must compile, and code that must not, for a program with strict types.
import * as otel from "@opentelemetry/api";
import { openTelemetryHook, Slotwise, type Decision } from "../dist/index.js";

const slotwise = new Slotwise("http://127.0.0.1:8080", { timeoutMs: 100, hooks: [openTelemetryHook(otel)] });

export async function page(): Promise<Decision> {
  const context = { device: "phone", age: 41, gift: true, tags: ["a", "b"], place: [1.5, 2] };
  const candidates = ["gift-wrap", { armId: "free-shipping", features: { price: 4.5 } }];
  const decision = await slotwise.decide("offers", { subject: "customer-17", context, candidates });
  const arm: string | undefined = decision.arm;
  const eventId: string | undefined = slotwise.reward(decision, "purchase", { value: 42.5, arm: arm ?? "" });
  // @ts-expect-error: an object is no feature.
  await slotwise.decide("offers", { context: { nested: { a: 1 } } });
  // @ts-expect-error: there is no such option.
  await slotwise.decide("offers", { subjects: eventId });
  // @ts-expect-error: a decision does not change.
  decision.arms = [];
  return decision;
}
