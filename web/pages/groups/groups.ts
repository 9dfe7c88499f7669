import { TroupeClient } from "../../client/troupe";
import { create, element, showConnection, tell } from "../connection";
import { Crew } from "./crew";
import { type Lane, Lanes } from "./lanes";
import { type Board, changes, handledBetween, type Member, toBoard } from "./model";

const topic = "OrderRequests";
const group = "OrderProcessors";
const partitions = 12;
const work_ms = 20; // an order keeps a worker busy so long: 100 orders a second are too many for one
const grace_ms = 3_000; // a killed worker's membership waits so long for it to come back
const calm_ms = 700; // between two looks at the group
const busy_ms = 200;
const rate_over_ms = 4_000;
const story_max = 6;

const client = new TroupeClient("/v1/ws", { client: "groups page" });
const lanes = new Lanes(element("lanes"));
const crew = new Crew(
  { group, topic, work_ms, grace_ms },
  (partition) => lanes.flash(partition),
  (hand, why) => tellStory(`${hand.name} has ended: ${why}`),
);
const killed_at = new Map<string, number>();

/** Of the topic; undefined: there is none. */
let count: number | undefined;
let has_group = false;
let board: Board | undefined;
let handled: { at: number; orders: number }[] = [];

// --- what the node says -----------------------------------------------------------------------------------------------------------

async function ask(path: string): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Lists first: what is not there is no error. */
async function look(): Promise<void> {
  if (count === undefined) {
    const { topics } = (await ask("/v1/topics")) as { topics: { name: string; partition_count: number }[] };
    count = topics.find(({ name }) => name === topic)?.partition_count;
  }
  if (!has_group) {
    const { groups } = (await ask("/v1/groups")) as { groups: { group: string }[] };
    has_group = groups.some((one) => one.group === group);
  }
  let answer: unknown;
  if (has_group) {
    try {
      answer = await ask(`/v1/groups/${group}`);
    } catch {
      has_group = false; // it may have been deleted: the list knows
    }
  }
  show(toBoard(answer, topic, count ?? 0));
}

async function watch(): Promise<void> {
  try {
    if (!document.hidden) await look();
  } catch {
    // The bar says that nobody answers.
  }
  const busy = board?.state === "reconciling" || crew.hands.some(isUnsettled);
  setTimeout(() => void watch(), busy ? busy_ms : calm_ms);
}

/** It has come, or gone, and the group does not show it yet. */
const isUnsettled = ({ client: name, state }: { client: string; state: string }): boolean =>
  (board?.members.some((member) => member.client === name) ?? false) !== (state === "working");

// --- what is shown ----------------------------------------------------------------------------------------------------------------

const nameOf = (name: string): string => crew.find(name)?.name ?? name;

function laneOf(member: Member): Lane {
  const hand = crew.find(member.client);
  if (!hand) return { name: nameOf(member.client), says: "elsewhere", dead: false };
  if (hand.state === "working") {
    return {
      name: hand.name,
      says: `${hand.handled} handled`,
      dead: false,
      leave: () => crew.leave(hand),
      kill: () => {
        killed_at.set(hand.client, Date.now());
        crew.kill(hand);
        tellStory(`${hand.name} was killed. Its membership waits ${grace_ms / 1000} s for it`);
        if (board) show(board);
      },
    };
  }
  const left = Math.ceil(((killed_at.get(hand.client) ?? 0) + grace_ms - Date.now()) / 1000);
  const waits = hand.state === "dead" && left > 0 ? `killed, ${left} s left` : "";
  return { name: hand.name, says: waits || (hand.state === "dead" ? "killed" : "leaving"), dead: true };
}

function show(next: Board): void {
  const now = Date.now();
  if (board) {
    handled.push({ at: now, orders: handledBetween(board, next) });
    flashElsewhere(board, next);
    if (next !== board) for (const change of changes(board, next, nameOf)) tellStory(change);
  }
  handled = handled.filter(({ at }) => at > now - rate_over_ms);
  board = next;
  lanes.show(next, laneOf);
  const exists = count !== undefined;
  element("start").hidden = exists || client.state !== "open";
  element<HTMLButtonElement>("add").disabled = !exists;
  element<HTMLFieldSetElement>("orders").disabled = !exists;
  element("state").textContent = next.state;
  element("state").dataset.state = next.state;
  element("members").textContent = String(next.members.length);
  element("lag").textContent = next.places.reduce((sum, { lag }) => sum + lag, 0).toLocaleString("en");
  const over = Math.min(rate_over_ms, Math.max(calm_ms, now - (handled[0]?.at ?? now)));
  element("rate").textContent = String(Math.round((handled.reduce((sum, { orders }) => sum + orders, 0) * 1000) / over));
}

/** Workers of this page say themselves when an order is done. */
function flashElsewhere(before: Board, after: Board): void {
  for (const { partition, committed, member } of after.places) {
    const whose = after.members.find(({ id }) => id === member)?.client;
    const was = before.places[partition]?.committed;
    if (whose !== undefined && !crew.find(whose) && committed !== undefined && was !== undefined && committed > was)
      lanes.flash(partition);
  }
}

function tellStory(text: string): void {
  const line = create("li");
  const at = new Date();
  const time = create("time", "", at.toLocaleTimeString("en-GB"));
  time.dateTime = at.toISOString();
  line.append(time, text);
  const story = element("story");
  story.prepend(line);
  while (story.childElementCount > story_max) story.lastElementChild?.remove();
}

// --- orders -----------------------------------------------------------------------------------------------------------------------

const goods = ["espresso", "green tea", "cocoa", "water", "bagel", "apple"];
let rate = 0;
let ordered = 0;
let due = 0;
let last_tick = Date.now();

function order(): void {
  const now = Date.now();
  due = Math.min(rate, due + (rate * (now - last_tick)) / 1000);
  last_tick = now;
  for (; due >= 1 && client.state === "open"; --due) {
    const value = { order: ++ordered, item: goods[ordered % goods.length], quantity: 1 + (ordered % 4) };
    const customer = `customer-${Math.floor(Math.random() * 200)}`;
    client.produce(topic, { key: customer, value }).catch((error: Error) => tell(element("notice"), error.message, "error"));
  }
}

function setRate(orders_a_second: number): void {
  rate = orders_a_second;
  due = 0;
  last_tick = Date.now();
  const choice = document.querySelector<HTMLInputElement>(`#orders input[value="${orders_a_second}"]`);
  if (choice) choice.checked = true;
}

async function begin(): Promise<void> {
  const button = element<HTMLButtonElement>("begin");
  button.disabled = true;
  try {
    const body = JSON.stringify({ name: topic, partitions, config: { "retention.ms": "3600000" } });
    const headers = { "Content-Type": "application/json" };
    const made = await fetch("/v1/topics", { method: "POST", headers, body });
    if (!made.ok && made.status !== 409) throw new Error(((await made.json()) as { message?: string }).message ?? "refused");
    count = partitions;
    setRate(20);
    crew.add();
    crew.add();
  } catch (error) {
    tell(element("notice"), `The topic was not made: ${(error as Error).message}`, "error");
  }
  button.disabled = false;
}

element("begin").addEventListener("click", () => void begin());
element("add").addEventListener("click", () => crew.add());
element("orders").addEventListener("change", ({ target }) => setRate(Number((target as HTMLInputElement).value)));
setInterval(order, 50);
showConnection(client, "Workers of this page join again by themselves.");
client.connect();
void watch();
