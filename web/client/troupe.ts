// The browser's side of `troupe.v1.json`: a WebSocket that reconnects, subscriptions that continue, produces that can be repeated.
import { Emitter } from "./emitter";
import {
  isObject,
  type Json,
  parseError,
  parseFrames,
  parseRecord,
  type Produced,
  toBase64,
  TroupeError,
  type TroupeRecord,
} from "./protocol";
import { Subscription, type SubscribeOptions } from "./subscription";

export type { Credit, From, Gap, Phase, Produced, SlowPolicy, TroupeRecord } from "./protocol";
export type { SubscribeOptions, SubscriptionState } from "./subscription";
export { Subscription, TroupeError };

export interface ClientOptions {
  /** Called before every connect, and when the server says that the token expires. */
  getToken?: () => Promise<string>;
  /** Bounds of the wait between two attempts, ms. The wait is random in between; the upper end triples with each attempt. */
  minDelay?: number;
  maxDelay?: number;
  /** Nothing received for so long: the connection is taken for dead. */
  watchdog?: number;
  /** For an answer to a command, and for a connection to be ready. */
  timeout?: number;
  /** Produces that may wait for a connection. */
  maxQueue?: number;
  /** Name and version of the application, for the server's logs. */
  client?: string;
  /** For tests. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocket;
  random?: () => number;
}

/**
 *   closed ── first use ──> connecting ── `connect` answered ──> open
 *                           ^      └────── failed ──────┐          │ lost
 *                           └──── after a while ──── backoff <─────┘        close(), codes 4003 and 4500 up: closed
 */
export type ClientState = "connecting" | "open" | "backoff" | "closed";

/** Why a state was entered. */
export interface Why {
  /** The socket's close code; 0 when it did not say. */
  code: number;
  reason: string;
  /** Of `backoff`: ms until the next attempt. */
  retryInMs?: number;
}

export interface RecordToProduce {
  key?: string | Uint8Array | null;
  /** JSON, or bytes. null is a tombstone. */
  value: unknown;
  headers?: Record<string, string>;
  partition?: number;
  /** ms since 1970 */
  timestamp?: number;
}

export interface ProduceOptions {
  acks?: "none" | "leader" | "quorum";
  /** ms until the promise fails; 0: never. */
  timeout?: number;
  /** Of an error whose outcome was unknown: the same record again, and at most once in the log. */
  seq?: number;
}

export interface History<Value> {
  /** As the server sent them. */
  records: TroupeRecord<Value>[];
  /** For the next `before`. */
  cursor: string | undefined;
  /** Nothing is older. */
  end: boolean;
}

interface ClientEvents {
  state: [state: ClientState, why: Why];
  /** Any frame that came: for meters. */
  traffic: [frames: number, bytes: number];
  goaway: [withinMs: number];
  /** An error the server did not tie to a command. */
  error: [error: TroupeError];
}

interface Pending {
  resolve: (ok: Json) => void;
  reject: (error: TroupeError) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Outgoing {
  fields: Json;
  /** In which order the application produced. */
  order: number;
  seq: number;
  /** It went out once, and nobody knows what became of it: its sequence number must stay. */
  uncertain: boolean;
  resolve: (produced: Produced) => void;
  reject: (error: TroupeError) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  over: boolean;
}

const healthy_after_ms = 30_000;
const tick_ms = 5_000;
/** The server remembers that many sequence numbers of a producer. */
const window_max = 64;

export class TroupeClient extends Emitter<ClientEvents> {
  /** Names this client's produces across its connections. */
  readonly pid: string;
  readonly #url: string;
  readonly #options: Required<Omit<ClientOptions, "getToken" | "WebSocket">> & ClientOptions;
  #state: ClientState = "closed";
  #socket: WebSocket | undefined;
  #generation = 0;
  #attempts = 0;
  #next_url: string | undefined;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #retry_timer: ReturnType<typeof setTimeout> | undefined;
  #last_received = 0;
  #pinged_at = 0;
  #ping_ms = 25_000;
  #next_id = 1;
  #pending = new Map<number, Pending>();
  #subscriptions = new Map<string, Subscription<never>>();
  #next_sub = 1;
  #outgoing: Outgoing[] = [];
  #in_flight = new Set<Outgoing>();
  #in_flight_max = window_max;
  #held_until = 0;
  #next_seq = 1;
  #next_order = 1;
  #waiting_for_open: Pending[] = [];

