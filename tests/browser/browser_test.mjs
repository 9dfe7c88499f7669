#!/usr/bin/env node
// The pages in a real Chromium.
//
//   browser_test.mjs [--url URL --kill COMMAND --start COMMAND] [--screenshots DIRECTORY] [--only WORDS]
//
// Without --url against the fake server, which it starts, kills and restarts itself. COMMANDs are run by `sh -c`; --kill ends the
// server with SIGKILL, --start starts it again on the same port and data and returns. Without them the case that needs them is
// skipped. Also as TROUPE_URL, TROUPE_KILL, TROUPE_START, TROUPE_SCREENSHOTS.
// Exit code: 0 passed, 1 failed, 77 skipped (no Chromium, or the packages of web/package.json are not installed).
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { setInterval } from "node:timers/promises";
import { parseArgs, promisify } from "node:util";
import { makeCases } from "./cases.mjs";

const root = path.join(import.meta.dirname, "..", "..");
const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: process.env.TROUPE_URL },
    kill: { type: "string", default: process.env.TROUPE_KILL },
    start: { type: "string", default: process.env.TROUPE_START },
    screenshots: { type: "string", default: process.env.TROUPE_SCREENSHOTS },
    only: { type: "string", default: "" },
    chromium: {
      type: "string",
      default: process.env.CHROMIUM ?? "/usr/bin/chromium",
    },
  },
});

const case_ms = 60_000;

/** Waits until `condition` gives something, at most `ms`. */
export async function until(what, condition, ms = 10_000) {
  const deadline = Date.now() + ms;
  for await (const _ of setInterval(25)) {
    const result = await condition();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
  }
}

async function isReady(url) {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

/** The fake server as a process of ours. */
class FakeServer {
  #child;
  #folder = mkdtempSync(path.join(tmpdir(), "troupe-browser-"));
  #port = "0";

  async start() {
    const script = path.join(import.meta.dirname, "fake_server.mjs");
    const args = [script, "--port", this.#port, "--data", path.join(this.#folder, "log")];
    this.#child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    this.#child.stdout.on("data", (data) => (said += data));
    [, this.url] = await until("the fake server is ready", () => /ready (http:\S+)/.exec(said));
    this.#port = new URL(this.url).port;
  }

  async kill() {
    const child = this.#child;
    child.kill("SIGKILL");
    await until("the fake server is gone", () => child.signalCode !== null);
  }

  async end() {
    await this.kill();
    rmSync(this.#folder, { recursive: true });
  }
}

/** A server that others started. */
class OtherServer {
  constructor(url) {
    this.url = url.replace(/\/$/, "");
    this.can_restart = Boolean(options.kill && options.start);
    this.has_groups = true;
  }
  async kill() {
    await promisify(execFile)("sh", ["-c", options.kill], { timeout: 10_000 });
    await until("the server is gone", async () => !(await isReady(this.url)));
  }
  async start() {
    // Not awaited: the command may stay in the foreground.
    spawn("sh", ["-c", options.start], {
      stdio: "ignore",
      detached: true,
    }).unref();
    await until("the server is back", () => isReady(this.url), 30_000);
  }
  async end() {}
}

/** A package of web/package.json. */
function load(name, take = (require) => require(name)) {
  try {
    return take(createRequire(path.join(root, "web", "package.json")));
  } catch {
    console.log(`SKIPPED: machine has no npm package ${name}: run 'npm ci --ignore-scripts' in web/`);
    process.exit(77);
  }
}

async function startServer() {
  if (options.url) {
    const other = new OtherServer(options.url);
    await until("the server is ready", () => isReady(other.url), 30_000);
    return other;
  }
  const fake = new FakeServer();
  fake.can_restart = true;
  await fake.start();
  return fake;
}

async function runCase({ name, run }, context) {
  const started = Date.now();
  const deadline = AbortSignal.timeout(case_ms);
  const expired = new Promise((_, reject) =>
    deadline.addEventListener("abort", () => reject(new Error(`not over within ${case_ms} ms`))),
  );
  try {
    const skipped = await Promise.race([run(context), expired]);
    console.log(`${skipped ? `skip    ${name}: ${skipped}` : `ok      ${name}`} (${Date.now() - started} ms)`);
    return true;
  } catch (error) {
    console.log(`FAILED  ${name} (${Date.now() - started} ms)\n${error.stack}`);
    return false;
  }
}

async function main() {
  const { chromium } = load("playwright-core");
  const { WebSocket } = load("ws");
  const axe = load("axe-core", (require) => readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  if (!existsSync(options.chromium)) {
    console.log(`SKIPPED: machine has no ${options.chromium}`);
    process.exit(77);
  }
  if (options.screenshots) mkdirSync(options.screenshots, { recursive: true });
  const server = await startServer();
  const browser = await chromium.launch({
    executablePath: options.chromium,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-quic",
    ],
  });
  let failed = 0;
  try {
    const client = await import(path.join(root, "web", "dist", "troupe.js"));
    for (const one of makeCases({ until, WebSocket, axe, ...client })) {
      if (!one.name.includes(options.only)) continue;
      const tabs = [];
      if (
        !(await runCase(one, {
          browser,
          server,
          tabs,
          screenshots: options.screenshots,
        }))
      )
        ++failed;
      for (const tab of tabs) await tab.close();
    }
  } finally {
    await browser.close();
    await server.end();
  }
  console.log(failed === 0 ? "browser: passed" : `browser: ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

await main();
