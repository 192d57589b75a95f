// Journeys through the console, in a headless browser, with a real service.
//
// SLOTWISE names the program (default target/debug/slotwise), CHROMIUM the browser (default /usr/bin/chromium), and SCREENSHOTS a
// folder for a picture of each page. Everything is on loopback.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const program = process.env.SLOTWISE ?? join(import.meta.dirname, "../../target/debug/slotwise");
const flags = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
  "disable-component-update", "disable-sync"].map((flag) => `--${flag}`);
// Time of any step.
const patience = 20_000;

let service, folder, base, browser;
// Requests to other hosts, and errors of pages.
const foreign = [];
const faults = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "slotwise-browser-"));
  const ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
  service = spawn(program, ["serve", ...ports, "--shutdown-delay", "0s", "--data", join(folder, "data")]);
  base = await new Promise((resolve, reject) => {
    let text = "";
    service.stdout.on("data", (part) => {
      text += part;
      const found = /HTTP on ([0-9.:]+)/.exec(text);
      if (found) resolve(`http://${found[1]}`);
    });
    service.on("exit", () => reject(new Error("the service ended")));
  });
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: flags });
});

after(async () => {
  await browser?.close();
  service?.kill("SIGKILL");
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) foreign.push(request.url());
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

async function call(method, body) {
  const answer = await fetch(`${base}/v1/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const json = await answer.json();
  assert.ok(answer.ok, `${method}: ${JSON.stringify(json)}`);
  return json;
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
  await page.getByLabel("Floor, %").fill("5");
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
    await page.getByLabel("Exploration").fill(value);
    await page.getByRole("button", { name: "Preview" }).click();
    await page.getByLabel("Why").fill(`exploration ${value}`);
  }
  await first.getByRole("button", { name: "Apply" }).click();
  await first.getByText("exploration 0.5").first().waitFor();
  await second.getByRole("button", { name: "Apply" }).click();
  await second.getByRole("alert").getByText("changed it last").waitFor();
  assert.equal((await controls("home")).exploration, 0.5);
  assert.equal(await second.getByLabel("Exploration").inputValue(), "2", "the draft stays");
  await first.context().close();
  await second.context().close();
});

test("an arm is paused and the safe choice switched, without a script", async () => {
  const page = await open({ javaScriptEnabled: false });
  await page.goto(`${base}/slots/home`);
  await page.getByLabel("Why red").fill("sold out");
  await page.getByRole("button", { name: "Pause" }).first().click();
  await page.getByText("red (off)").waitFor();
  await page.getByRole("button", { name: "Resume" }).waitFor();
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

function slotPages(slot) {
  const pages = ["", "/arms", "/segments", "/series?step=five_minutes", "/change", "/rules", "/try", "/history"];
  return pages.map((page) => `/slots/${slot}${page}`);
}

test("every page is accessible and fits at three widths, in light and in dark", async () => {
  const preview = "/slots/home/change?revision=0&exploration=2&floor=5&holdout=&half_life=&mode=on&preview=1";
  const paths = ["/", "/new", "/system", "/decisions", preview, "/slots/nowhere", ...slotPages("home")];
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
        const name = path.split("?")[0].replaceAll("/", "-").replace(/^-/, "") || "slots";
        await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}-${width}.png`), fullPage: true });
      }
    }
    await page.context().close();
  }
});

test("no page asks another host for anything, and none has an error", () => {
  assert.deepEqual(foreign, []);
  assert.deepEqual(faults, []);
});
