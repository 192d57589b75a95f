// Load figures of the console, printed as a table: the first byte and the whole page with 10,000 arms and with 5,000 slots, a preview,
// and what 50 open consoles cost, of one slot and of 50. No test asserts a time, so this runs by hand: `node load.mjs`, or for the
// consoles alone `node load.mjs consoles`. See service.mjs for the variables.
import { readFileSync } from "node:fs";
import { startService } from "./service.mjs";

const service = await startService();
const { base, call } = service;
const goal = { kinds: [{ kind: "click", weight: 1, cap: 1 }] };
const ids = (count, name) => Array.from({ length: count }, (_, i) => `${name}-${String(i).padStart(5, "0")}`);
const rows = [];
const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
const part = (values, p) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * p))];

async function timed(path) {
  const begun = performance.now();
  const answer = await fetch(base + path, { headers: { "accept-encoding": "gzip" } });
  const reader = answer.body.getReader();
  await reader.read();
  const first = performance.now() - begun;
  for (;;) if ((await reader.read()).done) break;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return [first, performance.now() - begun];
}

async function measure(name, path, times = 15) {
  await timed(path);
  const all = [];
  for (let i = 0; i < times; i += 1) all.push(await timed(path));
  rows.push({ page: name, "first byte, ms": middle(all.map(([first]) => first)).toFixed(1), "page, ms": middle(all.map(([, whole]) => whole)).toFixed(1) });
}

async function decide(slotId, i) {
  const context = { device: { text: i % 2 ? "phone" : "desktop" }, basket: { number: i % 100 } };
  const begun = performance.now();
  await call("Decide", { slotId, subject: { id: `shopper-${i}` }, context });
  return performance.now() - begun;
}

const two = ["a", "b"].map((armId) => ({ armId }));

async function pages() {
  const arms = ids(10_000, "arm").map((armId) => ({ armId, attributes: { price: { number: 1 } } }));
  await call("CreateSlot", { slot: { slotId: "many-arms", goal, arms: arms.slice(0, 100) } });
  for (let i = 100; i < arms.length; i += 2_000) await call("UpsertArms", { slotId: "many-arms", arms: arms.slice(i, i + 2_000) });
  for (let i = 0; i < 300; i += 1) await decide("many-arms", i);
  for (const page of ["", "/arms", "/arm?id=arm-05000", "/segments", "/series", "/rules", "/history", "/change", "/compare"]) {
    await measure(`10,000 arms: ${page || "/"}`, `/slots/many-arms${page}`);
  }

  for (let i = 0; i < 10_500; i += 1) await decide("offers", i);
  await measure("preview of 10,000 decisions", "/slots/offers/change?revision=1&exploration=2&floor=5&holdout=10&half_life=&mode=on&freeze=&preview=1");
  await measure("Now", "/slots/offers");

  for (const slotId of ids(5_000, "slot")) await call("CreateSlot", { slot: { slotId, goal, arms: two } });
  await measure("5,000 slots: /", "/");
  await measure("5,000 slots: /?find=slot-04", "/?find=slot-04");
  await measure("5,000 slots: a slot", "/slots/offers");
}

await call("CreateSlot", { slot: { slotId: "offers", goal, arms: ["a", "b", "c", "d"].map((armId) => ({ armId })) } });
if (process.argv[2] === "consoles") {
  for (const slotId of ids(50, "slot")) await call("CreateSlot", { slot: { slotId, goal, arms: two } });
  for (let i = 0; i < 1_000; i += 1) await decide("offers", i);
} else {
  await pages();
}

// Processor time of the service, seconds.
function used() {
  const fields = readFileSync(`/proc/${service.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function steady(seconds, consoles, slots = 1) {
  // Each open page has a stream of its own, as a browser has.
  const closed = new AbortController();
  let bytes = 0;
  const watched = slots === 1 ? ["offers"] : ids(slots, "slot");
  const watch = async (slot) => {
    const answer = await fetch(`${base}/live?page=${encodeURIComponent(`/slots/${slot}`)}`, { signal: closed.signal });
    if (!answer.ok) throw new Error(`/live: ${answer.status}`);
    try {
      for await (const part of answer.body) bytes += part.length;
    } catch (why) {
      if (!closed.signal.aborted) throw why;
    }
  };
  const watching = Array.from({ length: consoles }, (_, i) => watch(watched[i % watched.length]));
  const [cpu, begun, times] = [used(), performance.now(), []];
  for (let i = 0; performance.now() - begun < seconds * 1_000; i += 1) {
    times.push(await decide(watched[i % watched.length], i));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const wall = (performance.now() - begun) / 1_000;
  const cores = (used() - cpu) / wall;
  closed.abort();
  await Promise.all(watching);
  return { consoles, slots, "cores, %": (100 * cores).toFixed(1), "sent, kB/s": (bytes / 1_000 / wall).toFixed(0), "Decide p50, ms": part(times, 0.5).toFixed(2), "Decide p99, ms": part(times, 0.99).toFixed(2) };
}

const watched = [];
for (const [consoles, slots] of [[0, 1], [50, 1], [0, 50], [50, 50], [0, 1]]) watched.push(await steady(20, consoles, slots));
if (rows.length > 0) console.table(rows);
console.table(watched);
service.stop();
