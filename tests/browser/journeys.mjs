// Journeys through the console, in a headless browser, with a real service. See service.mjs for the variables that it reads;
// SCREENSHOTS names a folder for a picture of each page.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { pictureName, slotPages, startBrowser, startService } from "./service.mjs";

// Time of any step.
const patience = 20_000;

let service, base, browser;
// Requests to other hosts, and errors of pages.
const foreign = [];
const faults = [];
const call = (method, body) => service.call(method, body);

before(async () => {
  service = await startService();
  ({ base } = service);
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  service?.stop();
});

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("request", (request) => {
    const { hostname } = new URL(request.url());
    if (hostname !== "127.0.0.1") foreign.push(request.url());
  });
  page.on("dialog", (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (why) => faults.push(String(why)));
  page.on("console", (message) => {
    // A page that is not found is an error that a test asks for.
    if (message.type() === "error" && !message.text().includes("404")) faults.push(message.text());
  });
  return page;
}

async function traffic(slotId, count) {
  let id;
  for (let i = 0; i < count; i += 1) {
    const context = { device: { text: i % 2 ? "phone" : "desktop" }, basket: { number: i } };
    const decided = await call("Decide", { slotId, subject: { id: `shopper-${i}` }, context });
    id = decided.decisionId;
    if (i % 3 === 0) {
      await call("RecordRewards", { events: [{ eventId: `${slotId}-${i}`, decisionId: id, kind: "click" }] });
    }
  }
  return id;
}

const controls = async (slotId) => (await call("GetSlot", { slotId })).slot.controls ?? {};

test("a first slot, from a template to the first decision, which shows by itself", async () => {
  const page = await open();
  await page.goto(base);
  await page.getByText("No slot yet").waitFor();
  await page.getByRole("link", { name: "New slot" }).click();
  await page.getByLabel("Id of the slot").fill("home");
  await page.getByLabel("Arms, one id on each line").fill("red\nblue\ngreen");
  await page.getByLabel("Why").fill("a first slot");
  await page.getByRole("button", { name: "Create the slot" }).click();
  await page.getByText("Waiting for the first decision").waitFor();
  await traffic("home", 6);
  // Without a reload.
  await page.getByText("Waiting for the first decision").waitFor({ state: "detached", timeout: 6_000 });
  await page.context().close();
});

test("a preview changes nothing, and what is applied can be undone", async () => {
  await traffic("home", 40);
  const page = await open();
  await page.goto(`${base}/slots/home/change`);
  await page.getByLabel("Floor, %", { exact: true }).fill("5");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByText("What it would have done").waitFor();
  assert.notEqual((await controls("home")).floor, 0.05);
  const shared = page.url();
  await page.getByLabel("Why").fill("to learn faster");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("to learn faster").first().waitFor();
  assert.equal((await controls("home")).floor, 0.05);
  await page.locator("#undo-reason").fill("not needed");
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("not needed").first().waitFor();
  assert.notEqual((await controls("home")).floor, 0.05);
  assert.ok(shared.includes("floor=5"), "the address of the preview holds the draft");
  await page.context().close();
});

test("two editors do not overwrite each other silently", async () => {
  const [first, second] = [await open(), await open()];
  for (const [page, value] of [[first, "0.5"], [second, "2"]]) {
    await page.goto(`${base}/slots/home/change`);
    await page.getByLabel("Exploration", { exact: true }).fill(value);
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByLabel("Why").fill(`exploration ${value}`);
  }
  await first.getByRole("button", { name: "Apply" }).click();
  await first.getByText("exploration 0.5").first().waitFor();
  await second.getByRole("button", { name: "Apply" }).click();
  await second.getByRole("alert").getByText("changed it last").waitFor();
  assert.equal((await controls("home")).exploration, 0.5);
  assert.equal(await second.getByLabel("Exploration", { exact: true }).inputValue(), "2", "the draft stays");
  await first.context().close();
  await second.context().close();
});

