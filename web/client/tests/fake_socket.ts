// A scripted server: what the client sends is recorded, what the test pushes is received.
import { vi } from "vitest";
import { TroupeClient, type ClientOptions } from "../troupe";

export interface Frame {
  id?: number;
  op?: string;
  [field: string]: unknown;
}

export class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error("no socket was opened");
    return socket;
  }

  readyState = 0;
  sent: Frame[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Frame);
  }
  close(): void {
    this.closed = true;
    this.readyState = 3;
  }

  // The server's hands.
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  push(...frames: unknown[]): void {
    this.onmessage?.({ data: frames.map((frame) => (typeof frame === "string" ? frame : JSON.stringify(frame))).join("\n") });
  }
  die(code = 1006, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
  of(op: string): Frame[] {
    return this.sent.filter((frame) => frame.op === op);
  }
  only(op: string): Frame {
    const frames = this.of(op);
    if (frames.length !== 1) throw new Error(`${frames.length} frames of ${op}, wanted one`);
    return frames[0] as Frame;
  }
  ok(frame: Frame, ok: unknown = {}): void {
    this.push({ re: frame.id, ok });
  }
  err(frame: Frame, err: unknown): void {
    this.push({ re: frame.id, err });
  }
}

/** Lets what was resolved run on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; ++turn) await Promise.resolve();
}

export function makeClient(options: ClientOptions = {}): TroupeClient {
  return new TroupeClient("ws://node/v1/ws", { WebSocket: FakeSocket as never, random: () => 0.5, ...options });
}

/** Answers the last socket's `connect`. */
export async function welcome(
  ok: Record<string, unknown> = { ping_ms: 25_000, limits: { produce_inflight: 64 } },
): Promise<FakeSocket> {
  const socket = FakeSocket.last;
  socket.open();
  await settle();
  socket.ok(socket.only("connect"), ok);
  await settle();
  return socket;
}

/** Answers the only `subscribe` of a socket. */
export async function subscribed(socket: FakeSocket, ok: Record<string, unknown> = {}): Promise<Frame> {
  const frame = socket.only("subscribe");
  socket.ok(frame, { sub: frame.sub, state: "replay", ...ok });
  await settle();
  return frame;
}

/** A frame of records at these offsets of partition 0. */
export function records(sub: unknown, offsets: number[], fields: Record<string, unknown> = {}): Frame {
  const cursor = `c${(offsets.at(-1) ?? 0) + 1}`;
  return { ev: "records", sub, phase: "live", c: cursor, r: offsets.map((o) => ({ p: 0, o, ts: 1, k: "k", v: o })), ...fields };
}

/** Lets time pass until the client opens its next socket; at most the longest wait there is. */
export async function nextSocket(): Promise<void> {
  const count = FakeSocket.all.length;
  for (let waited = 0; FakeSocket.all.length === count && waited < 20_000; waited += 50) await vi.advanceTimersByTimeAsync(50);
}
