// Pictures of every page, with a shop's slots and a few thousand decisions, to be looked at one by one.
//
// `node pictures.mjs DIR` writes them at 360 and 1,280 px, and at 1,280 px in the dark. See service.mjs for the variables.
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pictureName, slotPages, startBrowser, startService } from "./service.mjs";

const folder = process.argv[2] ?? "pictures";
const decisions = Number(process.env.DECISIONS ?? 3_000);
mkdirSync(folder, { recursive: true });
const service = await startService();
const { base, call } = service;

// Numbers that are the same in every run.
let state = 7;
function random() {
  state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
  return state / 2_147_483_648;
}

const title = (text) => ({ title: text, image: `${text.toLowerCase().replaceAll(" ", "-")}.webp`, link: "/offers" });
const arms = [
  { armId: "free-shipping", attributes: { margin: { number: 0.31 }, kind: { text: "service" } }, payload: title("Free shipping") },
  { armId: "ten-percent-off", attributes: { discount: { number: 0.1 }, kind: { text: "discount" } }, payload: title("Ten percent off") },
  { armId: "gift-wrap", attributes: { margin: { number: 0.5 }, kind: { text: "service" } }, payload: title("Gift wrap") },
  { armId: "bundle", attributes: { discount: { number: 0.25 }, kind: { text: "discount" } }, payload: title("Two for one") },
];
const goal = { kinds: [{ kind: "click", weight: 1, cap: 1 }], window: "1s" };
const rules = [
  { name: "no discounts for gold customers", when: 'context.loyalty == "gold" && arm.discount > 0.2', exclude: {} },
  { name: "a gift at most twice a week", when: 'arm.id == "gift-wrap"', subjectCap: { count: 2, window: "604800s" } },
  { name: "push services", when: 'arm.kind == "service"', boost: { factor: 1.1 } },
];
const reason = "first version";
await call("CreateSlot", {
  slot: { slotId: "basket-offers", displayName: "Offers in the basket", arms, goal, rules, controls: { floor: 0.02, holdout: 0.1 } },
  reason,
  author: "anna",
});
for (const [slotId, displayName, kind] of [["home-teaser", "Teaser on the home page", "SLOT_KIND_OFFER"],
  ["search-results", "Order of search results", "SLOT_KIND_RANKING"]]) {
  const some = ["spring", "sale", "new-in"].map((armId) => ({ armId }));
  await call("CreateSlot", { slot: { slotId, displayName, kind, arms: some, goal }, reason, author: "anna" });
}

function rate(arm, device, loyalty) {
  const rates = { "free-shipping": 0.14, "ten-percent-off": 0.1, "gift-wrap": 0.06, bundle: 0.08 };
  return rates[arm] + (device === "phone" && arm === "bundle" ? 0.12 : 0) + (loyalty === "gold" ? 0.03 : 0);
}

let events = 0;

async function play(slotId, count) {
  let id;
  for (let i = 0; i < count; i += 1) {
    const device = random() < 0.6 ? "phone" : "desktop";
    const loyalty = random() < 0.2 ? "gold" : "none";
    const context = { device: { text: device }, loyalty: { text: loyalty }, basket: { number: Math.round(random() * 120) } };
    const decided = await call("Decide", { slotId, subject: { id: `customer-${Math.floor(random() * 4_000)}` }, context });
    id = decided.decisionId;
    if (random() < rate(decided.arms?.[0]?.armId, device, loyalty)) {
      await call("RecordRewards", { events: [{ eventId: `${slotId}-${events += 1}`, decisionId: id, kind: "click" }] });
    }
  }
  return id;
}

await play("home-teaser", Math.round(decisions / 10));
const half = Math.round(decisions / 2);
await play("basket-offers", half);
const change = { slotId: "basket-offers", controls: { floor: 0.03 } };
await call("UpdateSlot", { slot: change, updateMask: "controls.floor", reason: "learn a little faster", author: "ben" });
await play("basket-offers", decisions - half);
await new Promise((resolve) => setTimeout(resolve, 1_500));
const last = await play("basket-offers", 1);
const simulated = join(import.meta.dirname, "../../target/offer.html");
if (existsSync(simulated)) copyFileSync(simulated, join(service.pages, "offer-small.html"));
else writeFileSync(join(service.pages, "offer-small.html"), "<!DOCTYPE html><title>offer</title><p>A page of the simulator.</p>");

const preview = "/slots/basket-offers/change?revision=0&exploration=1.5&floor=8&holdout=10&half_life=&mode=on&freeze=&preview=1";
const when = encodeURIComponent('context.device == "phone" && arm.kind == "discount"');
const rule = `/slots/basket-offers/rule?revision=0&effect=boost&factor=1.3&name=discounts+on+phones&when=${when}&preview=1`;
const tried = `/slots/basket-offers/try?context=${encodeURIComponent("device = phone\nloyalty = gold\nbasket = 60")}`;
const paths = ["/", "/new", "/help", "/help/reading-the-report", "/safe-choice", "/system", "/keys", "/simulations", `/decisions?id=${last}`, "/slots/nowhere",
  "/slots/basket-offers/arm?id=bundle", ...slotPages("basket-offers").filter((path) => !path.endsWith("/try")), "/slots/search-results"];