test("an arm is paused and the safe choice switched, without a script", async () => {
  const page = await open({ javaScriptEnabled: false });
  await page.goto(`${base}/slots/home`);
  await page.getByRole("row", { name: /red/ }).getByText("Pause", { exact: true }).click();
  await page.getByLabel("Why red").fill("sold out");
  await page.getByRole("row", { name: /red/ }).getByRole("button", { name: "Pause it" }).click();
  await page.getByText("red (off)").waitFor();
  await page.getByText("Resume", { exact: true }).waitFor();
  await page.locator("#safe-reason").fill("an alarm");
  await page.getByRole("button", { name: "Switch it on" }).click();
  await page.getByRole("button", { name: "Switch it off" }).waitFor();
  assert.equal((await controls("home")).safeChoice, true);
  await page.locator("#safe-reason").fill("it is over");
  await page.getByRole("button", { name: "Switch it off" }).click();
  await page.getByRole("button", { name: "Switch it on" }).waitFor();
  await page.context().close();
});

test("a decision is explained, and what a shopper would get is tried", async () => {
  const id = await traffic("home", 3);
  const page = await open();
  await page.goto(`${base}/decisions`);
  await page.getByLabel("Id of the decision").fill(id);
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("All arms at the first position").waitFor();
  await page.goto(`${base}/slots/home/try`);
  await page.getByLabel("Context of a shopper").fill("device = phone\nbasket = 12");
  await page.getByRole("button", { name: "Try it" }).click();
  await page.getByText("All arms at the first position").waitFor();
  await page.context().close();
});

test("a text from outside is never run", async () => {
  const nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  const arms = [{ armId: nasty }, { armId: "b" }];
  const goal = { kinds: [{ kind: "click", weight: 1 }] };
  await call("CreateSlot", { slot: { slotId: "nasty", displayName: nasty, arms, goal }, reason: nasty, author: nasty });
  let id;
  for (let i = 0; i < 35; i += 1) {
    const decided = await call("Decide", { slotId: "nasty", subject: { id: nasty }, context: { device: { text: nasty } } });
    id = decided.decisionId;
  }
  const page = await open();
  for (const path of ["/", ...slotPages("nasty"), `/decisions?id=${id}`, `/?find=${encodeURIComponent(nasty)}`]) {
    await page.goto(base + path);
    assert.equal(await page.locator("img, script:not([src])").count(), 0, path);
  }
  await page.context().close();
});

test("a policy is compared, and becomes a draft", async () => {
  const goal = { kinds: [{ kind: "click", weight: 1, cap: 1 }], window: "1s" };
  const arms = ["red", "blue"].map((armId) => ({ armId }));
  await call("CreateSlot", { slot: { slotId: "compared", arms, goal, controls: { floor: 0.3, holdout: 0 } } });
  await traffic("compared", 400);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await traffic("compared", 1);
  const page = await open();
  await page.goto(`${base}/slots/compared/compare`);
  await page.getByLabel("The draft below").check();
  await page.getByLabel("Floor, %").fill("45");
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByRole("heading", { name: "Reward per decision" }).waitFor();
  await page.getByRole("row", { name: /Always ‘red’/ }).waitFor();
  await page.getByRole("row", { name: /^Draft/ }).getByRole("link", { name: "Make it a draft" }).click();
  await page.getByText("What it would have done").waitFor();
  assert.equal(await page.getByLabel("Floor, %", { exact: true }).inputValue(), "45");
  assert.equal((await controls("compared")).floor, 0.3, "nothing was changed");
  await page.context().close();
});

test("a rule is written with a mistake, mended, tried, applied and paused", async () => {
  const page = await open();
  await page.goto(`${base}/slots/home/rules`);
  await page.getByRole("link", { name: "New rule" }).click();
  await page.getByRole("link", { name: "Keep away" }).click();
  await page.getByLabel("Name").fill("no red on phones");
  const condition = page.getByLabel("Condition", { exact: true });
  await condition.fill('context.device == "phone" && arm.idd == "red"');
  await page.getByRole("button", { name: "Check and preview" }).click();
  await page.getByText("What it would have done").waitFor();
  await condition.fill('context.device == "phone" && arms.id == "red"');
  await page.getByRole("button", { name: "Check and preview" }).click();
  await page.getByRole("alert").getByText("Condition: line 1").waitFor();
  await condition.fill('context.device == "phone" && arm.id == "red"');
  await page.getByRole("button", { name: "Check and preview" }).click();
  await page.getByText("On the last request").waitFor();
  assert.equal((await call("GetSlot", { slotId: "home" })).slot.rules, undefined, "nothing was changed");
  await page.getByLabel("Why").fill("they never click");
  await page.getByRole("button", { name: "Apply" }).click();
  // The counts come by themselves.
  await page.getByText(/Has an effect in [0-9.]+\s% of the last/).waitFor();
  await page.getByText("Change this rule").click();
  await page.getByLabel("Why").fill("a test");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("paused").waitFor();
  assert.equal((await call("GetSlot", { slotId: "home" })).slot.rules[0].paused, true);
  await page.context().close();
});

