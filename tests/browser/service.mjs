// A service of its own on free ports, a headless browser, and calls of the API. Everything is on loopback.
//
// SLOTWISE names the program (default target/debug/slotwise), and CHROMIUM the browser (default /usr/bin/chromium).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const program = process.env.SLOTWISE ?? join(import.meta.dirname, "../../target/debug/slotwise");
const flags = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
  "disable-component-update", "disable-sync"].map((flag) => `--${flag}`);

export async function startService() {
  const folder = mkdtempSync(join(tmpdir(), "slotwise-browser-"));
  const pages = join(folder, "pages");
  mkdirSync(pages);
  const ports = ["--grpc-address", "127.0.0.1:0", "--http-address", "127.0.0.1:0"];
  const data = ["--data", join(folder, "data"), "--simulations", pages];
  const process = spawn(program, ["serve", ...ports, "--shutdown-delay", "0s", ...data]);
  const base = await new Promise((resolve, reject) => {
    let text = "";
    process.stdout.on("data", (part) => {
      text += part;
      const found = /HTTP on ([0-9.:]+)/.exec(text);
      if (found) resolve(`http://${found[1]}`);
    });
    process.on("exit", () => reject(new Error("the service ended")));
  });

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

  function stop() {
    process.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }

  return { base, call, pages, pid: process.pid, stop };
}

export function startBrowser() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
}

export function slotPages(slot) {
  const pages = ["", "/arms", "/arm", "/segments", "/series?step=five_minutes", "/change", "/rules", "/rule", "/rule?effect=pin",
    "/compare", "/try", "/drafts", "/history"];
  return pages.map((page) => `/slots/${slot}${page}`);
}

// Name of a picture of a page.
export function pictureName(path, width) {
  const [page, query] = path.split("?");
  const words = `${page}${query ? `-${query.split("=")[0]}` : ""}`;
  return `${words.replaceAll("/", "-").replace(/^-/, "") || "slots"}-${width}.png`;
}
