#!/usr/bin/env node
// A server with as much of `troupe.v1` as the pages need, in memory and on one file: what the client and the pages are tested
// against where there is no node.   fake_server.mjs [--port N] [--data FILE] [--no-feed]
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { scheduler } from "node:timers/promises";
import { parseArgs } from "node:util";

const web = path.join(import.meta.dirname, "..", "..", "web");
const { WebSocketServer } = createRequire(path.join(web, "package.json"))("ws");
const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    data: { type: "string" },
    "no-feed": { type: "boolean", default: false },
  },
});

// --- the log ----------------------------------------------------------------------------------------------------------------------

/** topic -> partitions -> records {p, o, ts, k, v, h} */
const topics = new Map([
  ["DriverLocations", [[], [], []]],
  ["ChatMessages", [[], [], [], []]],
]);
/** "pid/seq" -> the record's place: a retry is answered with it. */
const produced = new Map();
const listeners = new Set();

function partitionOf(key, count) {
  let hash = 0;
  for (const byte of Buffer.from(key ?? "")) hash = (hash * 31 + byte) >>> 0;
  return hash % count;
}

function append(topic, { key, value, headers, ts, id }) {
  const known = id && produced.get(id);
  if (known) return { ...known, dup: true };
  const partitions = topics.get(topic);
  const p = partitionOf(key, partitions.length);
  const record = {
    p,
    o: partitions[p].length,
    ts: ts ?? Date.now(),
    k: key ?? null,
    v: value,
    ...(headers && { h: headers }),
  };
  // Written before it is acknowledged: it survives kill -9.
  if (options.data) appendFileSync(options.data, `${JSON.stringify({ topic, record, id })}\n`);
  remember(topic, record, id);
  for (const listener of listeners) listener(topic, record);
  return { p, o: record.o, ts: record.ts, dup: false };
}

function remember(topic, record, id) {
  topics.get(topic)[record.p][record.o] = record;
  if (id) produced.set(id, { p: record.p, o: record.o, ts: record.ts });
}

function load() {
  if (!options.data || !existsSync(options.data)) return;
  for (const line of readFileSync(options.data, "utf8").split("\n").slice(0, -1)) {
    const { topic, record, id } = JSON.parse(line);
    remember(topic, record, id);
  }
}

const ends = (topic) => topics.get(topic).map((records) => records.length);
const encodeCursor = (topic, offsets) => Buffer.from(JSON.stringify([topic, offsets])).toString("base64url");
const decodeCursor = (cursor) => JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"))[1];

// --- what moves -------------------------------------------------------------------------------------------------------------------