test("an arm is added with a payload, and removed, without a script", async () => {
  const page = await open({ javaScriptEnabled: false });
  await page.goto(`${base}/slots/home/arms`);
  await page.getByRole("link", { name: "New arm" }).click();
  await page.getByLabel("Id", { exact: true }).fill("yellow");
  await page.getByLabel("Attributes, one on each line").fill("brand = acme");
  await page.getByLabel("Payload, as JSON").fill('{"title": "Sun"}');
  await page.getByLabel("Shown until (UTC)").fill("2099-12-24T18:30");
  await page.getByRole("button", { name: "Check and preview" }).click();
  await page.getByText("Fields that a program gets").waitFor();
  await page.getByLabel("Why").fill("summer");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("heading", { name: "home: yellow" }).waitFor();
  const ids = async () => (await call("ListArms", { slotId: "home" })).arms.map((arm) => arm.armId);
  assert.ok((await ids()).includes("yellow"));
  await page.getByLabel("Why").fill("over");
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("heading", { name: "home: arms" }).waitFor();
  assert.ok(!(await ids()).includes("yellow"));
  await page.context().close();
});

test("the last decisions show by themselves, and lead to their explanation", async () => {
  const page = await open();
  await page.goto(`${base}/slots/home`);
  await traffic("home", 2);
  const shopper = `shopper-live-${Date.now()}`;
  const { decisionId } = await call("Decide", { slotId: "home", subject: { id: shopper } });
  const row = page.getByRole("row", { name: new RegExp(shopper) });
  await row.waitFor({ timeout: 6_000 });
  await row.getByRole("link").click();
  assert.ok(page.url().includes(encodeURIComponent(decisionId)) || page.url().includes(decisionId));
  await page.getByText("All arms at the first position").waitFor();
  await page.context().close();
});

test("a page is sent what changes, and asks for it where it is sent nothing", async () => {
  for (const streams of [true, false]) {
    const page = await open();
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    if (!streams) await page.addInitScript(() => { EventSource = class extends EventTarget { constructor() {
      super();
      this.readyState = 2;
      setTimeout(() => this.dispatchEvent(new Event("error")));
    } close() {} }; EventSource.CLOSED = 2; });
    await page.goto(`${base}/slots/home`);
    await page.waitForTimeout(500);
    const visits = () => asked.filter((path) => path === "/slots/home").length;
    assert.equal(visits(), 1);
    const shopper = `shopper-sent-${streams}-${Date.now()}`;
    await call("Decide", { slotId: "home", subject: { id: shopper } });
    await page.getByRole("row", { name: new RegExp(shopper) }).waitFor({ timeout: 6_000 });
    assert.equal(asked.includes("/live"), streams);
    assert.equal(visits() > 1, !streams, "with a stream the page is not asked for again");
    await page.context().close();
  }
});

test("a preview follows the sliders, and the numbers are what counts", async () => {
  const page = await open();
  await page.goto(`${base}/slots/home/change`);
  const before = await controls("home");
  const slider = page.getByLabel("Exploration, slider");
  const number = page.getByLabel("Exploration", { exact: true });
  await slider.focus();
  const begun = Date.now();
  for (let i = 0; i < 12; i += 1) await page.keyboard.press("ArrowRight");
  await page.getByRole("button", { name: "Apply" }).waitFor();
  console.log(`# a preview came ${Date.now() - begun} ms after the first of 12 moves`);
  const shown = Number(await number.inputValue());
  assert.ok(shown > (before.exploration ?? 1), `the number follows the slider: ${shown}`);
  await page.waitForURL(new RegExp(`exploration=${shown}`));
  assert.ok((await page.locator("#said").textContent()).includes("Expected reward per decision"));
  await page.getByLabel("Why").fill("a reason that stays");
  await number.fill("2.5");
  await page.waitForURL(/exploration=2\.5/);
  assert.equal(await slider.inputValue(), "2.5");
  assert.equal(await page.getByLabel("Why").inputValue(), "a reason that stays");
  await page.getByLabel("Floor, %", { exact: true }).fill("99");
  await page.getByRole("alert").getByText("Floor:").waitFor();
  assert.deepEqual(await controls("home"), before, "nothing was changed");
  await page.context().close();
});

