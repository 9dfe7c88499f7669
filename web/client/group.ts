import { Emitter } from "./emitter";
import { type Credit, type Gap, isObject, type Json, parseError, parseRecord, TroupeError, type TroupeRecord } from "./protocol";
import type { Link } from "./subscription";

export interface GroupOptions {
  /** Where the group begins in a partition in which it has no position. By default latest. */
  otherwise?: "earliest" | "latest" | "none";
  /** And all topics whose names it matches. */
  pattern?: string;
  /** Name of a static member: it comes back as the same one. */
  instance?: string;
  format?: "auto" | "json" | "text" | "binary";
  /** How many records may be waiting to be worked on. By default 256. */
  credit?: Credit;
}

/** Partitions by topic. */
export type Partitions = Record<string, number[]>;

/**
 *   joining ── assigned ──> member ──> joining (connection lost)        any ── close(), error, `ended` ──> ended
 */
export type GroupState = "joining" | "member" | "ended";

interface GroupEvents {
  state: [state: GroupState];
  assigned: [partitions: Partitions];
  /** No records of these follow; those that wait here are dropped, and will be another member's. */
  revoked: [partitions: Partitions];
  /** The group went on without us: others may have these already. */
  lost: [partitions: Partitions];
  gap: [gap: Gap];
  error: [error: TroupeError];
}

const ack_after_ms = 100;

/** The work of a member: done when it returns, or when its promise is fulfilled. */
export type Work<Value> = (record: TroupeRecord<Value>) => void | Promise<void>;

/**
 * A member of a group: its share of the topics' records, one after the other. A record is acknowledged when the work on it is done; work
 * that fails ends the subscription, and the record comes again elsewhere.
 */
export class GroupSubscription<Value = unknown> extends Emitter<GroupEvents> {
  readonly #topics: string[];
  readonly #credit: Credit;
  #state: GroupState = "joining";
  #queue: TroupeRecord<Value>[] = [];
  #working = false;
  #current: TroupeRecord<Value> | undefined;
  #connection = 0;
  #done = new Map<string, Map<number, number>>();
  #owed = 0;
  #acking: ReturnType<typeof setTimeout> | undefined;
  #attempts = 0;
  #finishing: (() => void)[] = []; // after the work that is under way

  constructor(
    readonly id: string,
    readonly group: string,
    topics: string | string[],
    private readonly options: GroupOptions,
    private readonly work: Work<Value>,
    private readonly link: Link,
  ) {
    super();
    this.#topics = typeof topics === "string" ? [topics] : topics;
    this.#credit = options.credit ?? { msgs: 256 };
  }

  get state(): GroupState {
    return this.#state;
  }