function seedChat() {
  if (ends("ChatMessages").some((end) => end > 0)) return;
  const lines = readFileSync(path.join(web, "data", "demo", "chat.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  lines.forEach(({ room, from, text }, index) =>
    append("ChatMessages", {
      key: room,
      value: { from, text },
      ts: Date.now() - (lines.length - index) * 45_000,
    }),
  );
}

/** Every driver once a second, a tenth of them at a time. Where a driver is follows from the time alone. */
function feedDrivers() {
  const { lines, drivers, track } = JSON.parse(readFileSync(path.join(web, "data", "demo", "drivers.json"), "utf8"));
  const metres = ([lon, lat]) => [lon * 69_300, lat * 111_320];
  const routes = lines.map(({ points }) => {
    const lengths = points
      .slice(1)
      .map((point, index) => Math.hypot(...metres(point).map((value, axis) => value - metres(points[index])[axis])));
    return {
      points,
      lengths,
      total: lengths.reduce((sum, length) => sum + length, 0),
    };
  });
  const positionOn = ({ points, lengths, total }, way) => {
    let left = way % (2 * total);
    const back = left > total;
    if (back) left = 2 * total - left;
    let index = 0;
    while (index < lengths.length - 1 && left > lengths[index]) left -= lengths[index++];
    const [from, to] = [points[index], points[index + 1]];
    const part = left / lengths[index];
    const [east, north] = metres(to).map((value, axis) => value - metres(from)[axis]);
    const heading = ((Math.atan2(east, north) * 180) / Math.PI + (back ? 540 : 360)) % 360;
    return {
      lon: from[0] + (to[0] - from[0]) * part,
      lat: from[1] + (to[1] - from[1]) * part,
      heading,
    };
  };
  const move = ({ id, line, start, speed_mps }) => {
    const { lon, lat, heading } = positionOn(
      routes[line],
      start * routes[line].total + (speed_mps * (Date.now() % 864e5)) / 1000,
    );
    report(id, { lat, lon, speed: speed_mps, heading, line: lines[line].name });
  };
  const sail = () => {
    const time = ((Date.now() / 1000) * 20) % track.at(-1)[0];
    const index = Math.max(
      1,
      track.findIndex(([at]) => at >= time),
    );
    const [before, after] = [track[index - 1], track[index]];
    const part = (time - before[0]) / (after[0] - before[0]);
    const [north, east] = [(after[1] - before[1]) * 111_320, (after[2] - before[2]) * 55_660];
    const at = {
      lat: before[1] + (after[1] - before[1]) * part,
      lon: before[2] + (after[2] - before[2]) * part,
    };
    report("plaka", {
      ...at,
      speed: 2.6,
      heading: ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360,
      line: "plaka",
    });
  };
  const report = (key, position) => append("DriverLocations", { key, value: { ...position, at: Date.now() } });
  const everybody = [...drivers.map((driver) => () => move(driver)), sail];
  let turn = 0;
  for (const one of everybody) one();
  setInterval(() => {
    everybody.forEach((one, index) => index % 10 === turn && one());
    turn = (turn + 1) % 10;
  }, 100);
}

// --- sockets ----------------------------------------------------------------------------------------------------------------------

class Session {
  #subscriptions = new Map();

  constructor(socket) {
    this.socket = socket;
    const listener = (topic, record) => this.#publish(topic, record);
    listeners.add(listener);
    socket.on("message", (data) => {
      for (const line of String(data).split("\n")) this.#command(JSON.parse(line));
    });
    socket.on("close", () => {
      listeners.delete(listener);
      for (const { timer } of this.#subscriptions.values()) clearInterval(timer);
    });
  }

  #send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  #command({ id, op, ...fields }) {
    const { ok = {}, err, after } = this.#answer(op, fields);
    const reply = () => id !== undefined && this.#send(err ? { re: id, err } : { re: id, ok });
    // A produce is answered a little after it was written, as by a disk: a kill in between leaves the client in doubt.
    if (op === "produce") void scheduler.wait(40).then(reply);
    else reply();
    after?.();
  }

  #answer(op, fields) {
    const limits = { subs: 128, produce_inflight: 64 };
    if (op === "connect")
      return {
        ok: {
          session: "s-1",
          node: 1,
          ping_ms: 25_000,
          max_frame: 1_572_864,
          resumed: false,
          limits,
        },
      };
    if (op === "ping") return { ok: { now: Date.now() } };
    const topic = fields.topic ?? fields.topics?.[0];
    if (topic && !topics.has(topic))
      return {
        err: {
          code: "unknown_topic",
          num: 40401,
          msg: "Topic not found.",
          retry: false,
        },
      };
    if (op === "produce")
      return {
        ok: append(topic, {
          ...fields,
          id: fields.pid && `${fields.pid}/${fields.seq}`,
        }),
      };
    if (op === "history") return { ok: this.#history(topic, fields) };
    if (op === "subscribe") return this.#subscribe(topic, fields);
    if (op === "unsubscribe") {
      clearInterval(this.#subscriptions.get(fields.sub)?.timer);
      this.#subscriptions.delete(fields.sub);
      return {};
    }
    return op === "credit"
      ? {}
      : {
          err: {
            code: "bad_request",
            num: 400,
            msg: `unknown op ${op}`,
            retry: false,
          },
        };
  }

  #history(topic, { before, keys, limit = 50 }) {
    const to = before ? decodeCursor(before) : ends(topic);
    const older = topics.get(topic).flatMap((records, p) => records.slice(0, to[p]).filter(({ k }) => !keys || keys.includes(k)));
    older.sort((a, b) => a.ts - b.ts || a.o - b.o);
    const records = older.slice(-limit);
    for (const { p, o } of records) to[p] = Math.min(to[p], o);
    return {
      records,
      cursor: encodeCursor(topic, to),
      end: older.length <= limit,
    };
  }

  #subscribe(topic, { sub, from = {}, keys, snapshot, slow }) {
    const partitions = topics.get(topic);
    const wanted = ({ k }) => !keys || keys.includes(k);
    let start = ends(topic);
    if (from.cursor) start = decodeCursor(from.cursor);
    if (from.earliest) start = start.map(() => 0);
    if (from.last) start = decodeCursor(this.#history(topic, { keys, limit: from.last }).cursor);
    const cursor = encodeCursor(topic, start);
    const subscription = {
      sub,
      topic,
      wanted,
      next: ends(topic),
      pending: new Map(),
      conflate: slow?.policy === "conflate",
    };
    const deliver = () => {
      const push = (phase, r, c) => this.#send({ ev: "records", sub, phase, r, c });
      if (snapshot === "latest_per_key") {
        const latest = new Map(
          partitions
            .flat()
            .filter(wanted)
            .map((record) => [record.k, record]),
        );
        push("snapshot", [...latest.values()], encodeCursor(topic, subscription.next));
      } else {
        const replay = partitions.flatMap((records, p) => records.slice(start[p], subscription.next[p]).filter(wanted));
        // At most 100 a frame; a frame's cursor stands behind its records and before the next frame's.
        const at = [...start];
        for (let index = 0; index < replay.length; index += 100) {
          const part = replay.slice(index, index + 100);
          for (const { p, o } of part) at[p] = o + 1;
          push("replay", part, encodeCursor(topic, at));
        }
      }
      this.#send({ ev: "sub", sub, state: "caught_up" });
      this.#subscriptions.set(sub, subscription);
      if (subscription.conflate) subscription.timer = setInterval(() => this.#flush(subscription), 1000 / (slow.max_rate ?? 10));
    };
    return {
      ok: {
        sub,
        cursor,
        partitions: { [topic]: partitions.map((_, p) => p) },
        state: snapshot ? "snapshot" : "replay",
      },
      after: deliver,
    };
  }

  #publish(topic, record) {
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.topic !== topic) continue;
      subscription.next[record.p] = record.o + 1;
      if (!subscription.wanted(record)) continue;
      subscription.pending.set(subscription.conflate ? record.k : subscription.pending.size, record);
      if (!subscription.conflate) this.#flush(subscription);
    }
  }

  #flush({ sub, topic, pending, next }) {
    if (pending.size === 0) return;
    this.#send({
      ev: "records",
      sub,
      phase: "live",
      r: [...pending.values()],
      c: encodeCursor(topic, next),
    });
    pending.clear();
  }
}