test("the safe choice of all slots is switched on and taken back", async () => {
  const page = await open();
  await page.goto(base);
  await page.getByText("Safe choice for all slots").click();
  await page.getByLabel("to confirm").fill("all");
  await page.getByLabel("Why").fill("prices are wrong");
  await page.getByRole("button", { name: "Switch it on in all slots" }).click();
  await page.getByRole("alert").getByText("Nothing was changed").waitFor();
  assert.equal(await page.getByLabel("Why").inputValue(), "prices are wrong");
  await page.getByLabel("to confirm").fill("all slots");
  await page.getByRole("button", { name: "Switch it on in all slots" }).click();
  await page.getByText(/Switched on in \d slots?/).waitFor();
  assert.equal((await controls("home")).safeChoice, true);
  await page.goto(base);
  await page.getByRole("link", { name: "Where, since when and why" }).click();
  await page.getByLabel("Why").fill("mended");
  await page.getByRole("button", { name: /Switch it off in \d slots?/ }).click();
  await page.getByText(/Switched off in \d slots?/).waitFor();
  assert.notEqual((await controls("home")).safeChoice, true);
  await page.context().close();
});

test("a figure leads to its section of the help", async () => {
  const page = await open();
  await page.goto(`${base}/slots/home/arms`);
  await page.getByText("What the figures mean").click();
  await page.getByRole("link", { name: "More about if everybody got it" }).click();
  await page.getByRole("heading", { name: "If everybody got it" }).waitFor();
  assert.ok(page.url().endsWith("/help/reading-the-report#if-everybody-got-it"), page.url());
  await page.context().close();
});

test("a change is sent for approval, approved by another person and applied", async () => {
  const locked = await startService();
  try {
    const { base } = locked;
    const signIn = async (key) => {
      const page = await open();
      await page.goto(`${base}/sign-in`);
      await page.getByLabel("Key").fill(key);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("button", { name: "Sign out" }).waitFor();
      return page;
    };
    const made = async (page, name, kind) => {
      await page.goto(`${base}/keys`);
      await page.getByLabel("Name").fill(name);
      if (kind) await page.getByLabel("For", { exact: true }).selectOption(kind);
      await page.getByRole("button", { name: "Create the key" }).click();
      return page.locator("code.key").textContent();
    };
    const goal = { kinds: [{ kind: "click", weight: 1, cap: 1 }] };
    await locked.call("CreateSlot", { slot: { slotId: "offers", arms: [{ armId: "a" }, { armId: "b" }], goal } });
    for (let i = 0; i < 40; i += 1) await locked.call("Decide", { slotId: "offers", subject: { id: `s-${i}` } });
    const nobody = await open();
    const admin = await made(nobody, "admin");
    await nobody.context().close();
    await new Promise((resolve) => setTimeout(resolve, 600));
    const headers = { "content-type": "application/json", authorization: `Bearer ${admin}` };
    const slot = { slotId: "offers", controls: { approval: { changes: ["controls.floor"] } } };
    const demand = { slot, updateMask: "controls.approval" };
    const answer = await fetch(`${base}/v1/UpdateSlot`, { method: "POST", headers, body: JSON.stringify(demand) });
    assert.equal(answer.status, 200, await answer.text());
    const administrator = await signIn(admin);
    const keys = [await made(administrator, "ann", "editor"), await made(administrator, "bob", "approver")];
    await administrator.context().close();
    await new Promise((resolve) => setTimeout(resolve, 600));
    const [ann, bob] = [await signIn(keys[0]), await signIn(keys[1])];

    await ann.goto(`${base}/slots/offers/change`);
    await ann.getByLabel("Floor, %", { exact: true }).fill("8");
    await ann.getByLabel("Why").fill("arms starve");
    await ann.getByRole("button", { name: "Send for approval" }).click();
    await ann.getByText("It waits for somebody else to approve it").waitFor();
    await bob.goto(`${base}/drafts`);
    for (const width of [360, 1280]) {
      await bob.setViewportSize({ width, height: 900 });
      const over = await bob.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `a page with drafts is ${over} px too wide at ${width}`);
      const found = await new AxeBuilder({ page: bob }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
      assert.deepEqual(found.violations.map(({ id, nodes }) => `${id} ${nodes[0].target}`), []);
    }
    await bob.getByRole("link", { name: "offers, draft 1" }).click();
    await bob.getByText("What it would have done").waitFor();
    await bob.getByLabel("Why").fill("looks right");
    await bob.getByRole("button", { name: "Approve" }).click();
    await bob.getByText("It is approved, and waits to be applied").waitFor();
    await ann.reload();
    for (const page of [ann, bob]) {
      const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
      assert.deepEqual(found.violations.map(({ id, nodes }) => `${id} ${nodes[0].target}`), []);
    }
    await ann.getByRole("button", { name: "Apply now" }).click();
    await ann.getByText("It was applied, and became").waitFor();
    await ann.getByRole("link", { name: /revision \d/ }).first().click();
    await ann.getByText("arms starve").first().waitFor();
    for (const page of [ann, bob]) await page.context().close();
  } finally {
    locked.stop();
  }
});

