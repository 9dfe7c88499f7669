import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { FakeSocket, makeClient, nextSocket, settle, welcome } from "./fake_socket";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => vi.useRealTimers());

const written = (o: number, dup = false): object => ({ p: 3, o, ts: 7, dup });

describe("produce", () => {
  test("sends the record with the client's id and a sequence number, and tells where it is", async () => {
    const client = makeClient();
    const first = client.produce("t", { key: "k", value: { a: 1 }, headers: { h: "x" } }, { acks: "leader" });
    const second = client.produce("t", { key: new Uint8Array([1]), value: new Uint8Array([255]) });
    const socket = await welcome();
    const [one, two] = socket.of("produce");
    expect(one).toMatchObject({
      topic: "t",
      key: "k",
      value: { a: 1 },
      headers: { h: "x" },
      acks: "leader",
      pid: client.pid,
      seq: 1,
    });
    expect(two).toMatchObject({ kb: "AQ==", vb: "/w==", pid: client.pid, seq: 2 });
    socket.ok(one as never, written(1042));
    socket.ok(two as never, written(1043, true));
    expect(await first).toEqual({ partition: 3, offset: 1042, timestamp: 7, duplicate: false });
    expect((await second).duplicate).toBe(true);
  });

  test("repeats what was not answered with the same numbers, in order and before anything new", async () => {
    const client = makeClient();
    client.connect();
    const first = await welcome();
    const results = ["a", "b", "c"].map((value) => client.produce("t", { value }));
    first.ok(first.of("produce")[1] as never, written(1));
    await settle();
    first.die();
    results.push(client.produce("t", { value: "d" }));
    await nextSocket();
    const second = await welcome();
    const repeated = second.of("produce").map(({ value, seq, pid }) => [value, seq, pid]);
    expect(repeated).toEqual([
      ["a", 1, client.pid],
      ["c", 3, client.pid],
      ["d", 4, client.pid],
    ]);
    second.of("produce").forEach((frame, index) => second.ok(frame, written(10 + index, index === 0)));
    expect((await Promise.all(results)).map(({ offset }) => offset)).toEqual([10, 1, 11, 12]);
  });

  test("keeps the number when the outcome is unknown, and takes a new one when nothing was written", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    const unknown = client.produce("t", { value: "u" });
    socket.err(socket.of("produce")[0] as never, { code: "outcome_unknown", num: 50005, retry: false });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(socket.of("produce").map(({ seq }) => seq)).toEqual([1, 1]);
    socket.err(socket.of("produce")[1] as never, { code: "overloaded", num: 50302, retry: true, after_ms: 3_000 });
    await vi.advanceTimersByTimeAsync(2_999);
    expect(socket.of("produce").length).toBe(2);
    await vi.advanceTimersByTimeAsync(2);
    expect(socket.of("produce")[2]?.seq).toBe(1); // it may be there from the first time
    socket.ok(socket.of("produce")[2] as never, written(5, true));
    expect(await unknown).toMatchObject({ offset: 5, duplicate: true });

    const refused = client.produce("t", { value: "r" });
    socket.err(socket.of("produce")[3] as never, { code: "no_leader", num: 40404, retry: true });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(
      socket
        .of("produce")
        .slice(3)
        .map(({ seq }) => seq),
    ).toEqual([2, 3]);
    socket.ok(socket.of("produce")[4] as never, written(6));
    expect(await refused).toMatchObject({ offset: 6 });
  });

  test("keeps the number of what was under way when the connection was lost, whatever the server says next", async () => {
    const client = makeClient();
    client.connect();
    const first = await welcome();
    void client.produce("t", { value: "x" });
    first.die();
    await nextSocket();
    const second = await welcome();
    second.err(second.only("produce"), { code: "overloaded", num: 50302, retry: true, after_ms: 100 });
    await vi.advanceTimersByTimeAsync(1_000);
    expect([...first.of("produce"), ...second.of("produce")].map(({ seq }) => seq)).toEqual([1, 1, 1]);
  });

  test("keeps the application's order when several are put off", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    for (const value of ["a", "b", "c"]) void client.produce("t", { value });
    for (const frame of socket.of("produce").reverse())
      socket.err(frame, { code: "rate_limited", num: 42901, retry: true, after_ms: 500 });
    await vi.advanceTimersByTimeAsync(600);
    expect(
      socket
        .of("produce")
        .slice(3)
        .map(({ value }) => value),
    ).toEqual(["a", "b", "c"]);
  });

  test("fails at once when trying again is of no use", async () => {
    const client = makeClient();
    client.connect();
    const socket = await welcome();
    const failed = client.produce("nope", { value: 1 });
    socket.err(socket.only("produce"), { code: "unknown_topic", num: 40401, msg: "Topic not found.", retry: false });
    await expect(failed).rejects.toMatchObject({
      code: "unknown_topic",
      num: 40401,
      message: "Topic not found.",
      seq: undefined,
    });
  });

  test("that is not answered in time names its number, and with it can be repeated without risk", async () => {
    const client = makeClient();
    const unsent = client.produce("t", { value: "never sent" }, { timeout: 100 });
    const unsent_fails = expect(unsent).rejects.toMatchObject({ code: "timeout", seq: undefined });
    await vi.advanceTimersByTimeAsync(100);
    await unsent_fails;

    const socket = await welcome();
    expect(socket.of("produce")).toEqual([]);
    const failed = client.produce("t", { value: "x" }, { timeout: 5_000 });
    const fails = expect(failed).rejects.toMatchObject({ code: "timeout", seq: 1 });
    await vi.advanceTimersByTimeAsync(5_000);
    await fails;
    const again = client.produce("t", { value: "x" }, { seq: 1 });
    expect(socket.of("produce").map(({ seq }) => seq)).toEqual([1, 1]);
    socket.ok(socket.of("produce")[1] as never, written(9, true));
    expect(await again).toMatchObject({ offset: 9, duplicate: true });
  });

  test("has no more under way than the server allows, and no more waiting than its bound", async () => {
    const client = makeClient({ maxQueue: 5 });
    client.connect();
    const socket = await welcome({ limits: { produce_inflight: 3 } });
    const results = [1, 2, 3, 4, 5].map((value) => client.produce("t", { value }));
    await expect(client.produce("t", { value: 6 })).rejects.toMatchObject({ code: "queue_full" });
    expect(socket.of("produce").length).toBe(2);
    for (let index = 0; index < 5; ++index) {
      socket.ok(socket.of("produce")[index] as never, written(index));
      await settle();
    }
    expect((await Promise.all(results)).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("history", () => {
  test("goes backwards by cursor", async () => {
    const client = makeClient();
    const page = client.history("t", { keys: ["k"], before: "c9", limit: 2 });
    const socket = await welcome();
    await settle();
    const frame = socket.only("history");
    expect(frame).toMatchObject({ topic: "t", keys: ["k"], before: "c9", limit: 2 });
    socket.ok(frame, { records: [{ p: 0, o: 7, v: 1 }, "junk"], cursor: "c7", end: false });
    expect(await page).toMatchObject({ records: [{ offset: 7, topic: "t" }], cursor: "c7", end: false });
  });

  test("fails in words when there is no connection", async () => {
    const client = makeClient();
    const fails = expect(client.history("t")).rejects.toMatchObject({ code: "disconnected" });
    await vi.advanceTimersByTimeAsync(10_000);
    await fails;
  });
});
