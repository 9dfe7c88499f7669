import { type Json, parseError, type Produced, toBase64, TroupeError } from "./protocol";

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

/** What a producer asks of its client. */
export interface ProducerLink {
  isOpen(): boolean;
  call(op: string, fields: Json): Promise<Json>;
  /** Runs `task` later on this connection: never, when it is lost before. */
  later(delay_ms: number, task: () => void): void;
  random(): number;
}

interface Outgoing {
  fields: Json;
  /** In which order the application produced. */
  order: number;
  /** 0: none yet. */
  seq: number;
  /** It went out once, and nobody knows what became of it: its sequence number must stay. */
  uncertain: boolean;
  resolve: (produced: Produced) => void;
  reject: (error: TroupeError) => void;
  timer: ReturnType<typeof setTimeout> | undefined;
  over: boolean;
}

/** The server remembers that many sequence numbers of a producer. */
const window_max = 64;

/**
 * Records on their way. In the application's order; each under one sequence number for as long as it may have been written.
 *
 *   outgoing ── sent ──> in flight ── answered ──> over
 *      ^── connection lost, put off ──┘
 */
export class Producer {
  #outgoing: Outgoing[] = [];
  #in_flight = new Set<Outgoing>();
  #in_flight_max = window_max;
  #held_until = 0;
  #next_seq = 1;
  #next_order = 1;

  constructor(
    private readonly pid: string,
    private readonly waiting_max: number,
    private readonly link: ProducerLink,
  ) {}

  produce(topic: string, record: RecordToProduce, options: ProduceOptions): Promise<Produced> {
    const { acks, timeout = 30_000, seq } = options;
    if (this.#outgoing.length + this.#in_flight.size >= this.waiting_max) {
      return Promise.reject(new TroupeError("queue_full", `${this.waiting_max} records wait already.`, 0, true));
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
      if (timeout > 0) item.timer = setTimeout(() => this.#give_up(item), timeout);
      this.#outgoing.push(item);
    });
  }

  /** A connection is there, and allows so many at a time. */
  start(in_flight_max: number | undefined): void {
    // One less than is allowed: with all of it under way the server reads no further command, not even a ping.
    this.#in_flight_max = Math.max(1, Math.min(in_flight_max ?? window_max, window_max) - 1);
    this.flush();
  }

  flush(): void {
    while (this.link.isOpen() && Date.now() >= this.#held_until && this.#in_flight.size < this.#in_flight_max) {
      const item = this.#outgoing.shift();
      if (!item) return;
      void this.#transmit(item);
    }
  }

  /** The connection is gone: what was under way waits for the next one, in its order and with its numbers. */
  interrupt(): void {
    for (const item of this.#in_flight) {
      item.uncertain = true;
      this.#outgoing.push(item);
    }
    this.#in_flight.clear();
    this.#outgoing.sort(byOrder);
    this.#held_until = 0;
  }

  /** There will be no other connection. */
  fail(error: TroupeError): void {
    for (const item of this.#outgoing.splice(0)) this.#finish(item, () => item.reject(withSeq(error, item)));
  }

  async #transmit(item: Outgoing): Promise<void> {
    if (item.seq === 0) item.seq = this.#next_seq++;
    this.#in_flight.add(item);
    try {
      const { p, o, ts, dup } = await this.link.call("produce", { ...item.fields, pid: this.pid, seq: item.seq });
      const produced = {
        partition: Number(p ?? -1),
        offset: Number(o ?? -1),
        timestamp: Number(ts ?? 0),
        duplicate: dup === true,
      };
      this.#finish(item, () => item.resolve(produced));
    } catch (thrown) {
      const error = thrown instanceof TroupeError ? thrown : parseError(undefined);
      if (error.code === "disconnected" || item.over) return; // it is in the queue again
      const unknown = error.code === "timeout" || error.code === "outcome_unknown";
      if (unknown || error.retry) this.#again(item, unknown, error.afterMs);
      else this.#finish(item, () => item.reject(error));
    }
    this.flush();
  }

  #again(item: Outgoing, unknown: boolean, after_ms: number): void {
    this.#in_flight.delete(item);
    item.uncertain ||= unknown;
    // Nothing of it was written: a new number, for later ones may have been and an older one would be refused.
    if (!item.uncertain) item.seq = 0;
    this.#outgoing.push(item);
    this.#outgoing.sort(byOrder);
    const wait = Math.max(after_ms, 200 + this.link.random() * 800);
    this.#held_until = Date.now() + wait;
    this.link.later(wait, () => this.flush());
  }

  #give_up(item: Outgoing): void {
    const sent = this.#in_flight.has(item);
    const error = withSeq(new TroupeError("timeout", "The record was not acknowledged in time.", 50004, true), item, sent);
    this.#finish(item, () => item.reject(error));
  }

  #finish(item: Outgoing, settle: () => void): void {
    if (item.over) return;
    item.over = true;
    clearTimeout(item.timer);
    this.#in_flight.delete(item);
    this.#outgoing = this.#outgoing.filter((other) => other !== item);
    settle();
  }
}

const byOrder = (a: Outgoing, b: Outgoing): number => a.order - b.order;

/** With its sequence number, when a record may have been written. */
function withSeq(error: TroupeError, item: Outgoing, sent = false): TroupeError {
  const seq = item.uncertain || sent ? item.seq : undefined;
  return new TroupeError(error.code, error.message, error.num, error.retry, error.afterMs, seq);
}
