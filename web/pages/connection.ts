// What both pages say about their connection.
import type { ClientState, TroupeClient, Why } from "../client/troupe";

/** The element with this id, which the page's HTML has. */
export function element<Kind extends HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found as Kind;
}

/** A new element with text: text only, never markup. */
export function create<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, className = "", text = ""): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Keeps the bar's mark up to date, and the notice below it while there is something to say. */
export function showConnection(client: TroupeClient, whileAway: string): void {
  const mark = element("connection");
  const notice = element("notice");
  let retry_at = 0;
  let was_open = false;
  const update = (state: ClientState, why: Why): void => {
    mark.dataset.state = state;
    retry_at = why.retryInMs === undefined ? 0 : Date.now() + why.retryInMs;
    if (state === "open") {
      mark.textContent = "Connected";
      was_open = true;
      notice.hidden = true;
    } else if (state === "connecting") {
      mark.textContent = was_open ? "Reconnecting" : "Connecting";
    } else if (state === "backoff") {
      mark.textContent = "Reconnecting";
      tell(notice, was_open ? `The connection was lost. ${whileAway}` : "This node does not answer. Trying again.");
    } else {
      mark.textContent = "Closed";
      tell(notice, why.code === 4003 ? "This page was opened elsewhere." : `The connection is closed: ${why.reason}`, "error");
    }
  };
  client.on("state", update);
  setInterval(() => {
    const seconds = Math.ceil((retry_at - Date.now()) / 1000);
    if (client.state === "backoff" && seconds > 1) mark.textContent = `Reconnecting in ${seconds} s`;
  }, 500);
}

export function tell(notice: HTMLElement, text: string, kind: "warning" | "error" = "warning"): void {
  notice.textContent = text;
  notice.dataset.kind = kind;
  notice.hidden = false;
}
