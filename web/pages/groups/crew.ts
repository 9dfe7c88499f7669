// The workers of this page.
import type { FromWorker, Orders, ToWorker } from "./worker";

const names = ["Ana", "Ben", "Chloe", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jana", "Kai", "Lea"];

export interface Hand {
  name: string;
  /** What the group knows it by. */
  client: string;
  state: "working" | "leaving" | "dead";
  handled: number;
}

const goodbye_ms = 1_000;

export class Crew {
  readonly hands: Hand[] = [];
  #threads = new Map<Hand, Worker>();
  #hired = 0;

  constructor(
    private readonly orders: Omit<Orders, "client">,
    private readonly onDone: (partition: number) => void,
    private readonly onEnded: (hand: Hand, why: string) => void,
  ) {}

  add(): Hand {
    const turn = Math.floor(this.#hired / names.length);
    const name = `${names[this.#hired++ % names.length]}${turn > 0 ? ` ${turn + 1}` : ""}`;
    const tag = Array.from(crypto.getRandomValues(new Uint8Array(3)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const hand: Hand = { name, client: `${name}-${tag}`, state: "working", handled: 0 };
    const thread = new Worker("/groups/worker.js", { type: "module", name });
    thread.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if ("done" in data) {
        ++hand.handled;
        this.onDone(data.done);
      } else if ("ended" in data) {
        this.#end(hand, "dead");
        this.onEnded(hand, data.ended);
      }
    });
    thread.postMessage({ begin: { ...this.orders, client: hand.client } } satisfies ToWorker);
    this.#threads.set(hand, thread);
    this.hands.push(hand);
    return hand;
  }

  find(client: string): Hand | undefined {
    return this.hands.find((hand) => hand.client === client);
  }

  /** It says what is done, leaves the group, and ends. */
  leave(hand: Hand): void {
    if (hand.state !== "working") return;
    hand.state = "leaving";
    this.#threads.get(hand)?.postMessage({ leave: true } satisfies ToWorker);
    setTimeout(() => this.#end(hand, "leaving"), goodbye_ms);
  }

  /** Without a word: its thread ends here and now, and its connection with it. */
  kill(hand: Hand): void {
    this.#end(hand, "dead");
  }

  #end(hand: Hand, state: Hand["state"]): void {
    hand.state = state;
    this.#threads.get(hand)?.terminate();
    this.#threads.delete(hand);
  }
}
