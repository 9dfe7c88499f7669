// Names and shapes of the protocol `troupe.v1.json`, as the client sees them.

/** Where a subscription begins. Exactly one of them. */
export type From =
  | { earliest: true }
  | { latest: true }
  | { last: number }
  | { offset: Record<string, number> }
  | { time: string | number }
  | { ago_ms: number }
  | { cursor: string };

/** What the server does with a subscriber that cannot keep up. */
export type SlowPolicy =
  | { policy: "block" }
  | { policy: "conflate"; max_rate?: number; max_keys?: number }
  | { policy: "drop_oldest"; max_msgs?: number }
  | { policy: "sample"; interval_ms: number }
  | { policy: "disconnect"; after_ms?: number; max_lag?: number };

/** How much the server may send before more is granted. */
export interface Credit {
  msgs: number;
  bytes?: number;
}

export type Phase = "snapshot" | "replay" | "live";

/** One record. Its identity is (topic, partition, offset). */
export interface TroupeRecord<Value = unknown> {
  topic: string;
  partition: number;
  offset: number;
  /** ms since 1970 */
  timestamp: number;
  key: string | Uint8Array | null;
  /** JSON, text, or bytes when it is neither; null for a tombstone. */
  value: Value;
  headers: Record<string, string>;
  /** A tombstone: the key was deleted. */
  deleted: boolean;
  phase: Phase;
}

/** Offsets [from, to) of each partition were lost to this subscriber: never a silent hole. */
export interface Gap {
  reason: string;
  partitions: Record<string, Record<string, { from: number; to: number }>>;
  /** What the server, or the client when a cursor was refused ("restart"), does next. */
  action?: string;
}

/** Where a produced record is. */
export interface Produced {
  partition: number;
  offset: number;
  timestamp: number;
  /** It was there already: a retry of ours had been lost on its way back only. */
  duplicate: boolean;
}

/** An error of the server's, or of the client itself (`disconnected`, `timeout`, `closed`, `queue_full`). */
export class TroupeError extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** The REST surface's number for it; 0 for the client's own. */
    readonly num = 0,
    /** Worth trying again, unchanged. */
    readonly retry = false,
    /** Not before this many ms. */
    readonly afterMs = 0,
    /** Of a produce whose outcome is unknown: pass it as `seq` to try again without the risk of a second record. */
    readonly seq?: number,
  ) {
    super(message);
    this.name = "TroupeError";
  }
}

export type Json = Record<string, unknown>;

export const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

const text = (value: unknown, otherwise = ""): string => (typeof value === "string" ? value : otherwise);
const number = (value: unknown, otherwise = 0): number => (typeof value === "number" ? value : otherwise);

export function parseError(err: unknown): TroupeError {
  const fields = isObject(err) ? err : {};
  const code = text(fields.code, "internal");
  return new TroupeError(code, text(fields.msg, code), number(fields.num), fields.retry === true, number(fields.after_ms));
}

const fromBase64 = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
export const toBase64 = (bytes: Uint8Array): string => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/** A record of a frame, or undefined when it is none: what a client does not understand it leaves alone. */
export function parseRecord<Value>(wire: unknown, topic: string, phase: Phase): TroupeRecord<Value> | undefined {
  if (!isObject(wire) || !Number.isSafeInteger(wire.p) || !Number.isSafeInteger(wire.o)) return undefined;
  try {
    const headers: Record<string, string> = {};
    if (isObject(wire.h)) for (const [name, value] of Object.entries(wire.h)) headers[name] = String(value);
    // Names that repeat, or values that are no text: the last one of a name, as far as it can be read.
    for (const [name, value] of Array.isArray(wire.hb) ? wire.hb : []) {
      headers[String(name)] = new TextDecoder().decode(fromBase64(value ?? ""));
    }
    return {
      topic: text(wire.t, topic),
      partition: wire.p as number,
      offset: wire.o as number,
      timestamp: number(wire.ts),
      key: typeof wire.kb === "string" ? fromBase64(wire.kb) : typeof wire.k === "string" ? wire.k : null,
      value: (typeof wire.vb === "string" ? fromBase64(wire.vb) : (wire.v ?? null)) as Value,
      headers,
      deleted: wire.del === true,
      phase,
    };
  } catch {
    return undefined; // base64 that is none
  }
}

/** Frames of one message: JSON objects separated by newlines. What is not one is left out. */
export function parseFrames(message: unknown): { frame: Json; source: string }[] {
  if (typeof message !== "string") return [];
  return message.split("\n").flatMap((source) => {
    try {
      const frame: unknown = JSON.parse(source);
      return isObject(frame) ? [{ frame, source }] : [];
    } catch {
      return [];
    }
  });
}
