// The client against a real service, and against services that answer badly.
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as otel from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { openTelemetryHook, Slotwise, SlotwiseError } from "slotwise";
import { dripping, forgetful, listen, Service } from "./service.mjs";

// Time that a call of these tests may take where it is to succeed.
const timeoutMs = 20_000;
const candidates = ["gift-wrap", { armId: "free-shipping", features: { price: 4.5 } }, "voucher"];
let service;
const servers = [];

before(async () => {
  service = await Service.start();
  const arms = ["gift-wrap", "free-shipping", "voucher"].map((armId) => ({ armId, payload: { title: armId } }));
  for (const slotId of ["offers", "banner", "retried", "restarted"]) await service.create({ slotId, arms });
});

after(async () => {
  service?.stop();
  for (const server of servers) server.closeAllConnections?.(), server.close();
});

async function served(server) {
  servers.push(server);
  return await listen(server);
}

test("five lines decide and reward", async () => {
  const slotwise = new Slotwise(service.url);
  const decision = await slotwise.decide("offers", { subject: "customer-17", candidates, timeoutMs });
  slotwise.reward(decision, "click");
  await slotwise.close();
  assert.equal(decision.error, undefined);
  assert.deepEqual(decision.arms[0].payload, { title: decision.arm });
  assert.ok(decision.arms[0].propensity > 0 && decision.decisionId !== "", JSON.stringify(decision));
  await service.untilCounts("offers", 1, 1);
});

test("features of every kind arrive, and a page is one call", async () => {
  const slotwise = new Slotwise(service.url);
  const context = { device: "phone", age: 41, gift: true, tags: ["a", "b"], place: [1.5, 2] };
  const options = { subject: "ann", session: "s1", context, requestId: "r1" };
  const page = [{ slot: "offers", ...options }, { slot: "banner" }, { slot: "nowhere", candidates }];
  const [offers, banner, nowhere] = await slotwise.decidePage(page, { distinctArms: true, timeoutMs });
  assert.notEqual(offers.arm, banner.arm);
  assert.deepEqual([nowhere.error.code, nowhere.arm], ["NOT_FOUND", "gift-wrap"]);
  const told = await slotwise.call("ExplainDecision", { decisionId: offers.decisionId });
  assert.deepEqual(told.subject, { id: "ann", sessionId: "s1" });
  assert.deepEqual(told.context, {
    device: { text: "phone" },
    age: { number: 41 },
    gift: { flag: true },
    tags: { texts: { values: ["a", "b"] } },
    place: { vector: { values: [1.5, 2] } },
  });
  const event = { eventId: "subject-1", slotId: "offers", subject: { id: "ann" }, armId: offers.arm, kind: "click" };
  assert.deepEqual(await slotwise.record([event]), [{ status: "REWARD_STATUS_ACCEPTED", message: "" }]);
  const refused = [];
  const observing = new Slotwise(service.url, { onResult: (_, result) => refused.push(result.status) });
  observing.rewardSubject("offers", offers.arm, "click", { subject: "ann", eventId: "subject-1" });
  observing.rewardSubject("offers", offers.arm, "click", { subject: "nobody" });
  assert.ok(await observing.flush(timeoutMs));
  assert.deepEqual(refused, ["REWARD_STATUS_DUPLICATE", "REWARD_STATUS_UNMATCHED"]);
  assert.deepEqual(observing.counts(), { delivered: 1, refused: 1, dropped: 0, waiting: 0 });
});

test("a wrong request is an error with its fields", async () => {
  const slotwise = new Slotwise(service.url, { timeoutMs });
  await assert.rejects(slotwise.decide("offer", { candidates }), (error) => {
    assert.ok(error instanceof SlotwiseError && !error.retryable);
    assert.deepEqual([error.code, error.reason], ["NOT_FOUND", "SLOT_NOT_FOUND"]);
    assert.match(error.fields.slot_id, /did you mean 'offers'/);
    return true;
  });
  await assert.rejects(slotwise.decide("offers", { context: { mixed: [1, "x"] } }), /the feature 'mixed'/);
  assert.throws(() => new Slotwise("127.0.0.1:8080"), /must begin with http/);
});

