// The browser's side of `troupe.v1.json`: a WebSocket that reconnects, subscriptions that continue, produces that can be repeated.
import { Emitter } from "./emitter";
import {
  isObject,
  type Json,
  parseError,
  parseFrames,
  parseRecord,
  type Produced,
  TroupeError,
  type TroupeRecord,
} from "./protocol";
import { type ProduceOptions, Producer, type RecordToProduce } from "./producer";
import { GroupSubscription, type GroupOptions, type Work } from "./group";
import { type Link, Subscription, type SubscribeOptions } from "./subscription";

export type { Credit, From, Gap, Phase, Produced, SlowPolicy, TroupeRecord } from "./protocol";
export type { ProduceOptions, RecordToProduce } from "./producer";
export type { SubscribeOptions, SubscriptionState } from "./subscription";
export type { GroupOptions, GroupState, Partitions, Work } from "./group";
export { GroupSubscription, Subscription, TroupeError };

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
  /** How long memberships of groups wait for the next connection when this one is lost, ms; 0: they end with it. By default 30 s. */
  resumeGrace?: number;
  /** What the application, or this member of a group, is called. */
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

/** What a client keeps of its subscriptions, of either kind. */
interface Attached {
  attach(): Promise<void>;
  detach(): void;
  receive(frame: Json, source: string): void;
  fail(error: TroupeError): void;
  close(): void;
  save_now(): void;
}

const healthy_after_ms = 30_000;
const tick_ms = 5_000;
export class TroupeClient extends Emitter<ClientEvents> {
  /** Names this client's produces across its connections. */
  readonly pid: string;
  readonly #url: string;
  readonly #options: Required<Omit<ClientOptions, "getToken" | "WebSocket" | "resumeGrace">> & ClientOptions;
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
  #subscriptions = new Map<string, Attached>();
  #session: string | undefined; // of the last connection: its memberships wait for us
  #next_sub = 1;
  readonly #producer: Producer;
  #waiting_for_open: Pending[] = [];
  #listening: AbortController | undefined;

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
    this.#producer = new Producer(this.pid, this.#options.maxQueue, {
      isOpen: () => this.#state === "open",
      call: (op, fields) => this.#call(op, fields),
      later: (delay, task) => this.#later(delay, task),
      random: this.#options.random,
    });
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
    this.#listening?.abort();
    this.#listening = undefined;
    this.#set_state("closed", { code: 1000, reason: "closed by the application" });
  }

  /** With a callback, or as a loop: `for await (const record of client.subscribe(...))`, which takes no more than it can read. */
  subscribe<Value = unknown>(
    topics: string | string[],
    options: SubscribeOptions = {},
    callback?: (record: TroupeRecord<Value>) => void,
  ): Subscription<Value> {
    const subscription = new Subscription<Value>(`s${this.#next_sub++}`, topics, options, callback, this.#link());
    this.#add(subscription.id, subscription);
    return subscription;
  }

  /** As a member of a group: a share of the records, each until the work on it is done. */
  join<Value = unknown>(
    group: string,
    topics: string | string[],
    work: Work<Value>,
    options: GroupOptions = {},
  ): GroupSubscription<Value> {
    const subscription = new GroupSubscription<Value>(`s${this.#next_sub++}`, group, topics, options, work, this.#link());
    this.#add(subscription.id, subscription);
    return subscription;
  }

  #link(): Link {
    return {
      send: (frame) => this.#send(frame),
      call: (op, fields) => this.#call(op, fields),
      later: (delay, task) => this.#later(delay, task),
      drop: (reason) => this.#lost(0, reason),
      forget: (name) => this.#subscriptions.delete(name),
    };
  }

  #add(id: string, subscription: Attached): void {
    this.#subscriptions.set(id, subscription);
    if (this.#state === "open") void subscription.attach();
    else this.connect();
  }

  /** Resolves when the record is held as `acks` asks for. Waits for a connection, and repeats without risk of a second record. */
  produce(topic: string, record: RecordToProduce, options: ProduceOptions = {}): Promise<Produced> {
    const produced = this.#producer.produce(topic, record, options);
    this.connect();
    this.#producer.flush();
    return produced;
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

  /** Hears of sleep and changes of network, where there is a browser to tell; until the client is closed. */
  #listen(): void {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const options = { signal: this.#listening.signal };
    globalThis.addEventListener?.("online", () => this.#wake(), options);
    globalThis.addEventListener?.("offline", () => this.#probe(), options);
    globalThis.addEventListener?.("pagehide", () => this.#subscriptions.forEach((one) => one.save_now()), options);
    globalThis.document?.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && this.#wake(),
      options,
    );
  }

  #open(): void {
    this.#listen();
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
      const member = [...this.#subscriptions.values()].some((one) => one instanceof GroupSubscription);
      const session = member ? this.#session : undefined;
      const ok = await this.#call("connect", {
        client: this.#options.client,
        token,
        session,
        resume_grace_ms: this.#options.resumeGrace,
      });
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
    this.#session = typeof ok.session === "string" ? ok.session : undefined;
    this.#set_state("open", { code: 0, reason: "" });
    this.#later(healthy_after_ms, () => (this.#attempts = 0));
    this.#tick();
    for (const waiting of this.#waiting_for_open.splice(0)) {
      clearTimeout(waiting.timer);
      waiting.resolve({});
    }
    for (const subscription of this.#subscriptions.values()) void subscription.attach();
    this.#producer.start(typeof limits.produce_inflight === "number" ? limits.produce_inflight : undefined);
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
    this.#producer.interrupt();
    for (const subscription of this.#subscriptions.values()) subscription.detach();
    if (error.code === "disconnected") return;
    this.#producer.fail(error);
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
      // Remembered from now on: the node may be gone before its time is up.
      this.#next_url = nodes[Math.floor(this.#options.random() * nodes.length)] as string | undefined;
      this.#later((this.#options.random() * within) / 2, () => {
        this.#leave(new TroupeError("disconnected", "The node goes away.", 0, true));
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

  #set_state(state: ClientState, why: Why): void {
    if (state === this.#state && state !== "backoff") return;
    this.#state = state;
    this.emit("state", state, why);
  }
}

function resolveUrl(url: string): string {
  if (/^wss?:/.test(url) || !globalThis.location) return url;
  const absolute = new URL(url, globalThis.location.href);
  absolute.protocol = absolute.protocol === "https:" ? "wss:" : "ws:";
  return absolute.href;
}
