// Messages on their way: shown at once, marked until the log has them.
import { type Produced, type TroupeClient, TroupeError } from "../../client/troupe";
import { create } from "../connection";
import { renderMessage } from "./messages";

const header = "chat-id";
const patience_ms = 30_000;

interface Letter {
  room: string;
  from: string;
  text: string;
  id: string;
  seq: number | undefined;
  item: HTMLElement;
}

export class Outbox {
  #letters = new Map<string, Letter>();
  #next = 1;

  constructor(
    private readonly client: TroupeClient,
    private readonly topic: string,
    private readonly list: HTMLElement,
    private readonly onChange: () => void,
  ) {
    client.on("state", () => this.#remark());
  }

  send(room: string, from: string, text: string): void {
    const id = `${this.client.pid}-${this.#next++}`;
    const item = renderMessage({ from, text, timestamp: Date.now() }, true, true);
    const letter: Letter = { room, from, text, id, seq: undefined, item };
    this.#letters.set(id, letter);
    this.list.append(item);
    void this.#post(letter);
  }

  /** The log has shown it to us: the letter gives way to the record. */
  arrived(headers: Record<string, string>): void {
    const id = headers[header];
    if (id !== undefined) this.#remove(id);
  }

  /** Only the letters of this room are shown. */
  show(room: string): void {
    for (const letter of this.#letters.values()) letter.item.hidden = letter.room !== room;
  }

  async #post(letter: Letter): Promise<void> {
    this.#mark(letter, "waiting", this.client.state === "open" ? "" : "Will be sent when the connection is back");
    const { room, from, text, id, seq } = letter;
    const record = { key: room, value: { from, text }, headers: { [header]: id } };
    try {
      // A letter that may have been written keeps its number: it cannot be in the log twice.
      const produced: Produced = await this.client.produce(this.topic, record, {
        timeout: patience_ms,
        ...(seq !== undefined && { seq }),
      });
      letter.item.dataset.place = `${produced.partition}:${produced.offset}`;
      this.#mark(letter, "sent", "");
      if (letter.item.hidden) this.#remove(id); // its room is not open: the record will be there when it is
    } catch (error) {
      if (!this.#letters.has(id)) return;
      const reason = error instanceof TroupeError ? error : new TroupeError("internal", String(error));
      letter.seq = reason.seq;
      this.#mark(letter, "failed", reason.code === "timeout" ? "Not sent: no answer." : `Not sent: ${reason.message}`);
      this.#offerRetry(letter);
    }
  }

  #offerRetry(letter: Letter): void {
    const again = create("button", "", "Try again");
    again.type = "button";
    again.addEventListener("click", () => void this.#post(letter));
    const drop = create("button", "", "Discard");
    drop.type = "button";
    drop.addEventListener("click", () => this.#remove(letter.id));
    letter.item.querySelector(".fate")?.append(again, drop);
  }

  #mark({ item }: Letter, state: "waiting" | "sent" | "failed", words: string): void {
    item.classList.remove("waiting", "sent", "failed");
    item.classList.add(state);
    item.querySelector(".fate")?.remove();
    if (words) item.append(create("p", "fate", words));
    this.onChange();
  }

  #remark(): void {
    const words = this.client.state === "open" ? "" : "Will be sent when the connection is back";
    for (const letter of this.#letters.values())
      if (letter.item.classList.contains("waiting")) this.#mark(letter, "waiting", words);
  }

  #remove(id: string): void {
    this.#letters.get(id)?.item.remove();
    this.#letters.delete(id);
    this.onChange();
  }
}
