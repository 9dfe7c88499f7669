import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Gap, TroupeRecord } from "../troupe";
import { FakeSocket, makeClient, nextSocket, records, settle, subscribed, welcome } from "./fake_socket";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Kills the last socket and waits until the next one is open. */
async function reconnect(): Promise<FakeSocket> {
  FakeSocket.last.die();
  await nextSocket();
  return welcome();
}

describe("a subscription", () => {
  test("says what it wants, and hands over records", async () => {
    const client = makeClient();
    const got: TroupeRecord[] = [];
    client.subscribe("t", { keys: ["k"], from: { last: 50 }, slow: "conflate", format: "json" }, (record) => got.push(record));
    const socket = await welcome();
    const frame = await subscribed(socket);
    expect(frame).toMatchObject({ topics: ["t"], keys: ["k"], from: { last: 50 }, slow: { policy: "conflate" }, format: "json" });
    expect(frame.credit).toBeUndefined();
    socket.push({
      ev: "records",
      sub: frame.sub,
      phase: "replay",
      c: "c",
      r: [
        { p: 1, o: 2, ts: 3, k: "k", v: { a: 1 }, h: { x: "y" } },
        {
          p: 1,
          o: 3,
          kb: "AAE=",
          vb: "/w==",
          hb: [
            ["n", "eA=="],
            ["z", null],
          ],
        },
        { p: 1, o: 4, k: "k", del: true },
      ],
    });
    expect(got[0]).toEqual({
      topic: "t",
      partition: 1,
      offset: 2,
      timestamp: 3,
      key: "k",
      value: { a: 1 },
      headers: { x: "y" },
      deleted: false,
      phase: "replay",
    });
    expect(got[1]).toMatchObject({ key: new Uint8Array([0, 1]), value: new Uint8Array([255]), headers: { n: "x", z: "" } });
    expect(got[2]).toMatchObject({ value: null, deleted: true });
  });

  test("continues behind the last frame, and keeps repeated records to itself", async () => {
    const client = makeClient();
    const got: number[] = [];
    const subscription = client.subscribe<number>("t", { from: { earliest: true } }, ({ value }) => got.push(value));
    const first = await welcome();
    const { sub } = await subscribed(first, { cursor: "c0" });
    first.push(records(sub, [0, 1]), records(sub, [2]));
    const second = await reconnect();
    expect(second.only("subscribe").from).toEqual({ cursor: "c3" });
    await subscribed(second);
    second.push(records(sub, [2, 3], { phase: "replay" }), records(sub, [4]));
    expect(got).toEqual([0, 1, 2, 3, 4]);
    expect(subscription.duplicates).toBe(1);
  });

  test("continues at its start when no frame had come, and where progress had led it", async () => {
    const client = makeClient();
    client.subscribe("t", {}, () => undefined);
    const { sub } = await subscribed(await welcome(), { cursor: "start" });
    const second = await reconnect();
    expect(second.only("subscribe").from).toEqual({ cursor: "start" });
    await subscribed(second);
    second.push({ ev: "progress", sub, c: "far" });
    expect((await reconnect()).only("subscribe").from).toEqual({ cursor: "far" });
  });

  test("asks for a snapshot again when it broke off, and not when it was whole", async () => {
    const client = makeClient();
    const got: string[] = [];
    client.subscribe<string>("t", { snapshot: "latest_per_key", slow: "conflate" }, ({ value }) => got.push(value));
    const first = await welcome();
    const { sub } = await subscribed(first, { cursor: "x", state: "snapshot" });
    first.push({
      ev: "records",
      sub,
      phase: "snapshot",
      c: "s",
      r: [
        { p: 0, o: 9, k: "a", v: "a9" },
        { p: 0, o: 4, k: "b", v: "b4" },
      ],
    });
    const second = await reconnect();
    expect(second.only("subscribe")).toMatchObject({ from: { latest: true }, snapshot: "latest_per_key" });
    await subscribed(second, { cursor: "x", state: "snapshot" });
    const again = [
      { p: 0, o: 9, k: "a", v: "a9" },
      { p: 0, o: 2, k: "c", v: "c2" },
    ];
    second.push({ ev: "records", sub, phase: "snapshot", c: "s", r: again });
    second.push({ ev: "sub", sub, state: "caught_up" });
    const third = await reconnect();
    expect(third.only("subscribe").from).toEqual({ cursor: "s" });
    expect(third.only("subscribe").snapshot).toBeUndefined();
    expect(got).toEqual(["a9", "b4", "c2"]);
  });

  test("that is conflated takes each key's records in their order, however the keys are mixed", async () => {
    const client = makeClient();
    const got: string[] = [];
    client.subscribe<string>("t", { slow: { policy: "conflate" } }, ({ value }) => got.push(value));
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    const mixed = [
      { p: 0, o: 12, k: "a", v: "a12" },
      { p: 0, o: 11, k: "b", v: "b11" },
      { p: 0, o: 10, k: "a", v: "a10" },
    ];
    socket.push({ ev: "records", sub, c: "1", r: mixed });
    expect(got).toEqual(["a12", "b11"]);
  });

  test("tells of gaps and resets", async () => {
    const client = makeClient();
    const gaps: Gap[] = [];
    const got: unknown[] = [];
    client.subscribe("t", { onGap: (gap) => gaps.push(gap) }, ({ value }) => got.push(value));
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    const lost = { t: { 0: { from: 6, to: 9 } } };
    socket.push(records(sub, [5]), { ev: "sub", sub, state: "gap", partitions: lost, reason: "retention", action: "continue" });
    socket.push(records(sub, [9]), { ev: "sub", sub, state: "reset" }, records(sub, [7]));
    expect(gaps).toEqual([
      { reason: "retention", partitions: { t: { 0: { from: 6, to: 9 } } }, action: "continue" },
      { reason: "reset", partitions: {} },
    ]);
    expect(got).toEqual([5, 9, 7]);
  });

  test("begins afresh when the server refuses its cursor, and says so", async () => {
    const client = makeClient();
    const gaps: Gap[] = [];
    client.subscribe("t", { from: { cursor: "old" }, otherwise: { last: 10 }, onGap: (gap) => gaps.push(gap) }, () => undefined);
    const socket = await welcome();
    const [frame] = socket.of("subscribe");
    expect(frame?.from).toEqual({ cursor: "old" });
    socket.err(frame as never, { code: "out_of_range", num: 416, msg: "old", retry: false });
    await settle();
    expect(socket.of("subscribe")[1]?.from).toEqual({ last: 10 });
    expect(gaps).toEqual([{ reason: "out_of_range", partitions: {}, action: "restart" }]);
  });

  test("that gets no answer asks on another connection, and keeps its position", async () => {
    const client = makeClient();
    client.subscribe("t", {}, () => undefined);
    const first = await welcome();
    await subscribed(first, { cursor: "c0" });
    const second = await reconnect();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(second.closed).toBe(true);
    await nextSocket();
    expect((await welcome()).only("subscribe").from).toEqual({ cursor: "c0" });
  });

  test("that the server ends goes on when the reason passes, and fails when it does not", async () => {
    const client = makeClient();
    const subscription = client.subscribe("t", {}, () => undefined);
    const errors: string[] = [];
    subscription.on("error", ({ code }) => errors.push(code));
    const socket = await welcome();
    const { sub } = await subscribed(socket, { cursor: "c0" });
    socket.push(records(sub, [0]), {
      ev: "sub",
      sub,
      state: "ended",
      err: { code: "no_leader", num: 40404, retry: true, after_ms: 100 },
    });
    await vi.advanceTimersByTimeAsync(1_000);
    const [, again] = socket.of("subscribe");
    expect(again?.from).toEqual({ cursor: "c1" });
    socket.ok(again as never, { sub });
    socket.push({ ev: "sub", sub, state: "ended", err: { code: "unknown_topic", num: 40401, msg: "gone", retry: false } });
    await settle();
    expect([errors, subscription.state]).toEqual([["unknown_topic"], "ended"]);
  });

  test("waits for a leader, but not for a topic that does not exist", async () => {
    const client = makeClient();
    const subscription = client.subscribe("t", {}, () => undefined);
    const errors: string[] = [];
    subscription.on("error", ({ code }) => errors.push(code));
    const socket = await welcome();
    socket.err(socket.only("subscribe"), { code: "no_leader", num: 40404, retry: true, after_ms: 700 });
    await vi.advanceTimersByTimeAsync(699);
    expect(socket.of("subscribe").length).toBe(1);
    await vi.advanceTimersByTimeAsync(2);
    socket.err(socket.of("subscribe")[1] as never, { code: "unknown_topic", num: 40401, retry: false });
    await settle();
    expect([errors, subscription.state]).toEqual([["unknown_topic"], "ended"]);
    expect((await reconnect()).of("subscribe")).toEqual([]);
  });

  test("keeps what it cannot read to itself, and a listener's error too", async () => {
    const complaint = vi.spyOn(console, "error").mockImplementation(() => undefined);
    const client = makeClient();
    const got: unknown[] = [];
    client.subscribe("t", {}, ({ value }) => {
      got.push(value);
      if (value === 1) throw new Error("listener");
    });
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    const unreadable = [null, 3, { p: "0", o: 1 }, { p: 0 }, { p: 0, o: 0, vb: "%" }];
    socket.push({ ev: "records", sub }, { ev: "records", sub, r: [...unreadable, { p: 0, o: 1, v: 1 }, { p: 0, o: 2, v: 2 }] });
    expect(got).toEqual([1, 2]);
    expect(complaint).toHaveBeenCalledOnce();
  });

  test("that was closed hears nothing more", async () => {
    const client = makeClient();
    const got: unknown[] = [];
    const subscription = client.subscribe("t", {}, ({ value }) => got.push(value));
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    subscription.close();
    socket.push(records(sub, [1]));
    expect(socket.only("unsubscribe").sub).toBe(sub);
    expect(got).toEqual([]);
    expect((await reconnect()).of("subscribe")).toEqual([]);
  });
});