  /** Leaves the group. What is done is acknowledged first. */
  close(): void {
    if (this.#state === "ended") return;
    this.#acknowledge();
    this.link.send({ op: "unsubscribe", sub: this.id });
    this.#end();
  }

  // --- called by the client -----------------------------------------------------------------------------------------------------

  async attach(): Promise<void> {
    if (this.#state === "ended") return;
    try {
      await this.link.call("subscribe", {
        sub: this.id,
        topics: this.#topics.length > 0 ? this.#topics : undefined,
        pattern: this.options.pattern,
        group: this.group,
        mode: "group",
        ack: "manual",
        instance: this.options.instance,
        from: { committed: true, else: this.options.otherwise ?? "latest" },
        credit: this.#credit,
        format: this.options.format,
      });
      this.#attempts = 0;
    } catch (error) {
      this.#refused(error as TroupeError);
    }
  }

  /** What waits here comes again: to us, when we are back in time, or to another member. */
  detach(): void {
    ++this.#connection;
    this.#queue = [];
    this.#done.clear();
    this.#owed = 0;
    if (this.#state !== "ended") this.#set_state("joining");
  }

  receive(frame: Json, _source: string): void {
    if (this.#state === "ended") return;
    if (frame.ev === "records") this.#receive_records(frame);
    if (frame.ev === "sub") this.#receive_state(frame);
  }

  fail(error: TroupeError): void {
    if (this.#state === "ended") return;
    this.#end();
    this.emit("error", error);
  }

  /** Another member is to have the record. */
  #work_failed(error: unknown): void {
    if (this.#state === "ended") return;
    this.#acknowledge();
    this.link.send({ op: "unsubscribe", sub: this.id });
    this.fail(new TroupeError("work_failed", error instanceof Error ? error.message : String(error)));
  }

  save_now(): void {
    this.#acknowledge();
  }

  // --- the server's side ----------------------------------------------------------------------------------------------------------

  #refused(error: TroupeError): void {
    if (this.#state === "ended" || error.code === "disconnected") return;
    if (error.code === "timeout") this.link.drop("no answer to subscribe");
    else if (error.retry) this.#attach_later(error);
    else this.fail(error);
  }

  #attach_later(error: TroupeError): void {
    this.detach();
    const wait = Math.max(error.afterMs, Math.min(10_000, 250 * 2 ** this.#attempts++));
    this.link.later(wait, () => void this.attach());
  }

  #receive_state(frame: Json): void {
    const partitions = partitionsOf(frame.partitions);
    if (frame.state === "assigned") {
      this.#set_state("member");
      this.emit("assigned", partitions);
    } else if (frame.state === "revoking") {
      this.#let_go(partitions);
    } else if (frame.state === "revoked") {
      this.#drop(partitions);
      this.emit("revoked", partitions);
    } else if (frame.state === "lost") {
      this.#drop(partitions);
      this.emit("lost", partitions);
    } else if (frame.state === "gap" || frame.state === "reset") {
      const places = (isObject(frame.partitions) ? frame.partitions : {}) as Gap["partitions"];
      this.#drop(Object.fromEntries(Object.entries(places).map(([topic, of]) => [topic, Object.keys(of).map(Number)])));
      this.emit("gap", { reason: typeof frame.reason === "string" ? frame.reason : frame.state, partitions: places });
    } else if (frame.state === "ended") {
      const error = isObject(frame.err) ? parseError(frame.err) : new TroupeError("ended", "The server ended the subscription.");
      if (error.retry) this.#attach_later(error);
      else this.fail(error);
    }
  }

  /** Records that nobody has begun with go; the one that is worked on is waited for. */
  #let_go(partitions: Partitions): void {
    this.#drop_waiting(partitions);
    const connection = this.#connection;
    const finish = (): void => {
      if (connection !== this.#connection || this.#state === "ended") return;
      this.#acknowledge();
      this.link.send({ op: "revoked", sub: this.id, partitions });
    };
    const current = this.#current;
    if (current && has(partitions, current)) this.#finishing.push(finish);
    else finish();
  }

  #drop_waiting(partitions: Partitions): void {
    const kept = this.#queue.filter((record) => !has(partitions, record));
    this.#owed += this.#queue.length - kept.length;
    this.#queue = kept;
    this.#return_credit();
  }

  #drop(partitions: Partitions): void {
    this.#drop_waiting(partitions);
    for (const [topic, numbers] of Object.entries(partitions)) {
      for (const number of numbers) this.#done.get(topic)?.delete(number);
    }
  }

  #receive_records(frame: Json): void {
    for (const wire of Array.isArray(frame.r) ? (frame.r as unknown[]) : []) {
      const record = parseRecord<Value>(wire, this.#topics[0] ?? "", "live");
      if (record) this.#queue.push(record);
      else ++this.#owed;
    }
    void this.#run();
  }

  // --- the work -------------------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let record = this.#queue.shift(); record; record = this.#queue.shift()) {
      const connection = this.#connection;
      this.#current = record;
      try {
        await this.work(record);
      } catch (error) {
        this.#work_failed(error);
      }
      this.#current = undefined;
      if (this.#state === "ended") break;
      if (connection === this.#connection) this.#finished(record);
      for (const finish of this.#finishing.splice(0)) finish();
    }
    this.#working = false;
  }

  #finished({ topic, partition, offset }: TroupeRecord<Value>): void {
    const of_topic = this.#done.get(topic) ?? new Map<number, number>();
    this.#done.set(topic, of_topic.set(partition, offset));
    ++this.#owed;
    this.#return_credit();
    this.#acking ??= setTimeout(() => this.#acknowledge(), ack_after_ms);
  }

  #acknowledge(): void {
    clearTimeout(this.#acking);
    this.#acking = undefined;
    const upto = Object.fromEntries([...this.#done].map(([topic, of]) => [topic, Object.fromEntries(of)]));
    this.#done.clear();
    for (const topic of Object.keys(upto)) if (Object.keys(upto[topic] ?? {}).length === 0) delete upto[topic];
    if (Object.keys(upto).length > 0) this.link.send({ op: "ack", sub: this.id, upto });
  }

  /** Half a window at a time. */
  #return_credit(): void {
    if (this.#owed * 2 < this.#credit.msgs) return;
    this.link.send({ op: "credit", sub: this.id, msgs: this.#owed });
    this.#owed = 0;
  }

  #end(): void {
    clearTimeout(this.#acking);
    this.#queue = [];
    this.#set_state("ended");
    this.link.forget(this.id);
  }

  #set_state(state: GroupState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit("state", state);
  }
}

const has = (partitions: Partitions, { topic, partition }: TroupeRecord): boolean =>
  partitions[topic]?.includes(partition) ?? false;

function partitionsOf(value: unknown): Partitions {
  if (!isObject(value)) return {};
  return Object.fromEntries(
    Object.entries(value).map(([topic, numbers]) => [
      topic,
      Array.isArray(numbers) ? numbers.filter((number): number is number => typeof number === "number") : [],
    ]),
  );
}