// Visitors sign in, as they do where other machines reach the service.
const form = { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded", origin: base } };
const first = await (await fetch(`${base}/keys`, { ...form, body: "name=anna&kind=admin" })).text();
const key = /<code class="key">([^<]+)</.exec(first)[1];
await new Promise((resolve) => setTimeout(resolve, 600));

async function signIn(page) {
  await page.goto(`${base}/sign-in`);
  await page.getByLabel("Key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

async function compare(page) {
  await page.goto(`${base}/slots/basket-offers/compare`);
  await page.getByLabel("The draft below").check();
  await page.getByLabel("Floor, %").fill("10");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "Reward per decision" }).waitFor();
}

const browser = await startBrowser();
const visitor = await browser.newPage();
await signIn(visitor);
const keys = { anna: key };
const made = [["ben", "editor", "90"], ["carla", "approver", "90"], ["vera", "viewer", ""], ["shop backend", "program", "365"]];
for (const [name, kind, days] of made) {
  await visitor.goto(`${base}/keys`);
  await visitor.getByLabel("Name").fill(name);
  await visitor.getByLabel("For", { exact: true }).selectOption(kind);
  await visitor.getByLabel("Expires").selectOption(days);
  await visitor.getByRole("button", { name: "Create the key" }).click();
  keys[name] = await visitor.locator("code.key").textContent();
}
await visitor.close();
await new Promise((resolve) => setTimeout(resolve, 600));

// Drafts in every state, with short and long texts.
async function callAs(name, method, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${keys[name]}` };
  const answer = await fetch(`${base}/v1/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method}: ${await answer.text()}`);
  return answer.json();
}
const update = (slotId, controls, paths, why) =>
  ({ update: { slot: { slotId, controls }, updateMask: paths.join(), reason: why } });
async function draft(name, of) {
  return (await callAs(name, "CreateDraft", { change: of })).draft.draftId;
}
const slotId = "basket-offers";
const demand = { approval: { changes: ["rules", "goal", "reset", "controls.floor", "controls.holdout", "controls.half_life"] } };
await callAs("anna", "UpdateSlot", { slot: { slotId, controls: demand }, updateMask: "controls.approval", reason: "four eyes", author: "anna" });
const applied = await draft("ben", update(slotId, { floor: 0.04 }, ["controls.floor"], "new arms starve"));
const stale = await draft("ben", update(slotId, { holdout: 0.05 }, ["controls.holdout"], "less is enough to compare with"));
await callAs("carla", "ApproveDraft", { slotId, draftId: applied, reason: "looks right" });
await callAs("ben", "ApplyDraft", { slotId, draftId: applied });
const sale = "For the sale week. The discount team asked for it on Monday, the numbers of last year speak for it, and it is taken back on the first of December.";
const open = await draft("ben", update(slotId, { floor: 0.08, halfLife: "604800s", holdout: 0.05 }, ["controls.floor", "controls.halfLife", "controls.holdout"], sale));
const approved = await draft("ben", update(slotId, { floor: 0.05 }, ["controls.floor"], "a little wider"));
await callAs("carla", "ApproveDraft", { slotId, draftId: approved, reason: "as discussed" });
const scheduled = await draft("ben", update(slotId, { holdout: 0.15 }, ["controls.holdout"], "measure the campaign"));
await callAs("carla", "ApproveDraft", { slotId, draftId: scheduled, reason: "ok" });
await callAs("ben", "ApplyDraft", { slotId, draftId: scheduled, applyTime: new Date(Date.now() + 2 * 86_400_000).toISOString() });
const discarded = await draft("ben", update(slotId, { floor: 0.2 }, ["controls.floor"], "a slip of the finger"));
await callAs("ben", "DiscardDraft", { slotId, draftId: discarded, reason: "not this much" });
await draft("anna", { resetArm: { slotId, armId: "ten-percent-off", reason: "it was priced wrong for a day" } });
await draft("anna", { rename: { slotId: "home-teaser", newSlotId: "home-page-teaser-above-the-fold", reason: "one name in all systems" } });
const draftPages = [open, approved, scheduled, stale, applied, discarded].map((number) => `/slots/${slotId}/drafts/${number}`);
paths.push("/drafts", "/drafts?ended=on", ...draftPages, "/slots/home-teaser/drafts/1");
for (const [width, colorScheme] of [[360, "light"], [1280, "light"], [1280, "dark"]]) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  await signIn(page);
  const shoot = async (name) => {
    const suffix = colorScheme === "dark" ? `${width}-dark` : width;
    await page.screenshot({ path: join(folder, pictureName(name, suffix)), fullPage: true });
  };
  for (const path of paths) {
    await page.goto(base + path, { waitUntil: "networkidle" });
    await shoot(path);
  }
  for (const [path, name] of [[preview, "/change-previewed"], [rule, "/rule-previewed"], [tried, "/tried"]]) {
    await page.goto(base + path, { waitUntil: "networkidle" });
    await shoot(name);
  }
  await compare(page);
  await shoot("/compared");
  await context.close();
}

// Pictures for the documents, which show the upper part of a page.
const documents = join(folder, "documents");
mkdirSync(documents, { recursive: true });
const context = await browser.newContext({ viewport: { width: 1_100, height: 840 }, colorScheme: "light" });
const page = await context.newPage();
await signIn(page);
const shown = [["/", "slots"], ["/slots/basket-offers", "now"], ["/slots/basket-offers/arms", "arms"], [preview, "change"], [rule, "rule"]];
for (const [path, name] of shown) {
  await page.goto(base + path, { waitUntil: "networkidle" });
  await page.screenshot({ path: join(documents, `${name}.png`) });
}
await compare(page);
await page.evaluate(() => scrollTo(0, 0));
await page.screenshot({ path: join(documents, "compare.png") });
await browser.close();
service.stop();