test("a page of the simulator runs in a sandbox", async () => {
  const script = `<!DOCTYPE html><title>before</title><p id="out"></p><script>
    let cookie; try { cookie = document.cookie; } catch { cookie = "refused"; }
    document.title = "ran"; document.getElementById("out").textContent = cookie;
    fetch("/v1/ListSlots").catch(() => { document.body.append("no fetch"); });
  </script>`;
  writeFileSync(join(service.pages, "offer.html"), script);
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${base}/simulations`);
  await page.getByRole("link", { name: "offer" }).click();
  await page.getByText("no fetch").waitFor();
  assert.equal(await page.title(), "ran");
  assert.equal(await page.locator("#out").textContent(), "refused");
  await page.context().close();
});

test("keys are made and revoked in the browser", async () => {
  const locked = await startService();
  try {
    const page = await open();
    await page.goto(`${locked.base}/keys`);
    await page.getByLabel("Name").fill("anna");
    await page.getByRole("button", { name: "Create the key" }).click();
    const key = await page.locator("code.key").textContent();
    await new Promise((resolve) => setTimeout(resolve, 600));
    await page.goto(`${locked.base}/keys`);
    await page.getByLabel("Key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Name").fill("vera");
    await page.getByLabel("For", { exact: true }).selectOption("viewer");
    await page.getByRole("button", { name: "Create the key" }).click();
    await page.locator("code.key").waitFor();
    const found = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(found.violations.map(({ id }) => id), []);
    const row = page.getByRole("row", { name: /vera/ });
    await row.getByText("Revoke", { exact: true }).click();
    await row.getByRole("button", { name: "Revoke it for good" }).click();
    await page.getByRole("row", { name: /vera .* revoked/ }).waitFor();
    await page.context().close();
  } finally {
    locked.stop();
  }
});

test("every page is accessible and fits at three widths, in light and in dark", async () => {
  const preview = "/slots/home/change?revision=0&exploration=2&floor=5&holdout=&half_life=&mode=on&preview=1";
  const when = encodeURIComponent('context.device == "phone"');
  const rule = `/slots/home/rule?revision=0&effect=boost&factor=2&name=more&when=${when}&preview=1`;
  const { decisionId } = await call("Decide", { slotId: "home", context: { device: { text: "phone" } } });
  const paths = ["/", "/new", "/drafts", "/safe-choice", "/help", "/help/reading-the-report", "/system", "/keys", "/simulations", "/decisions", `/decisions?id=${decisionId}`, preview, rule,
    "/slots/home/arm?id=red", "/slots/nowhere", ...slotPages("home")];
  for (const [width, colorScheme] of [[360, "light"], [768, "dark"], [1280, "light"]]) {
    const page = await open({ viewport: { width, height: 900 }, colorScheme });
    for (const path of paths) {
      await page.goto(base + path);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${path} is ${over} px too wide at ${width}`);
      const found = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
      const violations = found.violations.map(({ id, nodes }) => `${id} ${nodes[0].target}`);
      assert.deepEqual(violations, [], `${path} at ${width}`);
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: join(process.env.SCREENSHOTS, pictureName(path, width)), fullPage: true });
      }
    }
    await page.context().close();
  }
});

test("no page asks another host for anything, and none has an error", () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(faults, []);
});
