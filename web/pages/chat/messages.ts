// The list of a room's messages: records in the order of their offsets, days and gaps between them.
import type { TroupeRecord } from "../../client/troupe";
import { create } from "../connection";

export interface Message {
  from: string;
  text: string;
  timestamp: number;
  /** Place in the log: orders messages and tells them apart. */
  partition: number;
  offset: number;
}

/** A record's message, or undefined when it is none. */
export function toMessage({ value, timestamp, partition, offset }: TroupeRecord): Message | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { from, text } = value as Record<string, unknown>;
  if (typeof from !== "string" || typeof text !== "string") return undefined;
  return { from: from.slice(0, 60), text: text.slice(0, 4_000), timestamp, partition, offset };
}

const same_speaker_ms = 5 * 60_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const short_clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** An element for a message. Text nodes only: what people write is never markup. */
export function renderMessage(
  message: Pick<Message, "from" | "text" | "timestamp">,
  first: boolean,
  mine: boolean,
): HTMLLIElement {
  const item = create("li", `message${first ? " first" : ""}${mine ? " mine" : ""}`);
  const time = create("time", "", (first ? clock : short_clock).format(message.timestamp));
  time.dateTime = new Date(message.timestamp).toISOString();
  time.title = exact.format(message.timestamp);
  if (first) {
    const face = create("span", "face", (message.from.match(/[\p{L}\p{N}]/u)?.[0] ?? "?").toUpperCase());
    face.setAttribute("aria-hidden", "true");
    face.style.setProperty("--hue", String(hueOf(message.from)));
    const byline = create("p", "byline");
    byline.append(create("b", "", message.from), time);
    item.append(face, byline);
  } else {
    item.append(time);
  }
  item.append(create("p", "text", message.text));
  return item;
}

export class MessageList {
  #messages: Message[] = [];
  #gaps: { after: number; text: string }[] = [];

  constructor(
    private readonly list: HTMLElement,
    private readonly isMine: (from: string) => boolean,
  ) {}

  get length(): number {
    return this.#messages.length;
  }

  clear(): void {
    this.#messages = [];
    this.#gaps = [];
    this.list.replaceChildren();
  }

  /** At the end, as they come. */
  append(message: Message): void {
    const before = this.#messages.at(-1);
    this.#messages.push(message);
    this.list.append(...this.#render(message, before));
  }

  /** Older ones, in the order of the log. */
  prepend(older: Message[]): void {
    this.#messages.unshift(...older);
    for (const gap of this.#gaps) gap.after += older.length;
    this.render();
  }

  addGap(text: string): void {
    this.#gaps.push({ after: this.#messages.length, text });
    this.list.append(create("li", "gap", text));
  }

  /** Everything again: a name has changed, or older ones have come. */
  render(): void {
    const items: Node[] = [];
    this.#messages.forEach((message, index) => {
      for (const { after, text } of this.#gaps) if (after === index) items.push(create("li", "gap", text));
      items.push(...this.#render(message, this.#messages[index - 1]));
    });
    for (const { after, text } of this.#gaps) if (after >= this.#messages.length) items.push(create("li", "gap", text));
    this.list.replaceChildren(...items);
  }

  #render(message: Message, before: Message | undefined): HTMLElement[] {
    const day = calendar.format(message.timestamp);
    const new_day = !before || calendar.format(before.timestamp) !== day;
    const first = new_day || before.from !== message.from || message.timestamp - before.timestamp > same_speaker_ms;
    const item = renderMessage(message, first, this.isMine(message.from));
    item.dataset.place = `${message.partition}:${message.offset}`;
    return new_day ? [create("li", "day", day), item] : [item];
  }
}

/** The same color for the same name, everywhere. */
function hueOf(name: string): number {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return hash;
}
