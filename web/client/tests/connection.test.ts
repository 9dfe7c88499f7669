import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Why } from "../troupe";
import { FakeSocket, makeClient, nextSocket, settle, welcome } from "./fake_socket";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe("a connection", () => {
  test("is opened by its first use, says who it is, and is open when the server answers", async () => {
    const client = makeClient({ client: "test/1", getToken: async () => "secret" });
    expect(client.state).toBe("closed");
    client.connect();
    expect(client.state).toBe("connecting");
    const socket = await welcome();
    expect(socket.protocols).toEqual(["troupe.v1.json"]);
    expect(socket.only("connect")).toMatchObject({ client: "test/1", token: "secret" });
    expect(client.state).toBe("open");
  });

  test("says how long memberships wait for the next one, if the application does", async () => {
    makeClient({ resumeGrace: 0 }).connect();
    expect((await welcome()).only("connect").resume_grace_ms).toBe(0);
    FakeSocket.all = [];
    makeClient().connect();
    expect((await welcome()).only("connect")).not.toHaveProperty("resume_grace_ms");
  });

  test("that is lost is opened again after a random wait between the bounds, which grow to the upper one", async () => {
    for (const random of [0, 0.5, 0.999999]) {
      FakeSocket.all = [];
      const waits: number[] = [];
      const client = makeClient({ random: () => random });
      client.on("state", (state, why: Why) => state === "backoff" && waits.push(why.retryInMs as number));
      client.connect();
      for (let attempt = 0; attempt < 9; ++attempt) {
        FakeSocket.last.die();
        await vi.advanceTimersByTimeAsync(waits.at(-1) as number);
        expect(FakeSocket.all.length).toBe(attempt + 2);
      }
      const longest = (attempt: number): number => Math.min(20_000, 200 * 3 ** (attempt + 1));
      expect(waits).toEqual(Array.from({ length: 9 }, (_, attempt) => 200 + random * (longest(attempt) - 200)));
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(200);
      expect(Math.max(...waits)).toBeLessThanOrEqual(20_000);
      client.close();
    }
  });

  test("begins with short waits again after 30 s of health, not before", async () => {
    const waits: number[] = [];
    const client = makeClient({ random: () => 1, watchdog: 1e9 });
    client.on("state", (state, why: Why) => state === "backoff" && waits.push(why.retryInMs as number));
    client.connect();
    for (const health of [29_000, 31_000]) {
      FakeSocket.last.die();
      await nextSocket();
      await welcome();
      await vi.advanceTimersByTimeAsync(health);
    }
    FakeSocket.last.die();
    expect(waits).toEqual([600, 1_800, 600]);
  });

  test("is given up when the server says that it wants no other", async () => {
    for (const code of [4003, 4500, 4506, 4999]) {
      FakeSocket.all = [];
      const client = makeClient();
      client.connect();
      const socket = await welcome();
      const failed = client.produce("t", { value: 1 });
      socket.die(code, "no");
      await expect(failed).rejects.toMatchObject({ code: "closed" });
      expect(client.state).toBe("closed");
      await vi.advanceTimersByTimeAsync(60_000);
      expect(FakeSocket.all.length).toBe(1);
    }
  });

  test("is taken up again after every other code", async () => {
    for (const code of [1000, 1001, 1006, 4000, 4001, 4002, 4004, 4005, 4499]) {
      FakeSocket.all = [];
      const client = makeClient();
      client.connect();
      (await welcome()).die(code);
      expect(client.state).toBe("backoff");
      await nextSocket();
      expect(FakeSocket.all.length).toBe(2);
    }
  });

  test("that is silent is asked, and dropped after 40 s", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    await vi.advanceTimersByTimeAsync(26_000);
    expect(socket.of("ping").length).toBe(1);
    await vi.advanceTimersByTimeAsync(13_000);
    expect(client.state).toBe("open");
    await vi.advanceTimersByTimeAsync(1_001);
    expect(client.state).toBe("backoff");
    expect(socket.closed).toBe(true);
  });

  test("that answers pings stays", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    for (let turn = 0; turn < 10; ++turn) {
      await vi.advanceTimersByTimeAsync(25_000);
      const ping = socket.of("ping").at(-1);
      if (ping) socket.ok(ping, { now: 1 });
    }
    expect(client.state).toBe("open");
    expect(FakeSocket.all.length).toBe(1);
  });

  test("that does not come about in time is tried again", async () => {
    const client = makeClient();
    client.connect();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.state).toBe("backoff");
    FakeSocket.last.open(); // too late: nobody listens
    await settle();
    expect(FakeSocket.last.sent).toEqual([]);
  });

  test("moves to a node named by goaway within the time it gives, and home again when that node fails", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    socket.push({ ev: "goaway", within_ms: 10_000, nodes: ["wss://b.example/v1/ws", "javascript:no"] });
    await vi.advanceTimersByTimeAsync(2_499);
    expect(FakeSocket.all.length).toBe(1);
    await vi.advanceTimersByTimeAsync(2);
    expect(FakeSocket.last.url).toBe("wss://b.example/v1/ws");
    FakeSocket.last.die();
    await nextSocket();
    expect(FakeSocket.last.url).toBe("ws://node/v1/ws");
  });

  test("goes to the node that goaway named when the connection is lost before the time is up", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    socket.push({ ev: "goaway", within_ms: 10_000, nodes: ["ws://b.example/v1/ws"] });
    await vi.advanceTimersByTimeAsync(100);
    socket.die(4000);
    await nextSocket();
    expect(FakeSocket.last.url).toBe("ws://b.example/v1/ws");
  });

  test("stays with a node that goes away and names no other, until that node closes it", async () => {
    const client = makeClient();
    const told: number[] = [];
    client.on("goaway", (within) => told.push(within));
    client.connect();
    const socket = await welcome();
    socket.push({ ev: "goaway", within_ms: 2_000, nodes: [] });
    await vi.advanceTimersByTimeAsync(3_000);
    expect([told, client.state, FakeSocket.all.length]).toEqual([[2_000], "open", 1]);
    socket.die(1001);
    await nextSocket();
    expect(FakeSocket.all.length).toBe(2);
  });

  test("is opened at once when the network is back, and asked when the network goes", async () => {
    const browser = new EventTarget();
    vi.stubGlobal("addEventListener", browser.addEventListener.bind(browser));
    const client = makeClient({ minDelay: 2_000 });
    client.connect();
    FakeSocket.last.die();
    await vi.advanceTimersByTimeAsync(10);
    browser.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(1_001); // half of the shortest wait, instead of the whole of a longer one
    expect(FakeSocket.all.length).toBe(2);
    const second = await welcome();
    browser.dispatchEvent(new Event("offline"));
    second.ok(second.only("ping"), { now: 1 });
    await vi.advanceTimersByTimeAsync(6_000);
    expect(client.state).toBe("open"); // a loopback needs no network
    browser.dispatchEvent(new Event("offline"));
    await vi.advanceTimersByTimeAsync(5_001);
    expect(client.state).toBe("backoff");
    client.close();
    browser.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(60_000);
    expect([client.state, FakeSocket.all.length]).toEqual(["closed", 2]);
  });

  test("survives whatever is not a frame", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    socket.push("{", "null", "[]", "7", '"x"', "", { ev: "future" }, { re: 99, ok: {} }, { re: "x" });
    socket.push({ ev: "records" }, { ev: "records", sub: "s9" });
    socket.onmessage?.({ data: new ArrayBuffer(3) });
    socket.onmessage?.({ data: undefined });
    expect(client.state).toBe("open");
  });

  test("is closed by its owner for good", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    const call = client.history("t");
    client.close();
    await expect(call).rejects.toMatchObject({ code: "closed" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([client.state, socket.closed, FakeSocket.all.length]).toEqual(["closed", true, 1]);
  });

  test("refused by name is not asked for again; an expired token is", async () => {
    for (const [err, state] of [
      [{ code: "forbidden", num: 40301, msg: "no", retry: false }, "closed"],
      [{ code: "token_expired", num: 40101, msg: "old", retry: false }, "backoff"],
      [{ code: "overloaded", num: 50302, msg: "later", retry: true }, "backoff"],
    ] as const) {
      const client = makeClient();
      client.connect();
      FakeSocket.last.open();
      await settle();
      FakeSocket.last.err(FakeSocket.last.only("connect"), err);
      await settle();
      expect(client.state).toBe(state);
    }
  });
});
