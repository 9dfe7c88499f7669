import { Emitter, guarded } from "./emitter";
import {
  type Credit,
  type From,
  type Gap,
  isObject,
  type Json,
  parseError,
  parseRecord,
  type Phase,
  type SlowPolicy,
  TroupeError,
  type TroupeRecord,
} from "./protocol";

export interface SubscribeOptions {
  /** "resume": from the cursor kept in sessionStorage under `name`, else from `otherwise`. By default {latest: true}. */
  from?: From | "resume";
  /** Where to begin when there is no cursor to resume from, or the server refuses it. By default `from`, else {latest: true}. */
  otherwise?: From;
  /** Under which name "resume" keeps the cursor. By default topics and keys. */
  name?: string;
  /** Only records with these keys. */
  keys?: string[];
  filter?: Json;
  snapshot?: "latest_per_key";
  slow?: SlowPolicy | SlowPolicy["policy"];
  format?: "auto" | "json" | "text" | "binary";
  /** By default the server sends what the socket takes; an iterator has 256 records and 1 MiB. */
  credit?: Credit;
  on_gap?: "continue" | "snapshot" | "fail";
  onGap?: (gap: Gap) => void;
}

/**
 *   waiting ── subscribed ──> snapshot, replay ── caught_up ──> live
 *      ^───── connection lost ─────┴───────────────────────────┘        any ── close(), error, `ended` ──> ended
 */
export type SubscriptionState = "waiting" | Phase | "paused" | "ended";

/** What a subscription asks of its client. */
export interface Link {
  send(frame: Json): void;
  call(op: string, fields: Json): Promise<Json>;
  /** Runs `task` later on this connection: never, when it is lost before. */
  later(delay_ms: number, task: () => void): void;
  /** Ends this connection; another one follows. */
  drop(reason: string): void;
  forget(id: string): void;
}

interface SubscriptionEvents {
  state: [state: SubscriptionState];
  gap: [gap: Gap];
  /** It has ended for this reason. */
  error: [error: TroupeError];
  /** A frame's records have been handed over; how many the server left out by the slow policy. */
  frame: [info: { records: number; dropped: number; conflated: number }];
}

interface Queued<Value> {
  record?: TroupeRecord<Value>; // none: the frame ends here
  bytes: number;
  cursor?: string;
}

const remembered_keys_max = 50_000;

/** A subscription that outlives connections: it continues behind the last frame it got, without loss or repeat. */
export class Subscription<Value = unknown> extends Emitter<SubscriptionEvents> implements AsyncIterable<TroupeRecord<Value>> {
  readonly #topics: string[];
  readonly #storage_key: string;
  readonly #credit: Credit | undefined;
  #state: SubscriptionState = "waiting";
  #cursor: string | undefined;
  #start: string | undefined;
  #snapshot_cursor: string | undefined;
  #snapshot_done: boolean;
  #seen = new Map<string, number>();
  #duplicates = 0;
  #attempts = 0;
  // The iterator's side.
  #queue: Queued<Value>[] = [];
  #waiters: ((result: IteratorResult<TroupeRecord<Value>, undefined>) => void)[] = [];
  #owed: Required<Credit> = { msgs: 0, bytes: 0 };
  #failure: TroupeError | undefined;
  #saving: ReturnType<typeof setTimeout> | undefined;
  #unsaved: string | undefined;