describe("a loop over a subscription", () => {
  test("returns credit as it asks for more, and never takes more than the window", async () => {
    const client = makeClient();
    const subscription = client.subscribe<number>("t", { credit: { msgs: 4, bytes: 1000 } });
    const loop = subscription[Symbol.asyncIterator]();
    const socket = await welcome();
    const { sub, credit } = await subscribed(socket);
    expect(credit).toEqual({ msgs: 4, bytes: 1000 });
    socket.push(records(sub, [0, 1, 2, 3]));
    expect(socket.of("credit")).toEqual([]);
    expect((await loop.next()).value?.value).toBe(0);
    expect((await loop.next()).value?.value).toBe(1);
    expect(socket.of("credit")).toEqual([]); // the second is still being worked on
    expect((await loop.next()).value?.value).toBe(2);
    expect(socket.of("credit")).toEqual([{ op: "credit", sub, msgs: 2, bytes: 0 }]);
    await loop.next();
    const waiting = loop.next();
    socket.push(records(sub, [4]));
    expect((await waiting).value?.value).toBe(4);
    const granted = socket.of("credit").reduce((sum, frame) => sum + (frame.msgs as number), 4);
    expect(granted).toBeLessThanOrEqual(4 + 4);
    expect(granted).toBeGreaterThanOrEqual(4 + 2);
  });

  test("asks for less after a reconnect while records wait, and gets the whole window in the end", async () => {
    const client = makeClient();
    const loop = client.subscribe<number>("t", { credit: { msgs: 4 } })[Symbol.asyncIterator]();
    const first = await welcome();
    const { sub } = await subscribed(first);
    first.push(records(sub, [0, 1, 2]));
    const second = await reconnect();
    expect(second.only("subscribe").credit).toEqual({ msgs: 1 });
    await subscribed(second);
    for (const wanted of [0, 1, 2]) expect((await loop.next()).value?.value).toBe(wanted);
    void loop.next();
    const granted = second.of("credit").reduce((sum, frame) => sum + (frame.msgs as number), 1);
    expect(granted).toBeGreaterThanOrEqual(3);
    expect(granted).toBeLessThanOrEqual(4);
  });

  test("does not return after a reconnect what it had read before", async () => {
    const client = makeClient();
    const loop = client.subscribe<number>("t", { credit: { msgs: 8 } })[Symbol.asyncIterator]();
    const first = await welcome();
    const { sub } = await subscribed(first);
    first.push(records(sub, [0, 1, 2]));
    for (let index = 0; index < 3; ++index) await loop.next();
    const second = await reconnect();
    expect(second.only("subscribe").credit).toEqual({ msgs: 8 });
    await subscribed(second);
    void loop.next();
    second.push(records(sub, [3, 4]));
    await loop.next();
    void loop.next();
    expect(second.of("credit")).toEqual([]); // two of eight: not yet half a window
  });

  test("does not run dry on repeated records", async () => {
    const client = makeClient();
    const loop = client.subscribe<number>("t", { credit: { msgs: 2 } })[Symbol.asyncIterator]();
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    const first = loop.next();
    socket.push(records(sub, [0]));
    await first;
    void loop.next();
    socket.push(records(sub, [0, 0]));
    expect(socket.of("credit").reduce((sum, frame) => sum + (frame.msgs as number), 0)).toBeGreaterThanOrEqual(3);
  });

  test("ends by break, and unsubscribes", async () => {
    const client = makeClient();
    const subscription = client.subscribe<number>("t");
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    socket.push(records(sub, [0, 1]));
    for await (const { value } of subscription) {
      expect(value).toBe(0);
      break;
    }
    expect(socket.only("unsubscribe").sub).toBe(sub);
  });

  test("ends with the client, and fails with the subscription", async () => {
    const client = makeClient();
    const ends = client.subscribe("t")[Symbol.asyncIterator]().next();
    const socket = await welcome();
    await subscribed(socket);
    const failing = client.subscribe("u")[Symbol.asyncIterator]().next();
    await settle();
    const refused = expect(failing).rejects.toMatchObject({ code: "unknown_topic" });
    socket.err(socket.of("subscribe")[1] as never, { code: "unknown_topic", num: 40401, retry: false });
    await refused;
    client.close();
    expect(await ends).toEqual({ done: true, value: undefined });
  });
});

describe("resume", () => {
  test("keeps the cursor of what was read, not of what merely came", async () => {
    const kept = new Map<string, string>();
    const setItem = (key: string, value: string): unknown => kept.set(key, value);
    vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem });
    const client = makeClient();
    const loop = client.subscribe("t", { from: "resume", otherwise: { earliest: true }, name: "mine" })[Symbol.asyncIterator]();
    const socket = await welcome();
    const { sub, from } = await subscribed(socket);
    expect(from).toEqual({ earliest: true });
    socket.push(records(sub, [0]), records(sub, [1]));
    await loop.next();
    await vi.advanceTimersByTimeAsync(300);
    expect(kept.size).toBe(0);
    await loop.next(); // the first frame is done with
    await vi.advanceTimersByTimeAsync(300);
    expect(kept.get("troupe:mine")).toBe("c1");

    const other = makeClient();
    other.subscribe("t", { from: "resume", name: "mine" }, () => undefined);
    expect((await welcome()).only("subscribe").from).toEqual({ cursor: "c1" });
  });
});
