// A real service for a file of tests, on loopback, in a folder of its own.
//
// SLOTWISE names the program (default target/debug/slotwise).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const program = process.env.SLOTWISE ?? join(import.meta.dirname, "../../target/debug/slotwise");

export class Service {
  // Starts a service with the lines of a configuration.
  static async start(config = "") {
    const service = new Service();
    service.folder = mkdtempSync(join(tmpdir(), "slotwise-clients-"));
    writeFileSync(join(service.folder, "slotwise.toml"), config);
    await service.serve("127.0.0.1:0");
    return service;
  }

  // Serves the folder on an address.
  async serve(address) {
    const file = join(this.folder, "slotwise.toml");
    const ports = ["--grpc-address", "127.0.0.1:0", "--http-address", address];
    const data = join(this.folder, "data");
    this.process = spawn(program, ["serve", "--config", file, ...ports, "--shutdown-delay", "0s", "--data", data]);
    this.url = await new Promise((resolve, reject) => {
      let text = "";
      this.process.stdout.on("data", (part) => {
        text += part;
        const found = /HTTP on ([0-9.:]+)/.exec(text);
        if (found) resolve(`http://${found[1]}`);
      });
      this.process.on("exit", () => reject(new Error("the service ended")));
    });
    await this.until(async () => (await fetch(`${this.url}/readyz`)).ok);
  }

  // Ends the service, does something, and serves the same folder on the same address again.
  async restart(meanwhile) {
    const ended = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.kill("SIGTERM");
    await ended;
    await meanwhile();
    await this.serve(this.url.slice("http://".length));
  }

  async until(holds) {
    for (let tries = 0; tries < 400; tries += 1) {
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.fail(`it never came true: ${holds}`);
  }

  async call(method, body) {
    const answer = await fetch(`${this.url}/v1/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const json = await answer.json();
    assert.ok(answer.ok, `${method}: ${JSON.stringify(json)}`);
    return json;
  }

  // Creates a slot without a holdout.
  async create(slot) {
    await this.call("CreateSlot", { slot: { controls: { holdout: 0 }, ...slot } });
  }

  async report(slotId) {
    return (await this.call("GetSlotReport", { slotId })).report;
  }

  // Waits until a slot has that many decisions and rewards. Decisions are applied after they were answered.
  async untilCounts(slotId, decisions, rewards) {
    await this.until(async () => {
      const report = await this.report(slotId);
      return Number(report.decisions ?? 0) === decisions && Number(report.rewards ?? 0) === rewards;
    });
  }

  stop() {
    this.process?.kill("SIGKILL");
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }
}
