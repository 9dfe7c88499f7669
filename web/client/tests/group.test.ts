import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Partitions } from "../troupe";
import { FakeSocket, makeClient, nextSocket, records, settle, subscribed, welcome } from "./fake_socket";

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.all = [];
});
afterEach(() => {
  vi.useRealTimers();
});

const assigned = (sub: unknown, partitions: Partitions): unknown => ({ ev: "sub", sub, state: "assigned", partitions });

describe("a member of a group", () => {
  test("joins, works on one record after the other, and acknowledges what is done", async () => {
    const client = makeClient();
    const begun: number[] = [];
    let finish = (): void => undefined;
    client.join<number>(
      "workers",
      "t",
      ({ value }) => {
        begun.push(value);
        return new Promise<void>((resolve) => (finish = resolve));
      },
      { otherwise: "earliest", instance: "w1" },
    );
    const socket = await welcome();
    const { sub, ...frame } = await subscribed(socket);
    expect(frame).toMatchObject({
      topics: ["t"],
      group: "workers",
      ack: "manual",
      instance: "w1",
      from: { committed: true, else: "earliest" },
      credit: { msgs: 256 },
    });
    socket.push(assigned(sub, { t: [0] }), records(sub, [5, 6]));
    await settle();
    expect(begun).toEqual([5]);
    finish();
    await settle();
    expect(begun).toEqual([5, 6]);
    await vi.advanceTimersByTimeAsync(100);
    expect(socket.only("ack")).toMatchObject({ sub, upto: { t: { 0: 5 } } });
  });

  test("finishes what it is at before it lets go of a partition, and drops what waits", async () => {
    const client = makeClient();
    const begun: number[] = [];
    let finish = (): void => undefined;
    const member = client.join<number>("workers", "t", ({ value }) => {
      begun.push(value);
      return new Promise<void>((resolve) => (finish = resolve));
    });
    const revoked: Partitions[] = [];
    member.on("revoked", (partitions) => revoked.push(partitions));
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    socket.push(assigned(sub, { t: [0] }), records(sub, [1, 2, 3]));
    await settle();
    socket.push({ ev: "sub", sub, state: "revoking", partitions: { t: [0] }, deadline_ms: 5000 });
    expect(socket.of("revoked")).toEqual([]);
    finish();
    await settle();
    expect(begun).toEqual([1]);
    expect(socket.sent.slice(-2)).toMatchObject([
      { op: "ack", upto: { t: { 0: 1 } } },
      { op: "revoked", partitions: { t: [0] } },
    ]);
    socket.push({ ev: "sub", sub, state: "revoked", partitions: { t: [0] }, in_time: true });
    expect(revoked).toEqual([{ t: [0] }]);
  });

  test("takes its membership over to the next socket, and forgets what waited", async () => {
    const client = makeClient();
    const got: number[] = [];
    client.join<number>("workers", "t", ({ value }) => void got.push(value));
    const first = await welcome({ session: "s-1" });
    const { sub } = await subscribed(first);
    expect(first.only("connect").session).toBeUndefined();
    first.push(assigned(sub, { t: [0] }));
    first.die();
    await nextSocket();
    const second = await welcome({ session: "s-2", resumed: true });
    expect(second.only("connect").session).toBe("s-1");
    await subscribed(second, { resumed: true });
    second.push(assigned(sub, { t: [0] }), records(sub, [1]));
    await settle();
    expect(got).toEqual([1]);
  });

  test("ends when the work fails, without acknowledging it", async () => {
    const client = makeClient();
    const errors: string[] = [];
    const member = client.join("workers", "t", () => Promise.reject(new Error("no")));
    member.on("error", ({ code }) => errors.push(code));
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    socket.push(assigned(sub, { t: [0] }), records(sub, [1, 2]));
    await settle();
    await vi.advanceTimersByTimeAsync(200);
    expect(errors).toEqual(["work_failed"]);
    expect(member.state).toBe("ended");
    expect(socket.of("ack")).toEqual([]);
    expect(socket.of("unsubscribe")).toHaveLength(1);
  });

  test("gives credit back half a window at a time", async () => {
    const client = makeClient();
    client.join("workers", "t", () => undefined, { credit: { msgs: 4 } });
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    socket.push(assigned(sub, { t: [0] }), records(sub, [1, 2, 3]));
    await settle();
    expect(socket.only("credit")).toMatchObject({ sub, msgs: 2 });
  });

  test("acknowledges before it leaves", async () => {
    const client = makeClient();
    const member = client.join("workers", "t", () => undefined);
    const socket = await welcome();
    const { sub } = await subscribed(socket);
    socket.push(assigned(sub, { t: [0] }), records(sub, [1]));
    await settle();
    member.close();
    expect(socket.sent.slice(-2)).toMatchObject([{ op: "ack" }, { op: "unsubscribe", sub }]);
  });
});
