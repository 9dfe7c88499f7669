import { type Gap, type Subscription, TroupeClient, type TroupeError, type TroupeRecord } from "../../client/troupe";
import { create, element, showConnection, tell } from "../connection";
import { type Message, MessageList, toMessage } from "./messages";
import { Outbox } from "./outbox";

const topic = "ChatMessages";
const page_size = 50;
/** A room that has grown beyond it begins afresh with its newest messages, when nobody reads further up. */
const shown_max = 3_000;

const scroller = element("scroller");
const name_field = element<HTMLInputElement>("name");
const text_field = element<HTMLTextAreaElement>("text");
const older_button = element<HTMLButtonElement>("older");
const client = new TroupeClient("/v1/ws", { client: "chat/0.1" });
const messages = new MessageList(element("messages"), (from) => from === name_field.value.trim());
const outbox = new Outbox(client, topic, element("outbox"), () => update());
const rooms = new Set(["lobby", "debian", "quake", "code"]);

let room = "";
let subscription: Subscription | undefined;
/** Where `history` goes on backwards. */
let before: string | undefined;
let at_beginning = false;
let loading_older = false;
let sticky = true;
let unseen = 0;

// --- rooms ----------------------------------------------------------------------------------------------------------------------------

function openRoom(name: string): void {
  room = name;
  rooms.add(name);
  subscription?.close();
  messages.clear();
  [before, at_beginning, loading_older, sticky, unseen] = [undefined, false, false, true, 0];
  element("title").textContent = `#${name}`;
  document.title = `#${name} · Troupe chat`;
  outbox.show(name);
  listRooms();
  element("status").textContent = "Loading messages";
  const current = (): boolean => subscription === opened;
  const options = { keys: [name], from: { last: page_size }, onGap: (gap: Gap) => current() && showGap(gap) };
  const opened: Subscription = client.subscribe(topic, options, (record) => current() && receive(record));
  subscription = opened;
  opened.on("state", (state) => {
    if (!current()) return;
    before ??= opened.start;
    if (state === "live") element("status").textContent = "";
    update();
  });
  opened.on("error", (error) => current() && complain(error));
  update();
}

function listRooms(): void {
  const links = [...rooms].map((name) => {
    const link = create("a", "", `#${name}`);
    link.href = `#${encodeURIComponent(name)}`;
    if (name === room) link.setAttribute("aria-current", "true");
    const item = create("li");
    item.append(link);
    return item;
  });
  element("rooms").replaceChildren(...links);
}

function roomOfAddress(): string {
  try {
    return decodeURIComponent(location.hash.slice(1)).slice(0, 40) || "lobby";
  } catch {
    return "lobby";
  }
}

function complain(error: TroupeError): void {
  if (error.code === "unknown_topic") {
    element("status").textContent = `This node has no topic ${topic} yet. Waiting for it.`;
    const waiting_for = room;
    setTimeout(() => room === waiting_for && openRoom(room), 3_000);
  } else if (client.state !== "closed") {
    tell(element("notice"), `This room cannot be read: ${error.message}`, "error");
  }
}

// --- messages -------------------------------------------------------------------------------------------------------------------------

function receive(record: TroupeRecord): void {
  outbox.arrived(record.headers);
  const message = toMessage(record);
  if (!message) return;
  if (messages.length >= shown_max && sticky) {
    openRoom(room);
    return;
  }
  messages.append(message);
  if (!sticky && record.phase === "live") ++unseen;
  update();
}

function showGap({ reason, action, partitions }: Gap): void {
  const ranges = Object.values(partitions).flatMap((topic) => Object.values(topic));
  const lost = ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
  if (action === "restart") messages.addGap("The log has changed: what follows begins afresh.");
  else if (reason === "retention") messages.addGap(`Up to ${lost} records were deleted by retention before they could be read.`);
  else messages.addGap("Messages may be missing here.");
  update();
}

/** Puts older messages above, and leaves what is being read where it is. */
async function loadOlder(): Promise<void> {
  const from = before ?? subscription?.start;
  if (loading_older || at_beginning || from === undefined || client.state !== "open") return;
  loading_older = true;
  const of_room = room;
  update();
  try {
    const page = await client.history(topic, { keys: [room], before: from, limit: page_size });
    if (of_room !== room) return;
    before = page.cursor ?? from;
    at_beginning = page.end || page.records.length === 0;
    const older = page.records.map(toMessage).filter((message): message is Message => message !== undefined);
    const from_bottom = scroller.scrollHeight - scroller.scrollTop;
    messages.prepend(older.sort((a, b) => a.partition - b.partition || a.offset - b.offset));
    scroller.scrollTop = scroller.scrollHeight - from_bottom;
  } catch (error) {
    if (of_room === room) element("status").textContent = `Older messages did not come: ${(error as Error).message}`;
  } finally {
    if (of_room === room) loading_older = false;
    update();
  }
}

/** Brings the page in line with the state, and the newest message into sight for who reads there. */
function update(): void {
  older_button.hidden = at_beginning || messages.length === 0 || (before ?? subscription?.start) === undefined;
  older_button.textContent = loading_older ? "Loading older messages" : "Show older messages";
  element("beginning").hidden = !at_beginning || messages.length === 0;
  const empty = element("empty");
  empty.hidden = messages.length > 0 || element("outbox").childElementCount > 0 || subscription?.state !== "live";
  empty.textContent = `Nobody has written in #${room} yet.`;
  if (sticky) {
    unseen = 0;
    scroller.scrollTop = scroller.scrollHeight;
  }
  const newest = element("newest");
  newest.hidden = unseen === 0;
  newest.textContent = unseen === 1 ? "1 new message ↓" : `${unseen} new messages ↓`;
}

scroller.addEventListener(
  "scroll",
  () => {
    const was_sticky = sticky;
    sticky = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
    if (sticky && !was_sticky) update();
    if (scroller.scrollTop < 120 && !sticky) void loadOlder();
  },
  { passive: true },
);
older_button.addEventListener("click", () => void loadOlder());
element("newest").addEventListener("click", () => {
  sticky = true;
  update();
});

// --- writing --------------------------------------------------------------------------------------------------------------------------

function send(): void {
  const text = text_field.value.trim();
  if (text === "") return;
  sticky = true;
  outbox.send(room, name_field.value.trim() || "guest", text);
  text_field.value = "";
  text_field.focus();
}

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
text_field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});

const name_key = "troupe-chat-name";

function keepName(): void {
  const name = name_field.value.trim() || `guest-${100 + Math.floor(Math.random() * 900)}`;
  name_field.value = name;
  try {
    localStorage.setItem(name_key, name);
  } catch {
    // A browser that keeps nothing: the name lasts as long as the page.
  }
  messages.render();
}

function recallName(): string {
  try {
    return localStorage.getItem(name_key) ?? "";
  } catch {
    return "";
  }
}

name_field.addEventListener("change", keepName);
addEventListener("storage", (event) => {
  if (event.key !== name_key || !event.newValue) return;
  name_field.value = event.newValue;
  messages.render();
});

// --- start ----------------------------------------------------------------------------------------------------------------------------

element("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const other = element<HTMLInputElement>("other");
  location.hash = encodeURIComponent(other.value.trim());
  other.value = "";
});
addEventListener("hashchange", () => openRoom(roomOfAddress()));
addEventListener("resize", () => update());
name_field.value = recallName();
keepName();
showConnection(client, "Messages you write now are kept and sent when it is back.");
openRoom(roomOfAddress());