  constructor(url = "/v1/ws", options: ClientOptions = {}) {
    super();
    this.#url = url;
    this.#options = {
      minDelay: 200,
      maxDelay: 20_000,
      watchdog: 40_000,
      timeout: 10_000,
      maxQueue: 1000,
      client: "troupe-web/0.1",
      random: Math.random,
      ...options,
    };
    this.pid = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    globalThis.addEventListener?.("online", () => this.#wake());
    globalThis.addEventListener?.("offline", () => this.#probe());
    globalThis.addEventListener?.("pagehide", () => this.#subscriptions.forEach((subscription) => subscription.save_now()));
    globalThis.document?.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#wake());
  }

  get state(): ClientState {
    return this.#state;
  }

  /** Connects, if it is not connected or about to be. Everything below does it by itself. */
  connect(): void {
    if (this.#state === "closed") this.#open();
  }

  /** Closes for good: loops end, waiting calls fail. */
  close(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.close();
    this.#leave(new TroupeError("closed", "The client was closed."), 1000);
    this.#set_state("closed", { code: 1000, reason: "closed by the application" });
  }

  /** With a callback, or as a loop: `for await (const record of client.subscribe(...))`, which takes no more than it can read. */
  subscribe<Value = unknown>(
    topics: string | string[],
    options: SubscribeOptions = {},
    callback?: (record: TroupeRecord<Value>) => void,
  ): Subscription<Value> {
    const id = `s${this.#next_sub++}`;
    const subscription = new Subscription<Value>(id, topics, options, callback, {
      send: (frame) => this.#send(frame),
      call: (op, fields) => this.#call(op, fields),
      later: (delay, task) => this.#later(delay, task),
      drop: (reason) => this.#lost(0, reason),
      forget: (name) => this.#subscriptions.delete(name),
    });
    this.#subscriptions.set(id, subscription as unknown as Subscription<never>);
    if (this.#state === "open") void subscription.attach();
    else this.connect();
    return subscription;
  }

  /** Resolves when the record is held as `acks` asks for. Waits for a connection, and repeats without risk of a second record. */
  produce(topic: string, record: RecordToProduce, options: ProduceOptions = {}): Promise<Produced> {
    const { acks, timeout = 30_000, seq } = options;
    if (this.#outgoing.length + this.#in_flight.size >= this.#options.maxQueue) {
      return Promise.reject(new TroupeError("queue_full", `${this.#options.maxQueue} records wait already.`, 0, true));
    }
    const { key, value, headers, partition, timestamp } = record;
    const fields: Json = {
      topic,
      headers,
      partition,
      ts: timestamp,
      acks,
      ...(key instanceof Uint8Array ? { kb: toBase64(key) } : key !== undefined && { key }),
      ...(value instanceof Uint8Array ? { vb: toBase64(value) } : { value }),
    };
    return new Promise((resolve, reject) => {
      const item: Outgoing = {
        fields,
        order: this.#next_order++,
        seq: seq ?? 0,
        uncertain: seq !== undefined,
        resolve,
        reject,
        timer: undefined,
        over: false,
      };
      if (timeout > 0) {
        item.timer = setTimeout(() => {
          const error = this.#gave_up(item);
          this.#finish(item, () => reject(error));
        }, timeout);
      }
      this.#outgoing.push(item);
      this.connect();
      this.#flush();
    });
  }

  /** Records before a cursor (by default the end), for scrolling backwards. */
  async history<Value = unknown>(
    topic: string,
    options: { keys?: string[]; before?: string; limit?: number; filter?: Json } = {},
  ): Promise<History<Value>> {
    await this.#opened();
    const reply = await this.#call("history", { topic, limit: 50, ...options });
    const wires = Array.isArray(reply.records) ? (reply.records as unknown[]) : [];
    return {
      records: wires.flatMap((wire) => parseRecord<Value>(wire, topic, "replay") ?? []),
      cursor: typeof reply.cursor === "string" ? reply.cursor : undefined,
      end: reply.end === true,
    };
  }

  // --- connections -------------------------------------------------------------------------------------------------------------------

  #open(): void {
    const generation = ++this.#generation;
    clearTimeout(this.#retry_timer);
    this.#set_state("connecting", { code: 0, reason: "" });
    this.#later(this.#options.timeout, () => this.#state === "connecting" && this.#lost(0, "no connection in time"));
    const Socket = this.#options.WebSocket ?? WebSocket;
    let socket: WebSocket;
    try {
      socket = new Socket(resolveUrl(this.#next_url ?? this.#url), ["troupe.v1.json"]);
    } catch (error) {
      this.#lost(0, String(error));
      return;
    }
    this.#next_url = undefined;
    this.#socket = socket;
    const current = (): boolean => generation === this.#generation;
    socket.onopen = () => current() && void this.#greet(current);
    socket.onmessage = ({ data }) => current() && this.#receive(data);
    socket.onerror = () => undefined; // a close follows; npm's `ws` throws what nobody listens to
    socket.onclose = ({ code, reason }) => current() && this.#lost(code, reason);
  }

  async #greet(current: () => boolean): Promise<void> {
    try {
      const token = await this.#options.getToken?.();
      if (!current()) return;
      const ok = await this.#call("connect", { client: this.#options.client, token });
      if (!current()) return;
      this.#welcome(ok);
    } catch (error) {
      if (!current()) return;
      const refused = error instanceof TroupeError && !error.retry && error.num >= 400 && error.num !== 40101;
      if (refused) this.#stop(error);
      else this.#lost(0, error instanceof Error ? error.message : String(error));
    }
  }

  #welcome(ok: Json): void {
    const limits = isObject(ok.limits) ? ok.limits : {};
    if (typeof ok.ping_ms === "number" && ok.ping_ms > 0) this.#ping_ms = Math.min(ok.ping_ms, 25_000);
    const allowed = typeof limits.produce_inflight === "number" ? limits.produce_inflight : window_max;
    // One less than is allowed: with all of it under way the server reads no further command, not even a ping.
    this.#in_flight_max = Math.max(1, Math.min(allowed, window_max) - 1);
    this.#set_state("open", { code: 0, reason: "" });
    this.#later(healthy_after_ms, () => (this.#attempts = 0));
    this.#tick();
    for (const waiting of this.#waiting_for_open.splice(0)) {
      clearTimeout(waiting.timer);
      waiting.resolve({});
    }
    for (const subscription of this.#subscriptions.values()) void subscription.attach();
    this.#flush();
  }

  /** Forgets the socket, without waiting for it: a dead peer never answers a close. */
  #leave(error: TroupeError, code?: number): void {
    ++this.#generation;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    clearTimeout(this.#retry_timer);
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close(code);
    } catch {
      // It was not open yet.
    }
    for (const pending of [...this.#pending.values()]) pending.reject(error);
    this.#pending.clear();
    // What was under way goes to the front again, in its order and with its numbers.
    for (const item of this.#in_flight) {
      item.uncertain = true;
      this.#outgoing.push(item);
    }
    this.#in_flight.clear();
    this.#outgoing.sort(byOrder);
    this.#held_until = 0;
    for (const subscription of this.#subscriptions.values()) subscription.detach();
    if (error.code === "disconnected") return;
    for (const item of this.#outgoing.splice(0)) this.#finish(item, () => item.reject(withSeq(error, item)));
    for (const waiting of this.#waiting_for_open.splice(0)) waiting.reject(error);
  }

  #lost(code: number, reason: string): void {
    if (code === 4003 || code >= 4500) {
      this.#stop(new TroupeError("closed", reason || `The server closed the connection (${code}) and wants no other.`), code);
      return;
    }
    this.#leave(new TroupeError("disconnected", reason || "The connection was lost.", 0, true));
    const { minDelay, maxDelay, random } = this.#options;
    const longest = Math.min(maxDelay, minDelay * 3 ** ++this.#attempts);
    this.#reconnect(minDelay + random() * (longest - minDelay), code, reason);
  }

  #reconnect(delay: number, code: number, reason: string): void {
    this.#retry_timer = setTimeout(() => this.#open(), delay);
    this.#set_state("backoff", { code, reason, retryInMs: delay });
  }

  /** The server wants no other connection of ours. */
  #stop(error: TroupeError, code = 0): void {
    this.#leave(error);
    for (const subscription of [...this.#subscriptions.values()]) subscription.fail(error);
    this.#set_state("closed", { code, reason: error.message });
  }

  /** The network, or the person, is back: no need to wait out the delay. */
  #wake(): void {
    if (this.#state === "backoff") {
      clearTimeout(this.#retry_timer);
      this.#reconnect(this.#options.random() * this.#options.minDelay, 0, "back online");
    } else {
      this.#probe();
    }
  }

  /** Asks for a sign of life, and does not wait for the watchdog. */
  #probe(): void {
    if (this.#state !== "open") return;
    const asked = Date.now();
    this.#ping();
    this.#later(5_000, () => this.#last_received < asked && this.#lost(0, "no answer to a ping"));
  }

  #ping(): void {
    this.#pinged_at = Date.now();
    this.#call("ping", {}).catch(() => undefined);
  }

  /** Browsers hide WebSocket pings from us, so an idle connection is asked. */
  #tick(): void {
    this.#later(tick_ms, () => {
      const idle = Date.now() - this.#last_received;
      // A page that slept has to ask before it may judge.
      const asked = this.#pinged_at > this.#last_received ? Date.now() - this.#pinged_at : 0;
      if (idle >= this.#options.watchdog && asked >= tick_ms) this.#lost(0, `nothing received for ${Math.round(idle / 1000)} s`);
      else {
        if (idle >= Math.min(this.#ping_ms, this.#options.watchdog / 2) && asked === 0) this.#ping();
        this.#tick();
      }
    });
  }

  /** A timer of this connection. */
  #later(delay: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      task();
    }, delay);
    this.#timers.add(timer);
  }

  // --- frames ------------------------------------------------------------------------------------------------------------------------

  #send(frame: Json): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  #call(op: string, fields: Json): Promise<Json> {
    if (this.#socket?.readyState !== 1) {
      return Promise.reject(
        new TroupeError(this.#state === "closed" ? "closed" : "disconnected", "There is no connection.", 0, true),
      );
    }
    return new Promise((resolve, reject) => {
      const id = this.#next_id++;
      const over = (): void => {
        clearTimeout(pending.timer);
        this.#pending.delete(id);
      };
      const timed_out = new TroupeError("timeout", `No answer to ${op}.`, 0, true);
      const pending: Pending = {
        resolve: (ok) => (over(), resolve(ok)),
        reject: (error) => (over(), reject(error)),
        timer: op === "produce" ? undefined : setTimeout(() => pending.reject(timed_out), this.#options.timeout),
      };
      this.#pending.set(id, pending);
      this.#send({ id, op, ...fields });
    });
  }

  #opened(): Promise<Json> {
    if (this.#state === "open") return Promise.resolve({});
    this.connect();
    return new Promise((resolve, reject) => {
      const waiting: Pending = { resolve, reject, timer: undefined };
      waiting.timer = setTimeout(() => {
        this.#waiting_for_open = this.#waiting_for_open.filter((other) => other !== waiting);
        reject(new TroupeError("disconnected", "There is no connection.", 0, true));
      }, this.#options.timeout);
      this.#waiting_for_open.push(waiting);
    });
  }

  #receive(data: unknown): void {
    this.#last_received = Date.now();
    const generation = this.#generation;
    const frames = parseFrames(data);
    for (const { frame, source } of frames) {
      if (generation !== this.#generation) return; // a listener closed the client
      if (typeof frame.re === "number") this.#receive_reply(frame.re, frame);
      else if (typeof frame.sub === "string") this.#subscriptions.get(frame.sub)?.receive(frame, source);
      else this.#receive_push(frame);
    }
    this.emit("traffic", frames.length, typeof data === "string" ? data.length : 0);
  }

  #receive_reply(id: number, frame: Json): void {
    const pending = this.#pending.get(id);
    if (isObject(frame.ok)) pending?.resolve(frame.ok);
    else if (frame.err !== undefined) pending?.reject(parseError(frame.err));
    else pending?.resolve({});
  }

  #receive_push(frame: Json): void {
    if (frame.ev === "goaway") {
      // Everybody on that node was told: spread over half of the time it gives.
      const within = typeof frame.within_ms === "number" ? frame.within_ms : 10_000;
      const nodes = Array.isArray(frame.nodes)
        ? frame.nodes.filter((node) => typeof node === "string" && /^wss?:/.test(node))
        : [];
      this.emit("goaway", within);
      if (nodes.length === 0) return; // nowhere to go: served here to the end, then the close makes us reconnect
      this.#later((this.#options.random() * within) / 2, () => {
        this.#leave(new TroupeError("disconnected", "The node goes away.", 0, true));
        this.#next_url = nodes[Math.floor(this.#options.random() * nodes.length)] as string | undefined;
        this.#reconnect(0, 4000, "the node goes away");
      });
    } else if (frame.ev === "token") {
      void this.#options
        .getToken?.()
        .then((token) => this.#call("auth", { token }))
        .catch(() => undefined);
    } else if (frame.ev === "ping") {
      this.#send({ op: "ping" });
    } else if (frame.ev === "error" || frame.err !== undefined) {
      this.emit("error", parseError(frame.err ?? frame));
    }
  }

  // --- produce -----------------------------------------------------------------------------------------------------------------------

  #flush(): void {
    while (this.#state === "open" && Date.now() >= this.#held_until && this.#in_flight.size < this.#in_flight_max) {
      const item = this.#outgoing.shift();
      if (!item) return;
      void this.#transmit(item);
    }
  }

  async #transmit(item: Outgoing): Promise<void> {
    if (item.seq === 0) item.seq = this.#next_seq++;
    this.#in_flight.add(item);
    try {
      const { p, o, ts, dup } = await this.#call("produce", { ...item.fields, pid: this.pid, seq: item.seq });
      const produced = {
        partition: Number(p ?? -1),
        offset: Number(o ?? -1),
        timestamp: Number(ts ?? 0),
        duplicate: dup === true,
      };
      this.#finish(item, () => item.resolve(produced));
    } catch (thrown) {
      const error = thrown as TroupeError;
      if (error.code === "disconnected" || item.over) return; // it is in the queue again
      const unknown = error.code === "timeout" || error.code === "outcome_unknown";
      if (unknown || error.retry) this.#again(item, unknown, error.afterMs);
      else this.#finish(item, () => item.reject(error));
    }
    this.#flush();
  }

  #again(item: Outgoing, unknown: boolean, after_ms: number): void {
    this.#in_flight.delete(item);
    item.uncertain ||= unknown;
    // Nothing of it was written: a new number, for later ones may have been and an older one would be refused.
    if (!item.uncertain) item.seq = 0;
    this.#outgoing.push(item);
    this.#outgoing.sort(byOrder);
    const wait = Math.max(after_ms, 200 + this.#options.random() * 800);
    this.#held_until = Date.now() + wait;
    this.#later(wait, () => this.#flush());
  }

  #finish(item: Outgoing, settle: () => void): void {
    if (item.over) return;
    item.over = true;
    clearTimeout(item.timer);
    this.#in_flight.delete(item);
    this.#outgoing = this.#outgoing.filter((other) => other !== item);
    settle();
  }

  #gave_up(item: Outgoing): TroupeError {
    return withSeq(
      new TroupeError("timeout", "The record was not acknowledged in time.", 50004, true),
      item,
      this.#in_flight.has(item),
    );
  }

  #set_state(state: ClientState, why: Why): void {
    if (state === this.#state && state !== "backoff") return;
    this.#state = state;
    this.emit("state", state, why);
  }
}

const byOrder = (a: Outgoing, b: Outgoing): number => a.order - b.order;

/** With its sequence number, when a record may have been written. */
function withSeq(error: TroupeError, item: Outgoing, sent = false): TroupeError {
  const seq = item.uncertain || sent ? item.seq : undefined;
  return new TroupeError(error.code, error.message, error.num, error.retry, error.afterMs, seq);
}

function resolveUrl(url: string): string {
  if (/^wss?:/.test(url) || !globalThis.location) return url;
  const absolute = new URL(url, globalThis.location.href);
  absolute.protocol = absolute.protocol === "https:" ? "wss:" : "ws:";
  return absolute.href;
}