// --- pages ------------------------------------------------------------------------------------------------------------------------

function loadPages() {
  const dist = path.join(web, "dist");
  const lines = readFileSync(path.join(dist, "manifest.txt"), "utf8").trim().split("\n");
  return new Map(
    lines.map((line) => {
      const [file, ...type] = line.split(" ");
      return [`/${file}`.replace(/index\.html$/, ""), { body: readFileSync(path.join(dist, file)), type: type.join(" ") }];
    }),
  );
}

const security = {
  "Content-Security-Policy":
    "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

function serve() {
  const pages = loadPages();
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    if (url.pathname === "/readyz") return response.writeHead(200).end();
    const lists = { "/v1/topics": { topics: [] }, "/v1/groups": { groups: [] } };
    if (lists[url.pathname])
      return response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(lists[url.pathname]));
    const page = pages.get(url.pathname);
    if (!page)
      return response.writeHead(404, { "Content-Type": "application/json" }).end('{"error_code":404,"message":"no such page"}');
    return response
      .writeHead(200, {
        ...security,
        "Content-Type": page.type,
        "Cache-Control": "no-cache",
      })
      .end(page.body);
  });
  const sockets = new WebSocketServer({
    server,
    path: "/v1/ws",
    handleProtocols: () => "troupe.v1.json",
  });
  sockets.on("connection", (socket) => new Session(socket));
  server.listen(Number(options.port), "127.0.0.1", () => console.log(`ready http://127.0.0.1:${server.address().port}`));
}

load();
seedChat();
if (!options["no-feed"]) feedDrivers();
serve();
