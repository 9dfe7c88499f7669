import { TroupeClient, type TroupeError } from "../../client/troupe";
import { create, element, showConnection, tell } from "../connection";
import { Fleet } from "./fleet";
import { loadMap, type Point } from "./geometry";
import { Painter } from "./painter";

const topic = "DriverLocations";

const canvas = element<HTMLCanvasElement>("map");
const loading = element("loading");
const choice = element<HTMLSelectElement>("driver");
const fleet = new Fleet();
const painter = new Painter(canvas);
const client = new TroupeClient("/v1/ws", { client: "location/0.1" });

/** Times on this page are of one clock that never jumps, but for the age of a position. */
const now = (): number => performance.now();

// --- positions ------------------------------------------------------------------------------------------------------------------------

function follow(): void {
  const subscription = client.subscribe(
    topic,
    { snapshot: "latest_per_key", slow: { policy: "conflate", max_rate: 4 } },
    (record) => {
      if (fleet.take(record, now())) listDrivers();
      loading.hidden = true;
    },
  );
  subscription.on("state", (state) => {
    if (fleet.size === 0 && state !== "waiting") say("Waiting for the first positions");
  });
  subscription.on("error", (error) => complain(error));
}

function complain(error: TroupeError): void {
  if (error.code === "unknown_topic") {
    say(`This node has no topic ${topic} yet. Waiting for it.`);
    setTimeout(follow, 3_000);
  } else if (client.state !== "closed") {
    tell(element("notice"), `The positions stopped: ${error.message}`, "error");
    setTimeout(follow, 10_000);
  }
}

function say(text: string): void {
  loading.textContent = text;
  loading.hidden = false;
}

// --- the panel ------------------------------------------------------------------------------------------------------------------------

function listDrivers(): void {
  const listed = [...fleet.drivers()].sort((a, b) => a.id.localeCompare(b.id));
  const options = listed.map(({ id, line }) => {
    const option = create("option", "", line === id ? id : `${id}, ${line}`);
    option.value = id;
    return option;
  });
  choice.replaceChildren(choice.options[0] as HTMLOptionElement, ...options);
  choice.value = fleet.selected?.id ?? "";
}

function select(id: string): void {
  fleet.selected = fleet.get(id);
  choice.value = fleet.selected?.id ?? "";
  showFigures();
}

const directions = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"];

function showFigures(): void {
  const { rate, age } = fleet.figures(now());
  const connected = client.state === "open";
  element("drivers").textContent = String(fleet.size);
  element("rate").textContent = connected ? String(rate) : "–";
  element("age").textContent = connected && age !== undefined ? String(Math.round(age)) : "–";
  const driver = fleet.selected;
  element("details").hidden = !driver;
  if (!driver) return;
  const seconds = Math.max(0, Math.round((now() - driver.received) / 1000));
  element("line-color").style.backgroundColor = painter.color(driver.line);
  element("line").textContent = driver.line;
  element("speed").textContent = `${Math.round(driver.speed * 3.6)} km/h`;
  element("heading").textContent = `${Math.round(driver.heading)}° ${directions[Math.round(driver.heading / 45) % 8] ?? ""}`;
  element("position").textContent = `${driver.latitude.toFixed(4)}, ${driver.longitude.toFixed(4)}`;
  element("seen").textContent = seconds < 2 ? "just now" : `${seconds} s ago`;
}

// --- hands on the map -----------------------------------------------------------------------------------------------------------------

function attachPointers(): void {
  const pointers = new Map<number, Point>();
  let moved = 0;
  const placeOf = (event: MouseEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, placeOf(event));
    if (pointers.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const at = placeOf(event);
    canvas.classList.toggle("pointing", !before && painter.find(fleet, at, now()) !== undefined);
    if (!before) return;
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const distance = (point: Point): number => Math.max(10, Math.hypot(point.x - other.x, point.y - other.y));
      painter.view.zoom(distance(at) / distance(before), { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
    }
    const share = other ? 0.5 : 1;
    painter.view.move((at.x - before.x) * share, (at.y - before.y) * share);
    moved += Math.hypot(at.x - before.x, at.y - before.y);
    canvas.classList.toggle("grabbing", moved > 4);
    pointers.set(event.pointerId, at);
    painter.changed();
  });
  const release = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    canvas.classList.remove("grabbing");
    if (moved <= 4 && event.type === "pointerup") select(painter.find(fleet, placeOf(event), now())?.id ?? "");
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), placeOf(event));
    },
    { passive: false },
  );
}

function zoom(factor: number, at: Point = painter.view.screen): void {
  painter.view.zoom(factor, at);
  painter.changed();
}

function attachKeys(): void {
  const step = 60;
  const actions: Record<string, () => void> = {
    ArrowLeft: () => painter.view.move(step, 0),
    ArrowRight: () => painter.view.move(-step, 0),
    ArrowUp: () => painter.view.move(0, step),
    ArrowDown: () => painter.view.move(0, -step),
    "+": () => zoom(1.4),
    "=": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    "0": () => painter.fit(),
  };
  canvas.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    painter.changed();
  });
  element("zoom-in").addEventListener("click", () => zoom(1.5));
  element("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  element("fit").addEventListener("click", () => painter.fit());
}

// --- start ----------------------------------------------------------------------------------------------------------------------------

function frame(): void {
  painter.resize();
  painter.paint(fleet, now());
  requestAnimationFrame(frame);
}

showConnection(client, "The map shows the last positions that came; it goes on by itself.");
follow();
choice.addEventListener("change", () => select(choice.value));
attachPointers();
attachKeys();
setInterval(showFigures, 250);
painter.resize();
loadMap("/location/map.json").then(
  (map) => {
    painter.map = map;
    if (fleet.size === 0) say("Connecting");
    requestAnimationFrame(frame);
  },
  () => tell(element("notice"), "The map could not be loaded. Reload the page to try again.", "error"),
);