test("without an answer in time the client decides in the caller's order", async () => {
  const gone = await served(dripping());
  servers.pop().close();
  for (const [url, code] of [[await served(dripping()), "DEADLINE_EXCEEDED"], [gone, "UNAVAILABLE"]]) {
    const slotwise = new Slotwise(url, { timeoutMs: 100 });
    const decision = await slotwise.decide("offers", { candidates, count: 2 });
    assert.equal(decision.error?.code, code);
    assert.deepEqual(decision.arms.map((arm) => arm.armId), ["gift-wrap", "free-shipping"]);
    assert.equal(decision.fallback, "CLIENT");
    assert.equal((await slotwise.decide("offers")).arm, undefined);
    const page = await slotwise.decidePage([{ slot: "offers", candidates }, { slot: "banner" }]);
    assert.deepEqual(page.map((one) => one.arm), ["gift-wrap", undefined]);
    // The service knows nothing of this decision, so nothing is reported.
    assert.equal(slotwise.reward(decision, "click"), undefined);
    assert.equal(slotwise.counts().waiting, 0);
  }
});

test("an answer that is lost is asked for again, and each event counts once", async () => {
  const proxy = forgetful(service.url, "RecordRewards", 2);
  const slotwise = new Slotwise(await served(proxy), { key: "secret", timeoutMs });
  const decisions = [];
  for (let n = 0; n < 3; n += 1) decisions.push(await slotwise.decide("retried", { candidates }));
  for (const decision of decisions) assert.ok(slotwise.reward(decision, "click"));
  assert.ok(await slotwise.flush(timeoutMs));
  assert.equal(proxy.lost, 2);
  assert.deepEqual(slotwise.counts(), { delivered: 3, refused: 0, dropped: 0, waiting: 0 });
  await service.untilCounts("retried", 3, 3);
  assert.equal(proxy.headers.authorization, "Bearer secret");
  assert.match(proxy.headers["grpc-timeout"], /^\d+m$/);
});

test("events wait for a service that is away, and no more of them than fit", async () => {
  const slotwise = new Slotwise(service.url, { timeoutMs, events: 3 });
  const decision = await slotwise.decide("restarted", { candidates });
  const { url } = service;
  await service.restart(async () => {
    const sent = ["a", "b", "c", "d", "e"].map((id) => slotwise.reward(decision, "click", { eventId: id }));
    assert.deepEqual(sent, ["a", "b", "c", undefined, undefined]);
    assert.equal(await slotwise.flush(300), false);
    assert.deepEqual(slotwise.counts(), { delivered: 0, refused: 0, dropped: 2, waiting: 3 });
  });
  assert.equal(service.url, url);
  assert.ok(await slotwise.flush(timeoutMs));
  assert.deepEqual(slotwise.counts(), { delivered: 3, refused: 0, dropped: 2, waiting: 0 });
  await slotwise.close();
  assert.equal(slotwise.reward(decision, "click"), undefined, "a closed client takes nothing");
});

test("closing gives up what cannot be delivered", async () => {
  const slotwise = new Slotwise(await served(dripping()));
  assert.ok(slotwise.reward("some-decision", "click"));
  await slotwise.close(50);
  assert.deepEqual(slotwise.counts(), { delivered: 0, refused: 0, dropped: 1, waiting: 0 });
});

test("a hook makes spans and passes the trace on", async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  otel.trace.setGlobalTracerProvider(provider);
  otel.propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const proxy = forgetful(service.url, "", 0);
  const slotwise = new Slotwise(await served(proxy), { timeoutMs, hooks: [openTelemetryHook(otel)] });
  const decision = await slotwise.decide("offers", { candidates });
  await assert.rejects(slotwise.decide("offer"));
  const [first, second] = exporter.getFinishedSpans();
  assert.equal(first.name, "slotwise Decide");
  assert.equal(first.attributes["slotwise.decision_id"], decision.decisionId);
  assert.equal(second.attributes["error.type"], "NOT_FOUND");
  const { traceId, spanId } = second.spanContext();
  assert.equal(proxy.headers.traceparent, `00-${traceId}-${spanId}-01`);
});

test("the examples of the documents run", async () => {
  const root = join(import.meta.dirname, "../../..");
  let count = 0;
  for (const page of ["clients/typescript/README.md", "docs/engineers/clients.md"]) {
    const text = readFileSync(join(root, page), "utf8");
    for (const [, example] of text.matchAll(/```js\n(.*?)```/gs)) {
      const file = join(import.meta.dirname, `example-${(count += 1)}.tmp.mjs`);
      writeFileSync(file, example.replaceAll("http://127.0.0.1:8080", service.url));
      try {
        await import(file);
      } finally {
        rmSync(file);
      }
    }
  }
  assert.equal(count, 3);
});