  constructor(
    readonly id: string,
    topics: string | string[],
    private readonly options: SubscribeOptions,
    private readonly callback: ((record: TroupeRecord<Value>) => void) | undefined,
    private readonly link: Link,
  ) {
    super();
    this.#topics = typeof topics === "string" ? [topics] : topics;
    this.#storage_key = `troupe:${options.name ?? [...this.#topics, ...(options.keys ?? [])].join(",")}`;
    this.#credit = options.credit ?? (callback ? undefined : { msgs: 256, bytes: 1 << 20 });
    this.#snapshot_done = options.snapshot === undefined;
    if (options.onGap) this.on("gap", options.onGap);
    if (options.from === "resume") {
      this.#cursor = storage()?.getItem(this.#storage_key) ?? undefined;
      if (this.#cursor !== undefined) this.#snapshot_done = true;
    } else if (options.from && "cursor" in options.from) {
      this.#cursor = options.from.cursor;
    }
  }

  get state(): SubscriptionState {
    return this.#state;
  }
  /** Behind the last frame that came. Opaque; valid as long as the log is. */
  get cursor(): string | undefined {
    return this.#cursor;
  }
  /** Before the first record: where `history` goes backwards from. */
  get start(): string | undefined {
    return this.#start;
  }
  /** How many repeated records were kept from the listener. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Unsubscribes. A waiting loop ends. */
  close(): void {
    if (this.#state === "ended") return;
    this.link.send({ op: "unsubscribe", sub: this.id });
    this.#end();
  }

  [Symbol.asyncIterator](): AsyncIterator<TroupeRecord<Value>, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close();
        return { done: true, value: undefined };
      },
    };
  }

  // --- called by the client -----------------------------------------------------------------------------------------------------

  /** A connection is there. */
  async attach(): Promise<void> {
    if (this.#state === "ended") return;
    const with_cursor = this.#cursor !== undefined && this.#snapshot_done;
    try {
      const reply = await this.link.call("subscribe", this.#command(with_cursor));
      this.#attempts = 0;
      if (typeof reply.cursor === "string") {
        this.#start ??= reply.cursor;
        if (this.#snapshot_done) this.#cursor ??= reply.cursor;
      }
      if (this.#state === "waiting") this.#set_state(phaseOf(reply.state, this.#snapshot_done ? "replay" : "snapshot"));
    } catch (error) {
      this.#refused(error as TroupeError, with_cursor);
    }
  }

  /** The connection is gone; what is in the queue stays. */
  detach(): void {
    if (this.#state !== "ended") this.#set_state("waiting");
  }

  receive(frame: Json, source: string): void {
    if (this.#state === "ended") return;
    if (frame.ev === "records") this.#receive_records(frame, source);
    if (frame.ev === "progress" && typeof frame.c === "string") this.#advance(frame.c);
    if (frame.ev === "sub") this.#receive_state(frame);
  }

  fail(error: TroupeError): void {
    if (this.#state === "ended") return;
    this.#failure = error;
    this.#end();
    this.emit("error", error);
  }

  // --- the server's side ----------------------------------------------------------------------------------------------------------

  #command(with_cursor: boolean): Json {
    const { from, otherwise, slow, keys, filter, format, snapshot, on_gap } = this.options;
    const fresh = from === "resume" || (from && "cursor" in from) ? otherwise : from;
    const queued = this.#queue.filter(({ record }) => record).length;
    this.#owed = { msgs: 0, bytes: 0 }; // the new window knows only of the queue
    return {
      sub: this.id,
      topics: this.#topics,
      from: with_cursor ? { cursor: this.#cursor } : (fresh ?? { latest: true }),
      snapshot: with_cursor ? undefined : snapshot,
      slow: typeof slow === "string" ? { policy: slow } : slow,
      credit: this.#credit && { ...this.#credit, msgs: Math.max(1, this.#credit.msgs - queued) },
      keys,
      filter,
      format,
      on_gap,
    };
  }

  #refused(error: TroupeError, with_cursor: boolean): void {
    if (this.#state === "ended" || error.code === "disconnected") return;
    if (error.code === "timeout") {
      this.link.drop("no answer to subscribe"); // asking twice on one connection would be another subscription of this name
    } else if (error.retry) {
      this.#attach_later(error);
    } else if (with_cursor && (error.num === 416 || error.num === 400)) {
      // The log has gone on without us, or it is another log: begin afresh, and say so.
      this.#cursor = undefined;
      this.#snapshot_done = this.options.snapshot === undefined;
      this.#seen.clear();
      this.emit("gap", { reason: error.code, partitions: {}, action: "restart" });
      void this.attach();
    } else {
      this.fail(error);
    }
  }

  #attach_later(error: TroupeError): void {
    this.#set_state("waiting");
    const wait = Math.max(error.afterMs, Math.min(10_000, 250 * 2 ** this.#attempts++));
    this.link.later(wait, () => void this.attach());
  }

  #receive_state(frame: Json): void {
    if (frame.state === "gap" || frame.state === "reset") {
      if (frame.state === "reset") this.#seen.clear(); // offsets may come again, with other records
      const partitions = (isObject(frame.partitions) ? frame.partitions : {}) as Gap["partitions"];
      const reason = typeof frame.reason === "string" ? frame.reason : frame.state;
      this.emit("gap", { reason, partitions, ...(typeof frame.action === "string" && { action: frame.action }) });
    } else if (frame.state === "caught_up") {
      this.#finish_snapshot(typeof frame.c === "string" ? frame.c : this.#snapshot_cursor);
      this.#set_state("live");
    } else if (frame.state === "paused") {
      this.#set_state("paused");
    } else if (frame.state === "ended") {
      const reason = typeof frame.reason === "string" ? frame.reason : "The server ended the subscription.";
      const error = isObject(frame.err) ? parseError(frame.err) : new TroupeError("ended", reason);
      if (error.retry) this.#attach_later(error);
      else this.fail(error);
    }
  }

  #receive_records(frame: Json, source: string): void {
    const phase = phaseOf(frame.phase, "live");
    if (phase !== "snapshot") this.#finish_snapshot(undefined);
    this.#set_state(phase);
    const wires = Array.isArray(frame.r) ? (frame.r as unknown[]) : [];
    let count = 0;
    for (const wire of wires) {
      if (this.state === "ended") return; // the listener has closed it
      const record = parseRecord<Value>(wire, this.#topics[0] ?? "", phase);
      if (!record || !this.#is_new(record)) {
        if (this.#credit) ++this.#owed.msgs; // it has cost credit, and nobody will ask for it
        continue;
      }
      ++count;
      this.#deliver(record);
    }
    const cursor = typeof frame.c === "string" ? frame.c : undefined;
    const bytes = this.#credit?.bytes === undefined ? 0 : new TextEncoder().encode(source).length;
    if (phase === "snapshot") this.#snapshot_cursor = cursor ?? this.#snapshot_cursor;
    else if (cursor !== undefined) this.#cursor = cursor;
    this.#finish_frame({ bytes, ...(phase !== "snapshot" && cursor !== undefined && { cursor }) });
    const left_out = (value: unknown): number => (typeof value === "number" ? value : 0);
    this.emit("frame", { records: count, dropped: left_out(frame.dropped), conflated: left_out(frame.conflated) });
  }

  /**
   * Whether a record comes for the first time. Offsets grow within a partition; a conflated one keeps that order only for each key,
   * and so does a snapshot.
   */
  #is_new({ topic, partition, offset, key, phase }: TroupeRecord): boolean {
    const { slow } = this.options;
    const per_key = this.options.snapshot !== undefined || (typeof slow === "string" ? slow : slow?.policy) === "conflate";
    const place = per_key ? `${topic}/${partition}/${String(key)}` : `${topic}/${partition}`;
    const last = this.#seen.get(place);
    if (last !== undefined && offset <= last) {
      ++this.#duplicates;
      return false;
    }
    if (per_key && last === undefined && this.#seen.size >= remembered_keys_max && phase === "live") {
      for (const oldest of this.#seen.keys()) {
        this.#seen.delete(oldest);
        break;
      }
    }
    this.#seen.set(place, offset);
    return true;
  }

  #deliver(record: TroupeRecord<Value>): void {
    const { callback } = this;
    if (callback) {
      guarded(() => callback(record));
      if (this.#credit) ++this.#owed.msgs;
      return;
    }
    const waiter = this.#queue.length === 0 ? this.#waiters.shift() : undefined;
    if (waiter) {
      ++this.#owed.msgs;
      waiter({ done: false, value: record });
    } else {
      this.#queue.push({ record, bytes: 0 });
    }
  }

  /** Moves on without records. */
  #advance(cursor: string): void {
    this.#finish_snapshot(cursor);
    this.#cursor = cursor;
    this.#finish_frame({ bytes: 0, cursor });
  }

  /** What a frame cost and where it ends counts once its records have been read: when the loop asks for the next one. */
  #finish_frame(done: Queued<Value>): void {
    const last = this.#queue.at(-1);
    if (this.callback || this.#waiters.length > 0) this.#consumed(done);
    else if (last && !last.record) Object.assign(last, done, { bytes: last.bytes + done.bytes });
    else this.#queue.push(done);
  }

  /** Only a whole snapshot may be continued; one that broke off is asked for again. */
  #finish_snapshot(cursor: string | undefined): void {
    if (this.#snapshot_done) return;
    this.#snapshot_done = true;
    if (cursor !== undefined) {
      this.#cursor = cursor;
      this.#save(cursor);
    }
  }

  // --- the reader's side ------------------------------------------------------------------------------------------------------------

  #next(): Promise<IteratorResult<TroupeRecord<Value>, undefined>> {
    this.#return_credit();
    for (let item = this.#queue.shift(); item; item = this.#queue.shift()) {
      if (item.record) {
        ++this.#owed.msgs;
        return Promise.resolve({ done: false, value: item.record });
      }
      this.#consumed(item);
    }
    if (this.#failure) {
      const failure = this.#failure;
      this.#failure = undefined;
      return Promise.reject(failure);
    }
    if (this.#state === "ended") return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A frame's records have all been read. */
  #consumed({ bytes, cursor }: Queued<Value>): void {
    this.#owed.bytes += bytes;
    if (cursor !== undefined) this.#save(cursor);
    if (this.callback || this.#waiters.length > 0) this.#return_credit();
  }

  /** Half a window at a time: a message for each record would cost more than the record. */
  #return_credit(): void {
    const window = this.#credit;
    if (!window || this.#state === "waiting" || this.#state === "ended") return;
    if (this.#owed.msgs * 2 < window.msgs && this.#owed.bytes * 2 < (window.bytes ?? Infinity)) return;
    this.link.send({
      op: "credit",
      sub: this.id,
      msgs: this.#owed.msgs,
      ...(window.bytes !== undefined && { bytes: this.#owed.bytes }),
    });
    this.#owed = { msgs: 0, bytes: 0 };
  }

  #save(cursor: string): void {
    if (this.options.from !== "resume") return;
    this.#unsaved = cursor;
    this.#saving ??= setTimeout(() => this.save_now(), 250);
  }

  /** Writes the cursor for "resume". */
  save_now(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    if (this.#unsaved !== undefined) guarded(() => storage()?.setItem(this.#storage_key, this.#unsaved as string));
    this.#unsaved = undefined;
  }

  #end(): void {
    this.save_now();
    this.#set_state("ended");
    this.link.forget(this.id);
    const failure = this.#failure;
    for (const waiter of this.#waiters.splice(0)) {
      if (failure) waiter(Promise.reject(failure) as never);
      else waiter({ done: true, value: undefined });
      this.#failure = undefined;
    }
  }

  #set_state(state: SubscriptionState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit("state", state);
  }
}

const phaseOf = (value: unknown, otherwise: Phase): Phase =>
  value === "snapshot" || value === "replay" || value === "live" ? value : otherwise;

/** Undefined where a browser forbids it. */
function storage(): Storage | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}
