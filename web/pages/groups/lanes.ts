// The workers as lanes, and the partitions in them, which glide from one to the other.
import { create } from "../connection";
import { type Board, counted, fullness, type Member, type Place } from "./model";

export interface Lane {
  name: string;
  /** A line below the name. */
  says: string;
  /** Nobody works there any more. */
  dead: boolean;
  leave?: () => void;
  kill?: () => void;
}

const glide_ms = 450;
const nobody = "nobody";

interface Card {
  item: HTMLLIElement;
  name: HTMLHeadingElement;
  buttons: HTMLElement;
  says: HTMLElement;
  parts: HTMLUListElement;
}

export class Lanes {
  #cards = new Map<string, Card>();
  #parts = new Map<number, HTMLLIElement>();
  #hues = 0;
  readonly #calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private readonly list: HTMLElement) {}

  show(board: Board, laneOf: (member: Member) => Lane): void {
    const before = new Map([...this.#parts].map(([partition, part]) => [partition, part.getBoundingClientRect()]));
    const wanted = new Set(board.members.map(({ id }) => id));
    const waiting = board.places.filter(({ member }) => member === undefined);
    if (waiting.length > 0) wanted.add(nobody);
    for (const [id, card] of this.#cards) {
      if (wanted.has(id)) continue;
      card.item.remove();
      this.#cards.delete(id);
    }
    for (const member of board.members) {
      const card = this.#card(member.id);
      this.#describe(card, laneOf(member), member.partitions.length);
      this.#fill(
        card,
        board.places.filter((place) => place.member === member.id),
        member.leaving,
      );
    }
    if (waiting.length > 0) {
      const card = this.#card(nobody);
      this.#describe(card, { name: "Nobody", says: "", dead: false }, waiting.length);
      this.#fill(card, waiting, []);
    }
    this.#glide(before);
  }

  /** An order of this partition was handled. */
  flash(partition: number): void {
    if (this.#calm.matches) return;
    this.#parts
      .get(partition)
      ?.animate([{ filter: "brightness(1.45)" }, { filter: "none" }], { duration: 350, easing: "ease-out" });
  }

  #card(id: string): Card {
    const known = this.#cards.get(id);
    if (known) return known;
    const item = create("li", id === nobody ? "lane nobody" : "lane");
    // Neighbours differ, whoever comes and goes: the golden angle.
    item.style.setProperty("--hue", String((215 + 137.5 * this.#hues++) % 360));
    const card: Card = {
      item,
      name: create("h2"),
      buttons: create("span"),
      says: create("p", "says"),
      parts: create("ul"),
    };
    const header = create("header");
    header.append(card.name, card.buttons);
    item.append(header, card.says, card.parts);
    // Those without an owner come first: they are what one worries about.
    if (id === nobody) this.list.prepend(item);
    else this.list.append(item);
    this.#cards.set(id, card);
    return card;
  }

  #describe(card: Card, lane: Lane, partitions: number): void {
    if (card.name.textContent !== lane.name) card.name.textContent = lane.name;
    card.item.classList.toggle("dead", lane.dead);
    const says = [counted(partitions, "partition"), lane.says].filter(Boolean).join(" · ");
    if (card.says.textContent !== says) card.says.textContent = says;
    card.parts.setAttribute("aria-label", `Partitions of ${lane.name}`);
    const wanted = lane.leave && lane.kill ? 2 : 0;
    if (card.buttons.childElementCount === wanted) return;
    card.buttons.replaceChildren();
    if (lane.leave) card.buttons.append(button("Leave", lane.name, "leave", lane.leave), " ");
    if (lane.kill) card.buttons.append(button("Kill", lane.name, "kill", lane.kill));
  }

  #fill(card: Card, places: Place[], leaving: number[]): void {
    places.forEach(({ partition, lag }, index) => {
      const part = this.#part(partition);
      if (card.parts.children[index] !== part) card.parts.insertBefore(part, card.parts.children[index] ?? null);
      part.classList.toggle("moving", leaving.includes(partition));
      part.style.setProperty("--lag", fullness(lag).toFixed(3));
      const says = `Partition ${partition}: ${counted(lag, "order")} waiting`;
      if (part.title === says) return;
      part.title = says;
      (part.lastElementChild as HTMLElement).textContent = says;
    });
  }

  #part(partition: number): HTMLLIElement {
    const known = this.#parts.get(partition);
    if (known) return known;
    const part = create("li", "part");
    const shown = create("b", "", String(partition));
    shown.setAttribute("aria-hidden", "true");
    part.append(create("i"), shown, create("span", "visually-hidden"));
    this.#parts.set(partition, part);
    return part;
  }

  /** From where each partition was to where it is now. */
  #glide(before: Map<number, DOMRect>): void {
    if (this.#calm.matches) return;
    for (const [partition, part] of this.#parts) {
      const from = before.get(partition);
      const to = part.getBoundingClientRect();
      if (!from || from.width === 0) continue;
      const [x, y] = [from.left - to.left, from.top - to.top];
      if (Math.hypot(x, y) < 1) continue;
      part.animate(
        [
          { transform: `translate(${x}px, ${y}px)`, zIndex: 1 },
          { transform: "none", zIndex: 1 },
        ],
        {
          duration: glide_ms,
          easing: "cubic-bezier(0.3, 0.7, 0.2, 1)",
        },
      );
    }
  }
}

function button(text: string, whom: string, kind: string, act: () => void): HTMLButtonElement {
  const made = create("button", kind, text);
  made.type = "button";
  made.setAttribute("aria-label", `${text} ${whom}`);
  made.addEventListener("click", act);
  return made;
}
