// OpenFeature's own SDKs for servers and for web pages, with their OFREP providers, against a real service.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";
import { OpenFeature } from "@openfeature/server-sdk";
import { OpenFeature as WebOpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { Service } from "./service.mjs";

let service;

before(async () => {
  service = await Service.start('bulk_slots = ["web-*"]\n');
});

after(async () => {
  await OpenFeature.close();
  await WebOpenFeature.close();
  service?.stop();
});

test("the SDK for servers reads values of every type, and each is a decision", async () => {
  await service.create({ slotId: "colour", arms: [{ armId: "red" }, { armId: "blue" }] });
  await service.create({ slotId: "gift", arms: [{ armId: "on", payload: { value: true } }] });
  await service.create({ slotId: "discount", arms: [{ armId: "ten", payload: { value: 10 } }] });
  await service.create({ slotId: "banner", arms: [{ armId: "a", payload: { title: "Hello", tags: ["x"] } }] });
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: service.url }));
  const client = OpenFeature.getClient();
  const context = { targetingKey: "ann", device: "phone", basket: { value: 42.5 } };

  const colour = await client.getStringDetails("colour", "none", context);
  assert.ok(["red", "blue"].includes(colour.value), JSON.stringify(colour));
  assert.equal(colour.variant, colour.value);
  assert.equal(colour.reason, "SPLIT");
  assert.equal(typeof colour.flagMetadata.propensity, "number");
  const told = await service.call("ExplainDecision", { decisionId: colour.flagMetadata.decisionId });
  assert.equal(told.subject.id, "ann");
  assert.deepEqual(told.context["basket.value"], { number: 42.5 });

  assert.equal(await client.getBooleanValue("gift", false, context), true);
  assert.equal(await client.getNumberValue("discount", 0, context), 10);
  assert.deepEqual(await client.getObjectValue("banner", {}), { title: "Hello", tags: ["x"] });
  await service.untilCounts("colour", 1, 0);

  // A reward goes to the API itself, by the decision id of the metadata.
  const event = { eventId: "e1", decisionId: colour.flagMetadata.decisionId, kind: "click" };
  const recorded = await service.call("RecordRewards", { events: [event] });
  assert.equal(recorded.results[0].status, "REWARD_STATUS_ACCEPTED");
});

test("the SDK for servers reads the errors", async () => {
  const client = OpenFeature.getClient();
  const unknown = await client.getStringDetails("colours", "default");
  assert.equal(unknown.errorCode, "FLAG_NOT_FOUND");
  assert.equal(unknown.value, "default");
  assert.match(unknown.errorMessage, /did you mean 'colour'/);
  const wrong = await client.getStringDetails("colour", "default", { targetingKey: "ann", mixed: [1, "x"] });
  assert.equal(wrong.errorCode, "INVALID_CONTEXT");
  const mistyped = await client.getBooleanDetails("colour", false);
  assert.equal(mistyped.errorCode, "TYPE_MISMATCH");
  await service.call("SetArmAvailability", { slotId: "gift", available: { on: false } });
  const empty = await client.getBooleanDetails("gift", false);
  assert.equal(empty.errorCode, "GENERAL");
});

test("the SDK for web pages gets deferred decisions, and its polls are none", async () => {
  await service.create({ slotId: "web-hero", arms: [{ armId: "a" }, { armId: "b" }] });
  const provider = new OFREPWebProvider({ baseUrl: service.url, pollInterval: 50, cacheMode: "disabled" });
  await WebOpenFeature.setContext({ targetingKey: "ann", device: "phone" });
  await WebOpenFeature.setProviderAndWait(provider);
  const client = WebOpenFeature.getClient();
  const first = client.getStringDetails("web-hero", "none");
  assert.ok(["a", "b"].includes(first.value), JSON.stringify(first));
  assert.equal(first.reason, "SPLIT");
  assert.equal(first.flagMetadata.deferred, true);
  assert.equal(client.getStringDetails("colour", "none").errorCode, "FLAG_NOT_FOUND", "it does not allow bulk");

  let changes = 0;
  client.addHandler(ProviderEvents.ConfigurationChanged, () => { changes += 1; });
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(changes, 0, "polls without a change are answered with 304");
  await service.call("SetArmAvailability", { slotId: "web-hero", available: { [first.value]: false } });
  await service.until(async () => changes > 0);
  assert.notEqual(client.getStringValue("web-hero", "none"), first.value);
  await service.untilCounts("web-hero", 0, 0);
});
