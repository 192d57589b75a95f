// Personalizer's own clients against a real service. They are as their registry has them; only the endpoint differs.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import rest from "@azure-rest/ai-personalizer";
import personalizer from "@azure/cognitiveservices-personalizer";
import msRest from "@azure/ms-rest-js";
import { Service } from "./service.mjs";

let service;

before(async () => {
  service = await Service.start();
  const goal = { kinds: [{ kind: "reward", weight: 1, useValue: true }] };
  for (const slotId of ["menu", "home"]) await service.create({ slotId, openCatalogue: true, goal });
});

after(() => service?.stop());

const actions = [
  { id: "pasta", features: [{ price: 9, vegan: true }] },
  { id: "soup", features: [{ price: 5 }] },
  { id: "cake", features: [] },
];

test("the client of version 1.0 ranks, rewards and activates", async () => {
  const key = new msRest.ApiKeyCredentials({ inHeader: { "Ocp-Apim-Subscription-Key": "none" } });
  const client = new personalizer.PersonalizerClient(key, service.url);
  // This client drops the path of an endpoint, and puts its calls after its base address.
  client.baseUri = `${service.url}/slots/menu/personalizer/v1.0`;
  const request = { contextFeatures: [{ time: "morning" }], actions, excludedActions: ["soup"], eventId: "e-1" };
  const ranked = await client.rank(request);
  assert.ok(["pasta", "cake"].includes(ranked.rewardActionId), JSON.stringify(ranked));
  assert.equal(ranked.eventId, "e-1");
  assert.equal(ranked.ranking.length, 3);
  assert.equal((await client.rank(request)).rewardActionId, ranked.rewardActionId);
  await client.events.activate("e-1");
  await client.events.reward("e-1", { value: 0.5 });
  await service.untilCounts("menu", 1, 1);
  // A deferred rank counts once it is activated, and the activation is an accepted event too.
  await client.rank({ ...request, eventId: "e-2", deferActivation: true });
  await client.rank({ ...request, eventId: "e-3", deferActivation: true });
  await client.events.activate("e-3");
  await service.untilCounts("menu", 2, 2);
});

test("the client of version 1.1 ranks several places", async () => {
  const options = { allowInsecureConnection: true };
  const client = rest.default(`${service.url}/slots/home`, { key: "none" }, options);
  const slots = [
    { id: "top", features: [{ size: "large" }], excludedActions: ["cake"], baselineAction: "soup" },
    { id: "side", features: [], excludedActions: [], baselineAction: "pasta" },
  ];
  const body = { contextFeatures: [{ device: "phone" }], actions, slots, eventId: "m-1", deferActivation: false };
  const ranked = await client.path("/multislot/rank").post({ body });
  assert.equal(ranked.status, "201", JSON.stringify(ranked.body));
  const shown = ranked.body.slots.map((slot) => slot.rewardActionId);
  assert.notEqual(shown[0], shown[1]);
  const reward = [{ slotId: "top", value: 1 }, { slotId: "side", value: 0.25 }];
  const rewarded = await client.path("/multislot/events/{eventId}/reward", "m-1").post({ body: { reward } });
  assert.equal(rewarded.status, "204", JSON.stringify(rewarded.body));
  assert.equal((await client.path("/multislot/events/{eventId}/activate", "m-1").post()).status, "204");
  await service.untilCounts("home", 2, 2);

  const one = await client.path("/rank").post({ body: { actions, eventId: "s-1" } });
  assert.equal(one.status, "201", JSON.stringify(one.body));
  assert.equal((await client.path("/events/{eventId}/reward", "s-1").post({ body: { value: 1 } })).status, "204");
  const unknown = await client.path("/events/{eventId}/reward", "never").post({ body: { value: 1 } });
  assert.deepEqual([unknown.status, unknown.body.error.code], ["404", "ResourceNotFound"]);
});
